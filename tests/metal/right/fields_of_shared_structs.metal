// Two threads write two fields of one struct, others two components of one vector.
// run: grid 64, threadgroup 32
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// buffer 2: float 64 empty
#include <metal_stdlib>
using namespace metal;
struct Pair {
    float first, second;
};
kernel void fill(device const float *x [[buffer(0)]], device Pair *pairs [[buffer(1)]], device float4 *fours [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
    if (i % 2 == 0) pairs[i / 2].first = x[i];
    else pairs[i / 2].second = -x[i];
    switch (i % 4) {
        case 0: fours[i / 4].x = x[i]; break;
        case 1: fours[i / 4].y = x[i]; break;
        case 2: fours[i / 4].z = x[i]; break;
        default: fours[i / 4].w = x[i]; break;
    }
}
