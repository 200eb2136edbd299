// A bisection whose lower end never moves past the middle.
// run: grid 8, threadgroup 8
// buffer 0: int 16 ramp
// buffer 1: uint 8 empty
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
template <typename T> uint lower_bound(device const T *x, uint n, T wanted) {
    uint low = 0, high = n;
    while (low < high) {  // HERE
        const uint middle = (low + high) / 2;
        if (x[middle] < wanted) low = middle;
        else high = middle;
    }
    return low;
}
kernel void find(device const int *x [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = lower_bound(x, 16u, int(i));
}
