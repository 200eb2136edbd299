// Every threadgroup writes its number to one place; which one stays hangs on their order.
// checks: order
// run: grid 256, threadgroup 64
// buffer 0: uint 1 zeros
// finds order: byte 0 of buffer(0) 'last', written here last, is another with threadgroups in descending order
#include <metal_stdlib>
using namespace metal;
kernel void mark(device uint *last [[buffer(0)]], uint group [[threadgroup_position_in_grid]],
                 uint i [[thread_position_in_threadgroup]]) {
    if (i == 0) last[0] = group;  // HERE
}
