// packed_T2, packed_T3, packed_T4: vectors that take no more room than their components and need no more alignment than one.
// In expressions they become the vector they stand for.

namespace metal {

template <typename T, int N> struct fl_packed : fl_fields<T, N> {
    typedef vec<T, N> V;
    using fl_fields<T, N>::fl_all;
    fl_packed() = default;
    fl_packed(const fl_packed &) = default;
    constexpr fl_packed(const constant fl_packed &o) : fl_fields<T, N>((const constant fl_fields<T, N> &)o) {}
    fl_packed &operator=(const fl_packed &) = default;
    fl_packed &operator=(const constant fl_packed &o) { return *this = (V)o; }
    fl_packed &operator=(V v) { for (int i = 0; i < N; i++) fl_all[i] = v[i]; return *this; }
    fl_packed(V v) { *this = v; }
    template <typename A> explicit fl_packed(A a) { *this = fl_construct<V>(a); }
    template <typename A, typename B, typename... C> constexpr fl_packed(A a, B b, C... c)
        : fl_fields<T, N>(fl_make(fl_kind<sizeof...(C) + 2 == N>(), a, b, c...)) {}
    template <typename A, typename B, typename... C> constexpr fl_packed(A a, B b, C... c) constant
        : fl_fields<T, N>((T)a, (T)b, (T)c...) {}
    operator V() const { FL_GATHER }
    operator V() const constant { FL_GATHER }
    template <typename A> fl_packed &operator+=(A a) { return *this = (V)*this + fl_native(a); }
    template <typename A> fl_packed &operator-=(A a) { return *this = (V)*this - fl_native(a); }
    template <typename A> fl_packed &operator*=(A a) { return *this = (V)*this * fl_native(a); }
    template <typename A> fl_packed &operator/=(A a) { return *this = (V)*this / fl_native(a); }
private:
    template <bool> struct fl_kind {};
    template <typename... A> static constexpr fl_fields<T, N> fl_make(fl_kind<true>, A... a) { return {(T)a...}; }
    template <typename... A> static fl_packed fl_make(fl_kind<false>, A... a) { return fl_construct<V>(a...); }
};
template <typename T, int N> struct fl_shape<fl_packed<T, N>> { enum { size = N, native = 0 }; typedef T scalar; };
template <typename T, int N> constexpr vec<T, N> fl_native(fl_packed<T, N> p) { return p; }

// With a scalar or another packed vector on the other side; with a vector, the conversion alone finds OpenCL's operator.
#define FL_PACKED_OF(op, f)                                                                                              \
    FL_TN auto operator op(fl_packed<T, N> a, fl_packed<T, N> b) { return f(fl_native(a) op fl_native(b)); }             \
    FL_TN_AND(B) auto operator op(fl_packed<T, N> a, B b) { return f(fl_native(a) op fl_native(b)); }                    \
    FL_TN_AND(A) auto operator op(A a, fl_packed<T, N> b) { return f(fl_native(a) op fl_native(b)); }
#define FL_PACKED_OP(op) FL_PACKED_OF(op, )
#define FL_PACKED_COMPARE(op) FL_PACKED_OF(op, fl_truth)
#define FL_TN template <typename T, int N>
#define FL_TN_AND(A) template <typename T, int N, typename A>
FL_PACKED_OP(+) FL_PACKED_OP(-) FL_PACKED_OP(*) FL_PACKED_OP(/) FL_PACKED_OP(%) FL_PACKED_OP(&) FL_PACKED_OP(|) FL_PACKED_OP(^)
FL_PACKED_OP(<<) FL_PACKED_OP(>>)
FL_PACKED_COMPARE(<) FL_PACKED_COMPARE(>) FL_PACKED_COMPARE(<=) FL_PACKED_COMPARE(>=)
FL_PACKED_COMPARE(==) FL_PACKED_COMPARE(!=)
FL_TN auto operator-(fl_packed<T, N> a) { return -fl_native(a); }
FL_TN auto operator~(fl_packed<T, N> a) { return ~fl_native(a); }

#define FL_PACKED_N(T, N) typedef fl_packed<T, N> packed_##T##N; FL_WHOLE(packed_##T##N)
#define FL_PACKED(T) FL_PACKED_N(T, 2) FL_PACKED_N(T, 3) FL_PACKED_N(T, 4)
/*packed_char2 packed_char3 packed_char4*/ FL_PACKED(char)
/*packed_uchar2 packed_uchar3 packed_uchar4*/ FL_PACKED(uchar)
/*packed_short2 packed_short3 packed_short4*/ FL_PACKED(short)
/*packed_ushort2 packed_ushort3 packed_ushort4*/ FL_PACKED(ushort)
/*packed_int2 packed_int3 packed_int4*/ FL_PACKED(int)
/*packed_uint2 packed_uint3 packed_uint4*/ FL_PACKED(uint)
/*packed_long2 packed_long3 packed_long4*/ FL_PACKED(long)
/*packed_ulong2 packed_ulong3 packed_ulong4*/ FL_PACKED(ulong)
/*packed_half2 packed_half3 packed_half4*/ FL_PACKED(half)
/*packed_float2 packed_float3 packed_float4*/ FL_PACKED(float)

}  // namespace metal
