// Structs with methods in threadgroup and device memory, results by reference.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 128 empty
#include <metal_stdlib>
using namespace metal;
struct Range {
    float low, high;
    void widen(float v) {
        low = min(low, v);
        high = max(high, v);
    }
    float width() const { return high - low; }
};
inline threadgroup float &slot(threadgroup float *tile, uint at) { return tile[at]; }
kernel void spans(device const float *x [[buffer(0)]], device Range *out [[buffer(1)]],
                  uint i [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    slot(tile, i) = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    Range range = {tile[i], tile[i]};
    for (uint k = i; k < min(i + 4, 64u); k++) range.widen(slot(tile, k));
    device Range &mine = out[i];
    mine = range;
    mine.high += range.width() > 1 ? 1.0f : 0.0f;
}
