// SIMD-groups: on the active lanes, in branches and loops too, as Metal says (specification, "SIMD-group functions").
//
// T is char … uint, half or float, or a vector of them: Metal has these functions neither for 64-bit integers nor for bool.
//
// How data moves decides the speed. Measured on an AMD EPYC, one function over 32 floats: sub_group_rotate 2 ns, a broadcast
// 2 ns, a reduction 15 ns, but sub_group_shuffle and its relatives 150 to 300 ns. So lanes meet by rotations and broadcasts,
// chosen by comparing lane numbers; with a literal distance that becomes one or two permutations.

namespace metal {

// Said this way the compiler sees that a broadcast gives one value to the whole SIMD-group: loads that hang on it stay
// contiguous. With sub_group_broadcast_first or a shuffle they become gathers, five to ten times slower.
inline uint fl_first_lane() { return sub_group_ballot_find_lsb(sub_group_ballot(1)); }
inline uint fl_active_lanes() { return sub_group_ballot(1).x; }
template <typename T> inline T fl_from_lane(T x, uint lane) {
    T found = x;
#define FL_LANE(n) { const T y = sub_group_non_uniform_broadcast(x, n); found = lane == n ? y : found; }
#define FL_LANE_4(n) FL_LANE(n) FL_LANE(n + 1) FL_LANE(n + 2) FL_LANE(n + 3)
    FL_LANE_4(0u) FL_LANE_4(4u) FL_LANE_4(8u) FL_LANE_4(12u) FL_LANE_4(16u) FL_LANE_4(20u) FL_LANE_4(24u) FL_LANE_4(28u)
    return found;
}
template <typename T> inline T fl_lanes_down(T x, uint n) {  // past the edge, where Metal leaves the value open: the lane's own
    const T y = sub_group_rotate(x, (int)(n & 31));
    return get_sub_group_local_id() + n < 32 ? y : x;
}
template <typename T> inline T fl_lanes_up(T x, uint n) {
    const T y = sub_group_rotate(x, (int)(-n & 31));
    return get_sub_group_local_id() >= n ? y : x;
}
template <typename T> inline T fl_lanes_xor(T x, uint mask) {
    const uint lane = get_sub_group_local_id();
    if (mask & (mask - 1)) return fl_from_lane(x, lane ^ mask);
    const T above = sub_group_rotate(x, (int)(mask & 31)), below = sub_group_rotate(x, (int)(-mask & 31));
    return lane & mask ? below : above;
}
template <typename T> inline T fl_lanes_rotate_up(T x, uint n) { return sub_group_rotate(x, (int)(-n & 31)); }
template <typename T> inline T fl_lanes_rotate_down(T x, uint n) { return sub_group_rotate(x, (int)(n & 31)); }
template <typename T> inline T fl_lanes_fill_up(T x, T filling, uint n, uint modulo) {
    const T y = sub_group_rotate(x, (int)(-n & 31)), f = sub_group_rotate(filling, (int)(modulo - n & 31));
    return get_sub_group_local_id() % modulo >= n ? y : f;
}
template <typename T> inline T fl_lanes_fill_down(T x, T filling, uint n, uint modulo) {
    const T y = sub_group_rotate(x, (int)(n & 31)), f = sub_group_rotate(filling, (int)(n - modulo & 31));
    return get_sub_group_local_id() % modulo + n < modulo ? y : f;
}

// Sums and their kind, over the active lanes. OpenCL's own functions take 7 ns for integers, but for floats 15 to 45 more behind a
// branch, and its prefix sums 1,200. So floats and prefix sums are done here: where all lanes are active, in five steps (10 ns); else
// lane after lane, for an inactive lane cannot pass on what it was handed. That is a loop on purpose: of an `if` with OpenCL's own
// function in it the compiler makes a choice between two results, and computes both.
// A vector's components go through together. With a loop for each, one after the other, a device's compiler was seen to store
// what belongs to one arm of an `if` where the other arm stores (test_simd.py has such a kernel), and took twice as long.
#define FL_MOVE(name, f, T)                                                                                            \
    inline T name(T x, uint n) { return f(x, n); }                                                                     \
    inline T##2 name(T##2 x, uint n) { return (T##2)(f(x.x, n), f(x.y, n)); }                                          \
    inline T##3 name(T##3 x, uint n) { return (T##3)(f(x.x, n), f(x.y, n), f(x.z, n)); }                               \
    inline T##4 name(T##4 x, uint n) { return (T##4)(f(x.x, n), f(x.y, n), f(x.z, n), f(x.w, n)); }
#define FL_MOVES(T) FL_MOVE(fl_rotated, sub_group_rotate, T) FL_MOVE(fl_from, sub_group_non_uniform_broadcast, T)
FL_MOVES(char) FL_MOVES(uchar) FL_MOVES(short) FL_MOVES(ushort) FL_MOVES(int) FL_MOVES(uint) FL_MOVES(half) FL_MOVES(float)
#define FL_ALL 0xffffffffu
#define FL_WHOLE(name, f, T)                                                                                           \
    inline T name(T x) { return f(x); }                                                                                \
    inline T##2 name(T##2 x) { return f(x); }                                                                          \
    inline T##3 name(T##3 x) { return f(x); }                                                                          \
    inline T##4 name(T##4 x) { return f(x); }
#define FL_STEP(n, together) { const T y = fl_rotated(x, n); x = (T)(together); }
#define FL_REDUCE(name, own_name, together)                                                                            \
    template <typename T> inline T fl_all_##name(T x) {                                                                \
        const T own = x;                                                                                               \
        const uint active = fl_active_lanes();                                                                         \
        FL_STEP(16, together) FL_STEP(8, together) FL_STEP(4, together) FL_STEP(2, together) FL_STEP(1, together)      \
        x = fl_from(active == FL_ALL ? x : own, ctz(active));                                                          \
        for (uint left = active == FL_ALL ? 0 : active & active - 1; left; left &= left - 1) {                         \
            const T y = fl_from(own, ctz(left));                                                                       \
            x = (T)(together);                                                                                         \
        }                                                                                                              \
        return x;                                                                                                      \
    }                                                                                                                  \
    template <typename T> inline T fl_##name(T x) { return sub_group_non_uniform_reduce_##own_name(x); }               \
    FL_WHOLE(fl_##name, fl_all_##name, float) FL_WHOLE(fl_##name, fl_all_##name, half)
FL_REDUCE(sum, add, x + y)
FL_REDUCE(product, mul, x * y)
FL_REDUCE(min, min, y < x ? y : x)
FL_REDUCE(max, max, y > x ? y : x)
#define FL_PREFIX_STEP(n, together) { const T y = fl_rotated(x, 32 - n); x = lane >= n ? (T)(together) : x; }
#define FL_PREFIX(name, none, together)                                                                                \
    template <typename T> inline T fl_prefix_##name(T x, bool exclusive) {                                             \
        const T own = x;                                                                                               \
        const uint lane = get_sub_group_local_id(), active = fl_active_lanes();                                        \
        FL_PREFIX_STEP(1, together) FL_PREFIX_STEP(2, together) FL_PREFIX_STEP(4, together)                            \
        FL_PREFIX_STEP(8, together) FL_PREFIX_STEP(16, together)                                                       \
        const T before = fl_rotated(x, 31);                                                                            \
        T found = !exclusive ? x : lane == 0 ? (T)(none) : before;                                                     \
        x = (T)(none);                                                                                                 \
        for (uint left = active == FL_ALL ? 0 : active; left; left &= left - 1) {                                      \
            const T y = fl_from(own, ctz(left)), so_far = x;                                                           \
            x = (T)(together);                                                                                         \
            found = lane != (uint)ctz(left) ? found : exclusive ? so_far : x;                                          \
        }                                                                                                              \
        return found;                                                                                                  \
    }                                                                                                                  \
    template <typename T> inline T fl_inclusive_##name(T x) { return fl_prefix_##name(x, false); }                     \
    template <typename T> inline T fl_exclusive_##name(T x) { return fl_prefix_##name(x, true); }
