// The stride comes from the host, and is 0.
// run: grid 4, threadgroup 4
// buffer 0: float 16 ramp
// buffer 1: float 4 empty
// buffer 2: uint 2 16 0
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
struct Args {
    uint n, stride;
};
kernel void total(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant Args &args [[buffer(2)]],
                  uint i [[thread_position_in_grid]]) {
    float sum = 0;
    for (uint k = i; k < args.n; k += args.stride) {  // HERE
        sum += x[k];
    }
    out[i] = sum;
}
