// <metal_integer>: every width, signed and unsigned, scalars and vectors. A line is kept only for programs in which its name
// stands (library.py).

namespace metal {

#define FL_EACH_INT32(M) FL_EACH_INT_OF(M, int) FL_EACH_INT_OF(M, uint)
#define FL_INT_ABS(T) inline T abs(T x) { return __builtin_astype(::abs(x), T); }
#define FL_ABSDIFF(T) inline auto absdiff(T x, T y) { return ::abs_diff(x, y); }  // of the unsigned type
#define FL_ADDSAT(T) inline T addsat(T x, T y) { return ::add_sat(x, y); }
#define FL_SUBSAT(T) inline T subsat(T x, T y) { return ::sub_sat(x, y); }
#define FL_HADD(T) inline T hadd(T x, T y) { return ::hadd(x, y); }
#define FL_RHADD(T) inline T rhadd(T x, T y) { return ::rhadd(x, y); }
#define FL_INT_MIN(T) inline T min(T x, T y) { return ::min(x, y); }
#define FL_INT_MAX(T) inline T max(T x, T y) { return ::max(x, y); }
#define FL_INT_MIN3(T) inline T min3(T x, T y, T z) { return ::min(x, ::min(y, z)); }
#define FL_INT_MAX3(T) inline T max3(T x, T y, T z) { return ::max(x, ::max(y, z)); }
#define FL_INT_MEDIAN3(T) inline T median3(T x, T y, T z) { return ::max(::min(x, y), ::min(::max(x, y), z)); }
#define FL_INT_CLAMP(T) inline T clamp(T x, T low, T high) { return ::min(::max(x, low), high); }
#define FL_MULHI(T) inline T mulhi(T x, T y) { return ::mul_hi(x, y); }
#define FL_MADHI(T) inline T madhi(T x, T y, T z) { return ::mad_hi(x, y, z); }
// OpenCL's mad_sat is wrong here from 32 bits on (mad_sat(0, 42917, -1) is 2147483647): 64 bits, or two halves of 128
#define FL_EACH_WIDTH(M, T, W) M(T, W) M(T##2, W##2) M(T##3, W##3) M(T##4, W##4)
#define FL_MADSAT(T) inline T madsat(T x, T y, T z) { return ::mad_sat(x, y, z); }
#define FL_MADSAT_INT(T, W)                                                                                             \
    inline T madsat(T x, T y, T z) {                                                                                    \
        const W wide = ::convert_##W(x) * ::convert_##W(y) + ::convert_##W(z);                                          \
        return ::convert_##T(::clamp(wide, (W)(-0x7fffffffl - 1), (W)(0x7fffffffl)));                                   \
    }
#define FL_MADSAT_UINT(T, W)                                                                                            \
    inline T madsat(T x, T y, T z) {                                                                                    \
        return ::convert_##T(::min(::convert_##W(x) * ::convert_##W(y) + ::convert_##W(z), (W)(0xffffffffl)));          \
    }
#define FL_MADSAT_ULONG(T)                                                                                              \
    inline T madsat(T x, T y, T z) {                                                                                    \
        const T low = x * y, sum = low + z;                                                                             \
        return ::mul_hi(x, y) == (T)(0) ? (sum < low ? ~(T)(0) : sum) : ~(T)(0);                                        \
    }
#define FL_MADSAT_LONG(T, U)                                                                                            \
    inline T madsat(T x, T y, T z) {                                                                                    \
        const U low = __builtin_astype(x, U) * __builtin_astype(y, U), sum = low + __builtin_astype(z, U);              \
        const T high = ::mul_hi(x, y) + (z >> 63) + (sum < low ? (T)(1) : (T)(0)), v = __builtin_astype(sum, T);        \
        return high == v >> 63 ? v : (T)(0x7fffffffffffffff) ^ (high >> 63);                                            \
    }
#define FL_MUL24(T) inline T mul24(T x, T y) { return ::mul24(x, y); }
#define FL_MAD24(T) inline T mad24(T x, T y, T z) { return ::mad24(x, y, z); }
/*abs*/ FL_EACH_INT(FL_INT_ABS)
/*absdiff*/ FL_EACH_INT(FL_ABSDIFF)
/*addsat*/ FL_EACH_INT(FL_ADDSAT)
/*subsat*/ FL_EACH_INT(FL_SUBSAT)
/*hadd*/ FL_EACH_INT(FL_HADD)
/*rhadd*/ FL_EACH_INT(FL_RHADD)
/*min*/ FL_EACH_INT(FL_INT_MIN)
/*max*/ FL_EACH_INT(FL_INT_MAX)
/*min3*/ FL_EACH_INT(FL_INT_MIN3)
/*max3*/ FL_EACH_INT(FL_INT_MAX3)
/*median3*/ FL_EACH_INT(FL_INT_MEDIAN3)
/*clamp*/ FL_EACH_INT(FL_INT_CLAMP)
/*mulhi*/ FL_EACH_INT(FL_MULHI)
/*madhi*/ FL_EACH_INT(FL_MADHI)
/*madsat*/ FL_EACH_INT_OF(FL_MADSAT, char) FL_EACH_INT_OF(FL_MADSAT, uchar)
/*madsat*/ FL_EACH_INT_OF(FL_MADSAT, short) FL_EACH_INT_OF(FL_MADSAT, ushort)
/*madsat*/ FL_EACH_WIDTH(FL_MADSAT_INT, int, long) FL_EACH_WIDTH(FL_MADSAT_UINT, uint, ulong)
/*madsat*/ FL_EACH_WIDTH(FL_MADSAT_LONG, long, ulong) FL_EACH_INT_OF(FL_MADSAT_ULONG, ulong)
/*mul24*/ FL_EACH_INT32(FL_MUL24)
/*mad24*/ FL_EACH_INT32(FL_MAD24)

// --- bits ------------------------------------------------------------------------------------------------------------
#define FL_POPCOUNT(T) inline T popcount(T x) { return ::popcount(x); }
#define FL_CLZ(T) inline T clz(T x) { return ::clz(x); }
#define FL_CTZ(T) inline T ctz(T x) { return ::ctz(x); }
#define FL_ROTATE(T) inline T rotate(T x, T y) { return ::rotate(x, y); }
#define FL_REVERSE_BITS(T) inline T reverse_bits(T x) { return ::bit_reverse(x); }
// A shift takes its count modulo the width: a field of no bits is told apart, a mask of all of them made in two steps.
#define FL_EXTRACT_BITS(T)                                                                                              \
    inline T extract_bits(T x, uint offset, uint bits) {                                                                \
        const T unused = ::clz((T)(0)) - (T)(bits); /* clz of 0 is the width */                                         \
        return bits == 0 ? (T)(0) : (T)((T)(x << (unused - (T)(offset))) >> unused);                                    \
    }
#define FL_INSERT_BITS(T)                                                                                               \
    inline T insert_bits(T base, T insert, uint offset, uint bits) {                                                    \
        const T field = ~((T)(~(T)(0) << (T)(bits / 2)) << (T)(bits - bits / 2));                                       \
        return (base & (T)(~(field << (T)(offset)))) | ((insert & field) << (T)(offset));                               \
    }
/*popcount*/ FL_EACH_INT(FL_POPCOUNT)
/*clz*/ FL_EACH_INT(FL_CLZ)
/*ctz*/ FL_EACH_INT(FL_CTZ)
/*rotate*/ FL_EACH_INT(FL_ROTATE)
/*reverse_bits*/ FL_EACH_INT(FL_REVERSE_BITS)
/*extract_bits*/ FL_EACH_INT(FL_EXTRACT_BITS)
/*insert_bits*/ FL_EACH_INT(FL_INSERT_BITS)

}  // namespace metal
