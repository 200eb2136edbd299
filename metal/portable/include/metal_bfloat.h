// bfloat, bfloat2, bfloat3, bfloat4 (MSL 3.1): the upper half of a float, rounded to nearest, ties to even. Arithmetic is done in
// float: what two bfloats give is rounded back, a bfloat and a float give a float.

namespace metal {

struct bfloat {
    ushort fl_bits;
    bfloat() = default;
    bfloat(const bfloat &) = default;
    bfloat &operator=(const bfloat &) = default;
    constexpr bfloat(const constant bfloat &b) : fl_bits(b.fl_bits) {}
#define FL_BF_FROM(T) constexpr bfloat(T x) : fl_bits(fl_round((float)x)) {} constexpr bfloat(T x) constant : fl_bits(fl_round((float)x)) {}
    FL_BF_FROM(float) FL_BF_FROM(half) FL_BF_FROM(bool) FL_BF_FROM(char) FL_BF_FROM(uchar) FL_BF_FROM(short) FL_BF_FROM(ushort)
    FL_BF_FROM(int) FL_BF_FROM(uint) FL_BF_FROM(long) FL_BF_FROM(ulong)
    constexpr operator float() const { return __builtin_bit_cast(float, (uint)fl_bits << 16); }
    constexpr operator float() const constant { return __builtin_bit_cast(float, (uint)fl_bits << 16); }
    static constexpr ushort fl_round(float x) {
        const uint u = __builtin_bit_cast(uint, x);
        return (u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40 : (u + 0x7fff + (u >> 16 & 1)) >> 16;  // a NaN stays one
    }
    static constexpr bfloat fl_of(ushort bits) { bfloat b(0); b.fl_bits = bits; return b; }
};
// The type of bfloat op S: a float stays one, everything else becomes a bfloat.
template <typename S, bool scalar> struct fl_bf_with {};
template <typename S> struct fl_bf_with<S, true> { typedef bfloat type; };
template <> struct fl_bf_with<float, true> { typedef float type; };
template <typename S> using fl_bf = typename fl_bf_with<S, __is_arithmetic(S)>::type;
#define FL_BF_OP(op)                                                                                                     \
    inline bfloat operator op(bfloat a, bfloat b) { return (float)a op (float)b; }                                      \
    template <typename S> fl_bf<S> operator op(bfloat a, S b) { return (float)a op (float)b; }                          \
    template <typename S> fl_bf<S> operator op(S a, bfloat b) { return (float)a op (float)b; }                          \
    template <typename S> device bfloat &operator op##=(device bfloat &a, S b) { return a = (float)a op (float)b, a; }  \
    template <typename S> threadgroup bfloat &operator op##=(threadgroup bfloat &a, S b) { return a = (float)a op (float)b, a; } \
    template <typename S> thread bfloat &operator op##=(thread bfloat &a, S b) { return a = (float)a op (float)b, a; }
#define FL_BF_COMPARE(op)                                                                                                \
    inline bool operator op(bfloat a, bfloat b) { return (float)a op (float)b; }                                        \
    template <typename S, typename = fl_bf<S>> bool operator op(bfloat a, S b) { return (float)a op (float)b; }         \
    template <typename S, typename = fl_bf<S>> bool operator op(S a, bfloat b) { return (float)a op (float)b; }
FL_BF_OP(+) FL_BF_OP(-) FL_BF_OP(*) FL_BF_OP(/)
FL_BF_COMPARE(==) FL_BF_COMPARE(!=) FL_BF_COMPARE(<) FL_BF_COMPARE(>) FL_BF_COMPARE(<=) FL_BF_COMPARE(>=)
inline bfloat operator-(bfloat a) { return bfloat::fl_of(a.fl_bits ^ 0x8000); }
inline bfloat operator+(bfloat a) { return a; }
/*as_type*/ template <> inline ushort as_type<ushort, bfloat>(bfloat b) { return b.fl_bits; }
/*as_type*/ template <> inline short as_type<short, bfloat>(bfloat b) { return (short)b.fl_bits; }
/*as_type*/ template <> inline half as_type<half, bfloat>(bfloat b) { return __builtin_astype(b.fl_bits, half); }
/*as_type*/ template <> inline bfloat as_type<bfloat, ushort>(ushort b) { return bfloat::fl_of(b); }
/*as_type*/ template <> inline bfloat as_type<bfloat, short>(short b) { return bfloat::fl_of((ushort)b); }
/*as_type*/ template <> inline bfloat as_type<bfloat, half>(half b) { return bfloat::fl_of(__builtin_astype(b, ushort)); }
/*bfloat*/

}
