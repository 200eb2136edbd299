// Each thread writes its element while its neighbours read it, in device memory.
// run: grid 256, threadgroup 64
// buffer 0: float 256 ramp
// finds races: buffer(0) 'x'
#include <metal_stdlib>
using namespace metal;
kernel void smooth(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]], uint n [[threads_per_grid]]) {
    device float &here = x[i];
    const float left = i > 0 ? x[i - 1] : here;  // HERE
    const float right = i + 1 < n ? x[i + 1] : here;  // HERE
    here = (left + here + right) / 3;  // HERE
}
