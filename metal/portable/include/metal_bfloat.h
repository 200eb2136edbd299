// bfloat, bfloat2, bfloat3, bfloat4 (MSL 3.1): the upper half of a float, rounded to nearest, ties to even. Arithmetic is done
// in float: what two bfloats give is rounded back, a bfloat and a float give a float. A float that becomes a bfloat without being
// told to is refused by rules.py: were it refused here, `c ? a : b` of two bfloats in two address spaces would be a float for good.

namespace metal {

struct bfloat {
    ushort fl_bits;
    bfloat() = default;
    bfloat(const bfloat &) = default;
    bfloat &operator=(const bfloat &) = default;
    constexpr bfloat(const constant bfloat &b) : fl_bits(b.fl_bits) {}
#define FL_BF_FROM(T)                                                                                                    \
    constexpr bfloat(T x) : fl_bits(fl_round((float)x)) {}                                                               \
    constexpr bfloat(T x) constant : fl_bits(fl_round((float)x)) {}
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
#define FL_BF_ASSIGN(op, space)                                                                                          \
    template <typename S> space bfloat &operator op##=(space bfloat &a, S b) { return a = (float)a op (float)b, a; }
#define FL_BF_OP(op)                                                                                                     \
    constexpr bfloat operator op(bfloat a, bfloat b) { return (float)a op (float)b; }                                    \
    template <typename S> constexpr fl_bf<S> operator op(bfloat a, S b) { return (float)a op (float)b; }                 \
    template <typename S> constexpr fl_bf<S> operator op(S a, bfloat b) { return (float)a op (float)b; }                 \
    FL_BF_ASSIGN(op, device) FL_BF_ASSIGN(op, threadgroup) FL_BF_ASSIGN(op, thread)
#define FL_BF_COMPARE(op)                                                                                                \
    constexpr bool operator op(bfloat a, bfloat b) { return (float)a op (float)b; }                                      \
    template <typename S, typename = fl_bf<S>> constexpr bool operator op(bfloat a, S b) { return (float)a op (float)b; } \
    template <typename S, typename = fl_bf<S>> constexpr bool operator op(S a, bfloat b) { return (float)a op (float)b; }
// what repair.py puts around the bfloat of `c ? bfloat : float`
template <typename T> T fl_beside_float(T x) { return x; }
inline float fl_beside_float(bfloat x) { return x; }
FL_BF_OP(+) FL_BF_OP(-) FL_BF_OP(*) FL_BF_OP(/)
FL_BF_COMPARE(==) FL_BF_COMPARE(!=) FL_BF_COMPARE(<) FL_BF_COMPARE(>) FL_BF_COMPARE(<=) FL_BF_COMPARE(>=)
constexpr bfloat operator-(bfloat a) { return bfloat::fl_of(a.fl_bits ^ 0x8000); }
constexpr bfloat operator+(bfloat a) { return a; }
template <> inline ushort as_type<ushort, bfloat>(bfloat b) { return b.fl_bits; }
template <> inline short as_type<short, bfloat>(bfloat b) { return (short)b.fl_bits; }
template <> inline half as_type<half, bfloat>(bfloat b) { return __builtin_astype(b.fl_bits, half); }
template <> inline bfloat as_type<bfloat, ushort>(ushort b) { return bfloat::fl_of(b); }
template <> inline bfloat as_type<bfloat, short>(short b) { return bfloat::fl_of((ushort)b); }
template <> inline bfloat as_type<bfloat, half>(half b) { return bfloat::fl_of(__builtin_astype(b, ushort)); }
FL_FLOAT_LIMITS(bfloat, 0x1p-126f, 0x1.fep127f, 0x1p-7f, 8, 2, -125, 128, -37, 38, 0x1p-133f)

// Vectors: three bfloats take the room of four.
template <int N> struct __attribute__((aligned(N == 2 ? 4 : 8))) fl_bfloats : fl_fields<bfloat, N> {
    typedef vec<float, N> F;
    using fl_fields<bfloat, N>::fl_all;
    fl_bfloats() = default;
    fl_bfloats(const fl_bfloats &) = default;
    fl_bfloats &operator=(const fl_bfloats &) = default;
    constexpr fl_bfloats(const constant fl_bfloats &o) : fl_fields<bfloat, N>((const constant fl_fields<bfloat, N> &)o) {}
    template <int M> fl_bfloats &operator=(const constant fl_bfloats<M> &o) { return *this = fl_bfloats(o); }
    fl_bfloats(bfloat b) { for (int i = 0; i < N; i++) fl_all[i] = b; }
    template <typename S, typename = fl_bf<S>> fl_bfloats(S s) : fl_bfloats(bfloat(s)) {}
    template <typename A, int = 1 / (int)fl_shape<A>::size> explicit fl_bfloats(A a) { fl_set(fl_construct<F>(a)); }
    template <typename A, typename B, typename... C> constexpr fl_bfloats(A a, B b, C... c)
        : fl_fields<bfloat, N>(fl_make(fl_kind<sizeof...(C) + 2 == N>(), a, b, c...)) {}
    template <typename A, typename B, typename... C> constexpr fl_bfloats(A a, B b, C... c) constant
        : fl_fields<bfloat, N>(bfloat(a), bfloat(b), bfloat(c)...) {}

    friend F fl_native(fl_bfloats b) { F v; for (int i = 0; i < N; i++) v[i] = b.fl_all[i]; return v; }
#define FL_BFS_OP(op)                                                                                                    \
    friend fl_bfloats operator op(fl_bfloats a, fl_bfloats b) { return fl_bfloats(fl_native(a) op fl_native(b)); }      \
    fl_bfloats &operator op##=(fl_bfloats b) { return *this = *this op b; }
    FL_BFS_OP(+) FL_BFS_OP(-) FL_BFS_OP(*) FL_BFS_OP(/)
    friend fl_bfloats operator-(fl_bfloats a) { for (int i = 0; i < N; i++) a[i] = -a[i]; return a; }
#define FL_BFS_COMPARE(op) friend fl_bools<N> operator op(fl_bfloats a, fl_bfloats b) { return fl_bools<N>(fl_native(a) op fl_native(b)); }
    FL_BFS_COMPARE(==) FL_BFS_COMPARE(!=) FL_BFS_COMPARE(<) FL_BFS_COMPARE(>) FL_BFS_COMPARE(<=) FL_BFS_COMPARE(>=)
private:
    void fl_set(F v) { for (int i = 0; i < N; i++) fl_all[i] = v[i]; }
    template <bool> struct fl_kind {};
    template <typename... A> static constexpr fl_fields<bfloat, N> fl_make(fl_kind<true>, A... a) { return {bfloat(a)...}; }
    template <typename... A> static fl_bfloats fl_make(fl_kind<false>, A... a) { return fl_bfloats(fl_construct<F>(a...)); }
};
template <int N> struct fl_shape<fl_bfloats<N>> { enum { size = N, native = 0 }; typedef bfloat scalar; };
template <> struct fl_vec<bfloat, 2> { typedef fl_bfloats<2> type; };
template <> struct fl_vec<bfloat, 3> { typedef fl_bfloats<3> type; };
template <> struct fl_vec<bfloat, 4> { typedef fl_bfloats<4> type; };
typedef fl_bfloats<2> bfloat2; FL_WHOLE(bfloat2)
typedef fl_bfloats<3> bfloat3; FL_WHOLE(bfloat3)
typedef fl_bfloats<4> bfloat4; FL_WHOLE(bfloat4)
/*bfloat bfloat2 bfloat3 bfloat4 bf*/

}  // namespace metal
