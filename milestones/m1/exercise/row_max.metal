// The largest element of each row: y[r] = max_i x[r, i]
//
//   buffer 0  x     float [rows, n]   read, finite; a row may be all negative, down to -3.4e38
//   buffer 1  y     float [rows]      to be written, every element, and nothing past the last one
//   buffer 2  args  Args              read
//
// A row belongs to a whole threadgroup. Dispatched with rows * 32 threads: that is one threadgroup a row where a
// threadgroup is 32 threads wide, and fewer threadgroups than rows where it is wider. So threadgroup `group` of `groups`
// takes the rows group, group + groups, group + 2 * groups and so on, and one that has no row does nothing. n may be any
// number from 1 on: less than the `width` threads of a threadgroup, or more.
//
// A threadgroup's SIMD-groups do not run in step. What they have to tell each other goes through threadgroup memory, and a
// threadgroup_barrier(mem_flags::mem_threadgroup) between: no thread goes on before all of them have come to it, so all of
// the threadgroup's threads must come to every barrier, equally often. Between two barriers, no thread may read what
// another one writes, nor write what another one reads or writes. Threadgroup memory holds nothing useful until somebody
// has written it. simd_max(v) gives each lane of a SIMD-group the largest of all lanes' v.
//
// The third lesson: threadgroups and barriers. Nobody calls it but its spec; m3's softmax begins the same way.
//
//   pytest -x milestones/m1/test_row_max.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
};

kernel void row_max(device const float *x [[buffer(0)]],
                    device float *y [[buffer(1)]],
                    constant Args &args [[buffer(2)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint groups [[threadgroups_per_grid]],
                    uint t [[thread_position_in_threadgroup]],
                    uint width [[threads_per_threadgroup]],
                    uint simdgroups [[simdgroups_per_threadgroup]],
                    uint simdgroup [[simdgroup_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float partial[32];  // one for each SIMD-group that a threadgroup can have
    // Your task: write the largest element of each of this threadgroup's rows.
}