FL_PREFIX(sum, 0, x + y)
FL_PREFIX(product, 1, x * y)

// One function for each type: M(function, what does it for a scalar, T), which takes care of T's vectors too.
#define FL_EACH_LANE_INT(M, name, f)                                                                                   \
    M(name, f, char) M(name, f, uchar) M(name, f, short) M(name, f, ushort) M(name, f, int) M(name, f, uint)
#define FL_EACH_LANE(M, name, f) FL_EACH_LANE_INT(M, name, f) M(name, f, half) M(name, f, float)
#define FL_OF_X(name, f, T)                                                                                            \
    inline T name(T x) { return f(x); }                                                                                \
    inline T##2 name(T##2 x) { return (T##2)(f(x.x), f(x.y)); }                                                        \
    inline T##3 name(T##3 x) { return (T##3)(f(x.x), f(x.y), f(x.z)); }                                                \
    inline T##4 name(T##4 x) { return (T##4)(f(x.x), f(x.y), f(x.z), f(x.w)); }
#define FL_REDUCED(name, f) FL_EACH_LANE_INT(FL_OF_X, name, f) FL_WHOLE(name, f, half) FL_WHOLE(name, f, float)
#define FL_OF_X_N(name, f, T)                                                                                          \
    inline T name(T x, ushort n) { return f(x, n); }                                                                   \
    inline T##2 name(T##2 x, ushort n) { return (T##2)(f(x.x, n), f(x.y, n)); }                                        \
    inline T##3 name(T##3 x, ushort n) { return (T##3)(f(x.x, n), f(x.y, n), f(x.z, n)); }                             \
    inline T##4 name(T##4 x, ushort n) { return (T##4)(f(x.x, n), f(x.y, n), f(x.z, n), f(x.w, n)); }
