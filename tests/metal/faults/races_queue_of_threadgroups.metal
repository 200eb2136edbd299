// A threadgroup reads what its neighbour writes in the same dispatch.
// run: grid 4 3 2, threadgroup 1 3 2
// buffer 0: int 24 ramp
// buffer 1: int 24 zeros
// finds races: byte 0 of buffer(1) 'cells', which thread 0
#include <metal_stdlib>
using namespace metal;
struct Cell {
    int value;
    int from;
};
kernel void chain(device const int *x [[buffer(0)]], device Cell *cells [[buffer(1)]], uint3 at [[thread_position_in_grid]]) {
    if (at.y != 0 || at.z != 0) return;
    device Cell &mine = cells[at.x];
    mine.value = x[at.x];  // HERE
    mine.from = at.x > 0 ? cells[at.x - 1].value : -1;  // HERE
}
