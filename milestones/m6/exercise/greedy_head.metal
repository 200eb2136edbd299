// The last norm, the output head and the choice of temperature 0: the largest of logits that are never written
//
//   buffer 0  x       float [width + width / 16]             read, prepared (prepared.h): multiplied by the norm's weights
//   buffer 1  weight  uint [tiles, width / 32, Kind::uints]  read, packed
//   buffer 2  parts   uint [4, parts]                        to be written by greedy_head_*: of each part, args.span tiles, its largest
//                                                            logit's key and id, bits of Σ exp(logit - largest), how many logits are
//                                                            not finite
//   buffer 3  result  uint [4]                               to be written by greedy_head: the id, its probability, how many logits are
//                                                            not finite: above 0 the rest is not valid; 0
//   buffer 4  args    Args                                   read
//
// Two kernels, in this order, both with the same buffers:
//   greedy_head_q4_0, greedy_head_q4_1, greedy_head_q8_0   one SIMD-group a part: norm_head's product, bit for bit, then the best of
//                                                          the part; dispatch 32 threads a part
//   greedy_head                                            32 threads: the best of the parts, and the sum of all exponentials
//
// The id is m3's argmax of norm_head's logits: ties to the lower id. A step leaves some kilobytes here, not 192 KB of
// logits that three more kernels read. A part is several tiles so that a lane compares its own logits first: across lanes it
// costs as much as a tenth of a tile's product.
//
//   pytest milestones/m6/test_greedy_head.py
#include <metal_stdlib>
using namespace metal;

#include "../m3/philox.h"
#include "../m5/packed.h"
#include "prepared.h"
#include "sampling.h"

constant uint MOST = 16, NOWHERE = 0xFFFFFFFFu;

struct HeadArgs {
    uint width;
    uint n;
    float eps;
    uint span;  // tiles of a part, 1 … MOST
};

template <typename Kind>
kernel void best_of_part(device const float *x [[buffer(0)]],
                         device const uint *weight [[buffer(1)]],
                         device uint *parts [[buffer(2)]],
                         constant HeadArgs &args [[buffer(4)]],
                         uint group [[threadgroup_position_in_grid]],
                         uint simdgroups [[simdgroups_per_threadgroup]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]]) {
    // Your task: of the part's logits the largest one's key and id, the sum of exponentials beside it, how many are no numbers.
}

#define HEAD(name, Kind)                                                                                                     \
    template [[host_name(name)]] kernel void best_of_part<Kind>(device const float *, device const uint *, device uint *,    \
                                                                constant HeadArgs &, uint, uint, uint, uint);
HEAD("greedy_head_q4_0", PackedQ4_0)
HEAD("greedy_head_q4_1", PackedQ4_1)
HEAD("greedy_head_q8_0", PackedQ8_0)

kernel void greedy_head(device const uint *parts [[buffer(2)]],
                        device uint *result [[buffer(3)]],
                        constant HeadArgs &args [[buffer(4)]],
                        uint lane [[thread_position_in_grid]]) {
    if (lane >= 32) return;  // the first SIMD-group
    // Your task, its second part: the best of all parts, and its probability.
}
