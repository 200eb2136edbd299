// Both barriers of the k-loop; edges of the matrices are filled with zeros.
// run: grid 12 10, threadgroup 8 8
// buffer 0: float 130 ramp
// buffer 1: float 156 ramp
// buffer 2: float 120 empty
#include <metal_stdlib>
using namespace metal;
struct Tile {
    float at[8][9];
};
inline void fill(threadgroup Tile &tile, device const float *m, uint2 l, uint row, uint column, uint rows, uint columns) {
    tile.at[l.y][l.x] = row < rows && column < columns ? m[row * columns + column] : 0;
}
kernel void matmul(device const float *x [[buffer(0)]], device const float *y [[buffer(1)]], device float *out [[buffer(2)]],
                   uint2 l [[thread_position_in_threadgroup]], uint2 g [[threadgroup_position_in_grid]],
                   uint2 wide [[threads_per_threadgroup]]) {
    threadgroup Tile a, b;
    const uint row = g.y * 8 + l.y, column = g.x * 8 + l.x;
    float sum = 0;
    for (uint k = 0; k < 13; k += 8) {
        for (uint r = l.y; r < 8; r += wide.y) {
            for (uint c = l.x; c < 8; c += wide.x) {
                fill(a, x, uint2(c, r), g.y * 8 + r, k + c, 10, 13);
                fill(b, y, uint2(c, r), k + r, g.x * 8 + c, 13, 12);
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint n = 0; n < 8; n++) sum = fma(a.at[l.y][n], b.at[n][l.x], sum);
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[row * 12 + column] = sum;
}
