// Packed vectors, matrices and halves, in structs and by pointers.
// run: grid 16, threadgroup 16
// buffer 0: float 80 ramp
// buffer 1: float 64 empty
// buffer 2: half 32 empty
#include <metal_stdlib>
using namespace metal;
struct Vertex {
    packed_float3 place;
    packed_float2 uv;
};
kernel void turn(device const Vertex *in [[buffer(0)]], device packed_float4 *out [[buffer(1)]], device half *h [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
    const float3x3 m = float3x3(float3(0, 1, 0), float3(-1, 0, 0), float3(0, 0, 1));
    const Vertex v = in[i];
    const float3 p = m * float3(in[i].place) + float3(v.place);
    out[i] = float4(p, v.uv[0] + in[i].uv.y);
    device half2 *pair = (device half2 *)h + i;
    pair->x = half(p.x);
    (*pair).y = half(p.y);
    h[2 * i] += pair->y;
    device packed_float4 &mine = out[i];
    mine[3] = mine[0] + float4(mine).y;
}
