// SIMD-groups: on the active lanes, as Metal says.

namespace metal {

// Said this way the compiler sees that a broadcast gives one value to the whole SIMD-group: loads that hang on it stay
// contiguous. With sub_group_broadcast_first or a shuffle they become gathers, five to ten times slower.
inline uint fl_first_lane() { return sub_group_ballot_find_lsb(sub_group_ballot(1)); }
#define FL_EACH_SIMD(M) M(int) M(uint) M(float) M(half) M(long) M(ulong)
#define FL_SIMD_SUM(T) inline T simd_sum(T x) { return sub_group_non_uniform_reduce_add(x); }
#define FL_SIMD_MAX(T) inline T simd_max(T x) { return sub_group_non_uniform_reduce_max(x); }
#define FL_SIMD_MIN(T) inline T simd_min(T x) { return sub_group_non_uniform_reduce_min(x); }
#define FL_SIMD_PRODUCT(T) inline T simd_product(T x) { return sub_group_non_uniform_reduce_mul(x); }
#define FL_SIMD_PREFIX_INCLUSIVE_SUM(T) inline T simd_prefix_inclusive_sum(T x) { return sub_group_non_uniform_scan_inclusive_add(x); }
#define FL_SIMD_PREFIX_EXCLUSIVE_SUM(T) inline T simd_prefix_exclusive_sum(T x) { return sub_group_non_uniform_scan_exclusive_add(x); }
#define FL_SIMD_SHUFFLE(T) inline T simd_shuffle(T x, ushort lane) { return sub_group_shuffle(x, (uint)lane); }
#define FL_SIMD_BROADCAST(T) inline T simd_broadcast(T x, ushort lane) { return sub_group_non_uniform_broadcast(x, (uint)lane); }
#define FL_SIMD_BROADCAST_FIRST(T) inline T simd_broadcast_first(T x) { return sub_group_non_uniform_broadcast(x, fl_first_lane()); }
#define FL_SIMD_SHUFFLE_XOR(T) inline T simd_shuffle_xor(T x, ushort mask) { return sub_group_shuffle_xor(x, (uint)mask); }
#define FL_SIMD_SHUFFLE_UP(T) inline T simd_shuffle_up(T x, ushort n) { return sub_group_shuffle_up(x, (uint)n); }
#define FL_SIMD_SHUFFLE_DOWN(T) inline T simd_shuffle_down(T x, ushort n) { return sub_group_shuffle_down(x, (uint)n); }
/*simd_sum*/ FL_EACH_SIMD(FL_SIMD_SUM)
/*simd_max*/ FL_EACH_SIMD(FL_SIMD_MAX)
/*simd_min*/ FL_EACH_SIMD(FL_SIMD_MIN)
/*simd_product*/ FL_EACH_SIMD(FL_SIMD_PRODUCT)
/*simd_prefix_inclusive_sum*/ FL_EACH_SIMD(FL_SIMD_PREFIX_INCLUSIVE_SUM)
/*simd_prefix_exclusive_sum*/ FL_EACH_SIMD(FL_SIMD_PREFIX_EXCLUSIVE_SUM)
/*simd_shuffle*/ FL_EACH_SIMD(FL_SIMD_SHUFFLE)
/*simd_broadcast*/ FL_EACH_SIMD(FL_SIMD_BROADCAST)
/*simd_broadcast_first*/ FL_EACH_SIMD(FL_SIMD_BROADCAST_FIRST)
/*simd_shuffle_xor*/ FL_EACH_SIMD(FL_SIMD_SHUFFLE_XOR)
/*simd_shuffle_up*/ FL_EACH_SIMD(FL_SIMD_SHUFFLE_UP)
/*simd_shuffle_down*/ FL_EACH_SIMD(FL_SIMD_SHUFFLE_DOWN)
/*simd_and*/ inline int simd_and(int x) { return sub_group_non_uniform_reduce_and(x); }
/*simd_and*/ inline uint simd_and(uint x) { return sub_group_non_uniform_reduce_and(x); }
/*simd_or*/ inline int simd_or(int x) { return sub_group_non_uniform_reduce_or(x); }
/*simd_or*/ inline uint simd_or(uint x) { return sub_group_non_uniform_reduce_or(x); }
/*simd_all*/ inline bool simd_all(bool x) { return sub_group_non_uniform_all(x); }
/*simd_any*/ inline bool simd_any(bool x) { return sub_group_non_uniform_any(x); }
/*simd_is_first*/ inline bool simd_is_first() { return sub_group_elect(); }

}  // namespace metal
