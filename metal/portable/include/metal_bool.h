// bool2, bool3, bool4: OpenCL has no such vectors, its comparisons give −1 or 0 in integers as wide as what was compared. truth.py
// makes a boolN of such a mask; a boolN becomes a number of 1 or 0 where int4(b) asks for it.

namespace metal {

template <int N> struct __attribute__((aligned(N == 2 ? 2 : 4))) fl_bools : fl_fields<bool, N> {
    using fl_fields<bool, N>::fl_all;
    fl_bools() = default;
    fl_bools(const fl_bools &) = default;
    constexpr fl_bools(const constant fl_bools &o) : fl_fields<bool, N>((const constant fl_fields<bool, N> &)o) {}
    fl_bools &operator=(const fl_bools &) = default;
    template <int M> fl_bools &operator=(const constant fl_bools<M> &o) { return *this = fl_bools(o); }
    fl_bools(bool b) { for (int i = 0; i < N; i++) fl_all[i] = b; }
    template <typename A> explicit fl_bools(A a) {
        static_assert((int)fl_shape<A>::size == N, "wrong number of components for this vector");
        auto v = fl_native(a);
        for (int i = 0; i < N; i++) fl_all[i] = v[i] != 0;
    }
    template <typename A, typename B, typename... C> constexpr fl_bools(A a, B b, C... c)
        : fl_fields<bool, N>(fl_make(fl_kind<sizeof...(C) + 2 == N>(), a, b, c...)) {}
    template <typename A, typename B, typename... C> constexpr fl_bools(A a, B b, C... c) constant
        : fl_fields<bool, N>((bool)a, (bool)b, (bool)c...) {}
    vec<uchar, N> fl_bits() const { vec<uchar, N> v; for (int i = 0; i < N; i++) v[i] = fl_all[i]; return v; }

    friend vec<uchar, N> fl_native(fl_bools b) { return b.fl_bits(); }
    friend fl_bools operator!(fl_bools a) { return fl_bools(a.fl_bits() == (uchar)0); }
#define FL_BOOL_OP(op, bits)                                                                                            \
    friend fl_bools operator op(fl_bools a, fl_bools b) {                                               \
        return fl_bools((a.fl_bits() bits b.fl_bits()) != (uchar)0); }
    FL_BOOL_OP(&&, &) FL_BOOL_OP(||, |) FL_BOOL_OP(&, &) FL_BOOL_OP(|, |) FL_BOOL_OP(^, ^) FL_BOOL_OP(!=, ^)
    fl_bools &operator&=(fl_bools b) { return *this = *this & b; }
    fl_bools &operator|=(fl_bools b) { return *this = *this | b; }
    fl_bools &operator^=(fl_bools b) { return *this = *this ^ b; }
    friend fl_bools operator==(fl_bools a, fl_bools b) { return fl_bools(a.fl_bits() == b.fl_bits()); }
private:
    template <bool> struct fl_kind {};
    template <typename... A> static constexpr fl_fields<bool, N> fl_make(fl_kind<true>, A... a) { return {(bool)a...}; }
    template <typename... A> static fl_bools fl_make(fl_kind<false>, A... a) {
        return fl_bools(fl_construct<vec<uchar, N>>(fl_one(a)...));
    }
    template <typename A> static auto fl_one(A a) { return fl_bit<A, fl_shape<A>::size>::of(a); }
    template <typename A, int n> struct fl_bit { static auto of(A a) { return fl_native(fl_bools<n>(a)); } };
    template <typename A> struct fl_bit<A, 0> { static bool of(A a) { return (bool)a; } };
};
template <int N> struct fl_shape<fl_bools<N>> { enum { size = N, native = 0 }; typedef bool scalar; };
#define FL_BOOLS(N) typedef fl_bools<N> bool##N; template <> struct fl_vec<bool, N> { typedef bool##N type; };
FL_BOOLS(2) FL_BOOLS(3) FL_BOOLS(4)
FL_WHOLE(bool2) FL_WHOLE(bool3) FL_WHOLE(bool4)
// No friends, which metal::all(…) would not find.
#define FL_ASK_BOOLS(N)                                                                                     \
    inline bool all(bool##N a) { bool r = true; for (int i = 0; i < N; i++) r &= a[i]; return r; }          \
    inline bool any(bool##N a) { bool r = false; for (int i = 0; i < N; i++) r |= a[i]; return r; }         \
    template <typename V> inline V select(V no, V yes, bool##N c) {                                         \
        static_assert((int)fl_shape<V>::size == N, "select: the condition has another number of components"); \
        for (int i = 0; i < N; i++) no[i] = c[i] ? yes[i] : no[i];                                          \
        return no;                                                                                          \
    }
FL_ASK_BOOLS(2) FL_ASK_BOOLS(3) FL_ASK_BOOLS(4)
/*bool2 bool3 bool4 vec fl_truth*/

}  // namespace metal
