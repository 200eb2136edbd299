// A bitonic sort whose barrier stands outside the inner loop.
// run: grid 64, threadgroup 64
// buffer 0: uint 64 9 3 7 1 8 2 6 4
// finds races: of threadgroup variable 'key'
#include <metal_stdlib>
using namespace metal;
inline void order(threadgroup uint &a, threadgroup uint &b, bool up) {
    if ((a > b) == up) {  // HERE
        const uint t = a;
        a = b;  // HERE
        b = t;  // HERE
    }
}
kernel void sort(device uint *x [[buffer(0)]], uint i [[thread_position_in_threadgroup]]) {
    threadgroup uint key[64];
    key[i] = x[i];
    for (uint k = 2; k <= 64; k *= 2) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint j = k / 2; j > 0; j /= 2) {
            if ((i ^ j) > i) order(key[i], key[i ^ j], (i & k) == 0);
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    x[i] = key[i];
}
