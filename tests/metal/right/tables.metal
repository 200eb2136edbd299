// Tables at program scope, arrays of structs in constant memory, values by function constants.
// run: grid 48, threadgroup 16
// constants: 0 3 1 1
// buffer 0: uchar 24 16 50 84 118 254
// buffer 1: float 48 empty
// buffer 2: float 8 1 2 3 4
#include <metal_stdlib>
using namespace metal;
constant uint bits [[function_constant(0)]];
constant bool scaled [[function_constant(1)]];
constant float levels[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
constant constexpr uint2 offsets[] = {uint2(0, 1), uint2(1, 0)};
struct Scale {
    float by, plus;
};
kernel void dequantise(device const uchar *x [[buffer(0)]], device float *out [[buffer(1)]],
                       constant Scale *scales [[buffer(2)]], uint i [[thread_position_in_grid]]) {
    const uint code = x[i / 2] >> (i & 1) * 4 & 15;
    constant Scale &scale = scales[i % bits];
    constant float *row = &levels[code];
    out[i] = scaled ? *row * scale.by + scale.plus + offsets[i & 1].y : levels[code];
}
