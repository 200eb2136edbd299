// Loops, helpers and switches with barriers, which all threads go through alike; inner loops that they do not.
// run: grid 96, threadgroup 32
// buffer 0: uint 96 ramp
// buffer 1: uint 96 empty
// buffer 2: uint 2 3 1
#include <metal_stdlib>
using namespace metal;
template <typename F> uint rounds(F step, uint n) {
    uint sum = 0;
    do {
        sum += step(n);
    } while (--n > 0);
    return sum;
}
inline void sync() { threadgroup_barrier(mem_flags::mem_threadgroup); }
inline uint passed_on(threadgroup uint *tile, uint l, uint v) {
    sync();
    tile[l] = v;
    sync();
    return tile[31 - l];
}
kernel void turn(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], constant uint *args [[buffer(2)]],
                 uint i [[thread_position_in_grid]], uint l [[thread_position_in_threadgroup]]) {
    threadgroup uint tile[32];
    uint sum = 0, k = 0;
    for (;;) {
        if (k == args[0]) break;
        if (l > k) {
            for (uint m = 0; m < l; m++) {
                if (x[m] > 5) break;
                sum += m;
            }
        }
        switch (args[1]) {
            case 0: sum = 0; break;
            case 1: sum += passed_on(tile, l, x[i]); break;
            default: sync();
        }
        k++;
    }
    bool more = args[0] > 2 && passed_on(tile, l, 1) == 1;
    while (more) {
        more = (args[0] > 5 ? passed_on(tile, l, 2) : passed_on(tile, l, 0)) > 1;
    }
    out[i] = sum;
}
