// Pairs are exchanged by one of their two threads.
// run: grid 64, threadgroup 64
// buffer 0: uint 64 9 3 7 1 8 2 6 4
#include <metal_stdlib>
using namespace metal;
template <typename T> void order(threadgroup T &a, threadgroup T &b, bool up) {
    if ((a > b) != up) return;
    const T t = a;
    a = b;
    b = t;
}
kernel void sort(device uint *x [[buffer(0)]], uint i [[thread_position_in_threadgroup]]) {
    threadgroup uint key[64];
    key[i] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 2; k <= 64; k *= 2) {
        for (uint j = k / 2; j > 0; j /= 2) {
            if ((i ^ j) > i) order(key[i], key[i ^ j], (i & k) == 0);
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }
    }
    x[i] = key[i];
}
