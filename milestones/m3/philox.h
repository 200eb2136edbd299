// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3; SC 2011): a counter and a key in, four
// random words out. No state: draw number n is computed from n alone, by any thread, in any order.
#ifndef FIRSTLIGHT_PHILOX_H
#define FIRSTLIGHT_PHILOX_H

static uint4 philox4x32(uint4 counter, uint2 key) {
    for (uint round = 0; round < 10; round++) {
        const uint high0 = mulhi(counter.x, 0xD2511F53u), low0 = counter.x * 0xD2511F53u;
        const uint high1 = mulhi(counter.z, 0xCD9E8D57u), low1 = counter.z * 0xCD9E8D57u;
        counter = uint4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key += uint2(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

#endif
