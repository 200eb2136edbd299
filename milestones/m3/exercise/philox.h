// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3; SC 2011): a counter of four words and a
// key of two in, four random words out. No state: draw number n is computed from n alone, by any thread, in any order.
//
// A round makes of the counter (x, y, z, w) and the key (k0, k1), with 64-bit products:
//     x * 0xD2511F53 = high0 * 2^32 + low0
//     z * 0xCD9E8D57 = high1 * 2^32 + low1
//     the counter becomes (high1 ^ y ^ k0,  low1,  high0 ^ w ^ k1,  low0)
// Between two rounds the key is bumped: k0 += 0x9E3779B9, k1 += 0xBB67AE85, both modulo 2^32. Ten rounds, the first with the key
// as given. The words that come out are the counter after the last one.
//
// Included by philox.metal and by sample.metal.
//
//   pytest -x milestones/m3/test_philox.py
#ifndef FIRSTLIGHT_PHILOX_H
#define FIRSTLIGHT_PHILOX_H

static uint4 philox4x32(uint4 counter, uint2 key) {
    // Your task: the ten rounds. As it stands, the counter comes out as it went in.
    return counter;
}

#endif
