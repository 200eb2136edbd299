// One particle more than there are.
// run: grid 6, threadgroup 4
// buffer 0: float 20 ramp
// buffer 1: float 8 empty
// finds bounds: reads 16 bytes outside buffer(0) 'particles', at byte 80: it ends at byte 80
#include <metal_stdlib>
using namespace metal;
struct Particle {
    packed_float3 place;
    float mass;
};
kernel void weigh(device const Particle *particles [[buffer(0)]], device float *out [[buffer(1)]],
                  uint i [[thread_position_in_grid]]) {
    device const Particle &p = particles[i];  // HERE
    out[i] = p.mass;
}
