// Where a running float32 sum of sorted numbers reaches a value, to the bit, of numbers that nobody has sorted.
//
// While a sum S stays in [2^e, 2^(e+1)) it is a whole number of units of 2^(e - 23), the value of its last place. Adding p to it adds p
// rounded to whole units, whatever S is: so a stretch of such additions is one sum of integers, whose order does not matter, and
// "which column makes it reach a number" is answered bit by bit over the keys, each bit by one such sum. Two things end a stretch:
// S leaves the interval, and units become larger; or p lies half between two whole numbers of units, and is rounded up or down as
// S is odd or even. Then one addition of floats is made, and the next stretch begins.
#ifndef FIRSTLIGHT_STRETCHES_H
#define FIRSTLIGHT_STRETCHES_H

constant uint FULL = 1u << 24;    // units at which S leaves the interval
constant uint STRIP = 8;          // tiles of 32 that are added up at once
constant float LEAST = 4.930380657631324e-32f;  // 2^-104
constant uint ENOUGH = 4 * FULL;  // sums of units end here: 32 of these are no overflow

// The beginning of the order that ends before the token `id` with the key `key`: larger keys come first, of equal ones lower ids.
struct End {
    uint key;
    uint id;
};

inline bool within(uint key, uint id, End end) { return key > end.key || (key == end.key && id < end.id); }

// Columns in any order, and the threads that look at them together.
struct Team {
    device const uint *keys;
    device const float *p;
    device const uint *ids;
    uint count;
    threadgroup uint *partial;  // 32
    uint simdgroup;
    uint simdgroups;
    uint lane;
};

inline uint sum_over(uint mine, Team team) {
    mine = min(simd_sum(min(mine, ENOUGH)), ENOUGH);
    threadgroup_barrier(mem_flags::mem_threadgroup);  // all have read the sum before
    if (team.lane == 0) team.partial[team.simdgroup] = mine;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    return min(simd_sum(team.lane < team.simdgroups ? team.partial[team.lane] : 0u), ENOUGH);
}

inline uint largest_over(uint mine, Team team) {
    mine = simd_max(mine);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (team.lane == 0) team.partial[team.simdgroup] = mine;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    return simd_max(team.partial[min(team.lane, team.simdgroups - 1)]);
}

// p in units, the nearest whole number, a half down. One unit if `scale` is 0: then columns are counted.
inline uint units_of(float p, float scale) {
    const float x = p * scale;
    const int whole = int(x);
    return scale == 0.0f ? 1u : uint(whole) + (x - float(whole) > 0.5f ? 1u : 0u);
}

inline bool is_half(float p, float scale) {
    const float x = p * scale;
    return x - float(int(x)) == 0.5f;
}

template <bool All>
inline uint id_of(Team team, uint i) { return All ? i + team.lane : (team.ids + i)[team.lane]; }

// What the columns from `from` to `end` add.
template <bool All>
inline uint units_between(Team team, End from, End end, float scale) {
    uint sum = 0;
    for (uint i = 32 * team.simdgroup; i < team.count; i += 32 * team.simdgroups) {
        if (i + team.lane < team.count) {
            const uint key = (team.keys + i)[team.lane], id = id_of<All>(team, i);
            const uint units = units_of((team.p + i)[team.lane], scale);
            sum = min(sum + (within(key, id, end) && !within(key, id, from) ? units : 0u), ENOUGH);
        }
    }
    return sum_over(sum, team);
}

// The lowest id with this key, which there is
template <bool All>
inline uint lowest_id(Team team, uint key, bool halves, End from, float scale) {
    uint found = 0;
    for (uint i = 32 * team.simdgroup; i < team.count; i += 32 * team.simdgroups) {
        if (i + team.lane < team.count) {
            const uint id = id_of<All>(team, i);
            const bool fits = !halves || (is_half((team.p + i)[team.lane], scale) && !within(key, id, from));
            found = max(found, (team.keys + i)[team.lane] == key && fits ? ~id : 0u);
        }
    }
    return ~largest_over(found, team);
}

// What the columns from `from` to `end` add, and the largest key of one that is half a unit off a whole number: 0 if there is none.
struct Stretch {
    uint units;
    uint half_key;
};

inline Stretch stretch(Team all, End from, End end, float scale) {
    uint sum = 0, found = 0;
    for (uint i = 32 * all.simdgroup; i < all.count; i += 32 * all.simdgroups) {
        if (i + all.lane < all.count) {
            const uint key = (all.keys + i)[all.lane], id = i + all.lane;
            const float p = (all.p + i)[all.lane];
            const bool inside = within(key, id, end) && !within(key, id, from);
            sum = min(sum + (inside ? units_of(p, scale) : 0u), ENOUGH);
            found = max(found, inside && is_half(p, scale) ? key : 0u);
        }
    }
    return {sum_over(sum, all), largest_over(found, all)};
}

// Behind the column at which what is added from `from` on reaches `target`; there must be one.
template <bool All>
inline End reaching(Team team, End from, float scale, uint target, uint n) {
    uint key = 0;  // the largest such that it and all larger ones reach the target
    for (uint bit = 0x80000000u; bit != 0; bit >>= 1)
        if (units_between<All>(team, from, {key | bit, n}, scale) >= target) key |= bit;
    uint id = lowest_id<All>(team, key, false, from, scale);
    if (units_between<All>(team, from, {key, id + 1}, scale) >= target) return {key, id + 1};
    id = 0;  // several have this key: the largest such that those before it do not reach the target
    for (uint bit = 0x80000000u >> clz(n); bit != 0; bit >>= 1)
        if (units_between<All>(team, from, {key, id | bit}, scale) < target) id |= bit;
    return {key, id + 1};
}

// The same, looked for in the head if it is there. There must be one before `end`.
inline End reached(Team all, Team head, End from, End end, float scale, uint target) {
    if (units_between<false>(head, from, end, scale) >= target)
        return reaching<false>(head, from, scale, target, all.count);
    return reaching<true>(all, from, scale, target, all.count);
}

inline uint mantissa(float sum) { return (as_type<uint>(sum) & 0x007FFFFFu) | 0x00800000u; }
inline float with_mantissa(float sum, uint mantissa) {
    return as_type<float>((as_type<uint>(sum) & 0x7F800000u) | (mantissa & 0x007FFFFFu));
}

// One unit of the sum's last place is 1 / scale; a sum below LEAST has no scale that a float can hold.
inline float scale_of(float sum) { return as_type<float>((277u - (as_type<uint>(sum) >> 23)) << 23); }

// The sum, and a strip's weights one after the other in ascending id: `own` is this lane's part, `kept` how many of all are above 0.
// As units, if they leave the sum in its interval and none lies half between two; else addition by addition.
inline float added(thread const float *own, uint kept, float sum, float one) {
    if (kept > 32) {  // of a few, the additions cost less
        const float scale = scale_of(sum);
        uint units = 0;
        bool events = sum < LEAST;
        for (uint t = 0; t < STRIP; t++) {
            const float weight = min(own[t], sum);  // larger ones leave the interval anyway
            units += units_of(weight, scale);
            events |= is_half(weight, scale);
        }
        units = simd_sum(min(units, FULL));
        if (!simd_any(events) && mantissa(sum) + units < FULL) return with_mantissa(sum, mantissa(sum) + units);
    }
    for (uint t = 0; t < STRIP; t++)
        if (simd_any(own[t] > 0.0f))
            for (uint j = 0; j < 32; j++) sum = fma(simd_broadcast(own[t], j), one, sum);
    return sum;
}

#endif