#define FL_FILL(width, name, V, e) inline V name(V x, V filling, ushort n, ushort modulo = width) { return e; }
#define FL_OF_FILL_BY(width, name, f, T)                                                                               \
    FL_FILL(width, name, T, f(x, filling, n, modulo))                                                                  \
    FL_FILL(width, name, T##2, (T##2)(name(x.x, filling.x, n, modulo), name(x.y, filling.y, n, modulo)))               \
    FL_FILL(width, name, T##3, (T##3)(name(x.xy, filling.xy, n, modulo), name(x.z, filling.z, n, modulo)))             \
    FL_FILL(width, name, T##4, (T##4)(name(x.xy, filling.xy, n, modulo), name(x.zw, filling.zw, n, modulo)))
#define FL_OF_FILL(name, f, T) FL_OF_FILL_BY(32, name, f, T)
#define FL_BROADCAST(x, n) sub_group_non_uniform_broadcast(x, (uint)(n))
#define FL_BROADCAST_FIRST(x) sub_group_non_uniform_broadcast(x, fl_first_lane())
/*simd_sum*/ FL_REDUCED(simd_sum, fl_sum)
/*simd_product*/ FL_REDUCED(simd_product, fl_product)
/*simd_min*/ FL_REDUCED(simd_min, fl_min)
/*simd_max*/ FL_REDUCED(simd_max, fl_max)
/*simd_and*/ FL_EACH_LANE_INT(FL_OF_X, simd_and, sub_group_non_uniform_reduce_and)
/*simd_or*/ FL_EACH_LANE_INT(FL_OF_X, simd_or, sub_group_non_uniform_reduce_or)
/*simd_xor*/ FL_EACH_LANE_INT(FL_OF_X, simd_xor, sub_group_non_uniform_reduce_xor)
/*simd_prefix_inclusive_sum*/ FL_EACH_LANE(FL_WHOLE, simd_prefix_inclusive_sum, fl_inclusive_sum)
/*simd_prefix_exclusive_sum*/ FL_EACH_LANE(FL_WHOLE, simd_prefix_exclusive_sum, fl_exclusive_sum)
/*simd_prefix_inclusive_product*/ FL_EACH_LANE(FL_WHOLE, simd_prefix_inclusive_product, fl_inclusive_product)
/*simd_prefix_exclusive_product*/ FL_EACH_LANE(FL_WHOLE, simd_prefix_exclusive_product, fl_exclusive_product)
/*simd_broadcast*/ FL_EACH_LANE(FL_OF_X_N, simd_broadcast, FL_BROADCAST)
/*simd_broadcast_first*/ FL_EACH_LANE(FL_OF_X, simd_broadcast_first, FL_BROADCAST_FIRST)
/*simd_shuffle*/ FL_EACH_LANE(FL_OF_X_N, simd_shuffle, fl_from_lane)
/*simd_shuffle_up*/ FL_EACH_LANE(FL_OF_X_N, simd_shuffle_up, fl_lanes_up)
/*simd_shuffle_down*/ FL_EACH_LANE(FL_OF_X_N, simd_shuffle_down, fl_lanes_down)
/*simd_shuffle_rotate_up*/ FL_EACH_LANE(FL_OF_X_N, simd_shuffle_rotate_up, fl_lanes_rotate_up)
/*simd_shuffle_rotate_down*/ FL_EACH_LANE(FL_OF_X_N, simd_shuffle_rotate_down, fl_lanes_rotate_down)
/*simd_shuffle_xor*/ FL_EACH_LANE(FL_OF_X_N, simd_shuffle_xor, fl_lanes_xor)
/*simd_all*/ inline bool simd_all(bool x) { return sub_group_non_uniform_all(x); }
/*simd_any*/ inline bool simd_any(bool x) { return sub_group_non_uniform_any(x); }
/*simd_is_first*/ inline bool simd_is_first() { return sub_group_elect(); }
/*simd_is_helper_thread*/ inline bool simd_is_helper_thread() { return false; }  // only fragment functions have helpers

// A vote for each lane, lane i in bit i. The bits above the SIMD-group's are undefined in Metal; here they are 0.
/*simd_vote*/
class simd_vote {
public:
    typedef ulong vote_t;
    explicit constexpr simd_vote(vote_t votes = 0) : fl_votes(votes) {}
    explicit constexpr operator vote_t() const { return fl_votes; }
    bool all() const { return (uint)fl_votes == 0xffffffffu; }  // all lanes, the inactive ones as well
    bool any() const { return (uint)fl_votes != 0; }
private:
    vote_t fl_votes;
};
/*simd_ballot*/ inline simd_vote simd_ballot(bool x) { return simd_vote(sub_group_ballot(x).x); }
/*simd_active_threads_mask*/ inline simd_vote simd_active_threads_mask() { return simd_vote(fl_active_lanes()); }

// From MSL 2.4. The lanes fall into vectors of `modulo`; what moves in at a vector's edge comes from the other end of the filling.
/*simd_shuffle_and_fill_up*/ FL_EACH_LANE(FL_OF_FILL, simd_shuffle_and_fill_up, fl_lanes_fill_up)
/*simd_shuffle_and_fill_down*/ FL_EACH_LANE(FL_OF_FILL, simd_shuffle_and_fill_down, fl_lanes_fill_down)

}  // namespace metal
