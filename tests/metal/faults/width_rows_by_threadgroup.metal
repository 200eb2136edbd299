// A row for each threadgroup of 64: with another width the grid has another number of rows.
// checks: width
// run: threads 512
// buffer 0: uint 1024 zeros
// finds width: of buffer(0) 'rows'
#include <metal_stdlib>
using namespace metal;
kernel void fill(device uint *rows [[buffer(0)]], uint group [[threadgroup_position_in_grid]],
                 uint l [[thread_position_in_threadgroup]]) {
    if (l < 32) rows[group * 32 + l] = group + 1;  // HERE
}
