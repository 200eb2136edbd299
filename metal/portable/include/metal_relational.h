// <metal_relational>: questions about values, and choices by them. A line is kept only for programs in which its name stands
// (library.py).
//
// Metal answers for a vector with bools (bool4), OpenCL with a mask: a vector of integers as wide as what was compared, -1 for
// true and 0 for false. Comparisons and the questions here give such masks; all, any and select take them. `not` is C++'s other
// spelling of `!`, which turns a mask round as well. Fast math may assume that NaN and infinity never occur, on Apple's
// compiler as here; what comes out of memory is told truly here.

namespace metal {

#define FL_EACH_VECTOR(M, name) \
    M(name, float2) M(name, float3) M(name, float4) M(name, half2) M(name, half3) M(name, half4)
#define FL_IS(name, T) inline bool name(T x) { return ::name(x); }
#define FL_ARE(name, T) inline auto name(T x) { return ::name(x); }
#define FL_IS_2(name, T) inline bool name(T x, T y) { return ::name(x, y); }
#define FL_ARE_2(name, T) inline auto name(T x, T y) { return ::name(x, y); }
#define FL_ASK(name) FL_IS(name, float) FL_IS(name, half) FL_EACH_VECTOR(FL_ARE, name)
#define FL_ASK_2(name) FL_IS_2(name, float) FL_IS_2(name, half) FL_EACH_VECTOR(FL_ARE_2, name)
/*isfinite*/ FL_ASK(isfinite)
/*isinf*/ FL_ASK(isinf)
/*isnan*/ FL_ASK(isnan)
/*isnormal*/ FL_ASK(isnormal)
/*signbit*/ FL_ASK(signbit)
/*isordered*/ FL_ASK_2(isordered)
/*isunordered*/ FL_ASK_2(isunordered)

#define FL_EACH_MASK_OF(M, T) M(T##2) M(T##3) M(T##4)
#define FL_EACH_MASK(M) FL_EACH_MASK_OF(M, char) FL_EACH_MASK_OF(M, short) FL_EACH_MASK_OF(M, int) FL_EACH_MASK_OF(M, long)
#define FL_ALL(T) inline bool all(T x) { return ::all(x != (T)(0)); }
#define FL_ANY(T) inline bool any(T x) { return ::any(x != (T)(0)); }
/*all*/ inline bool all(bool x) { return x; }
/*all*/ FL_EACH_MASK(FL_ALL)
/*any*/ inline bool any(bool x) { return x; }
/*any*/ FL_EACH_MASK(FL_ANY)

// OpenCL's own select wants a mask exactly as wide as the values; Metal has no such rule (a half4's comparison may choose
// between int4s). One bool chooses for a whole vector, as it does in Metal, where it turns into a vector of bools.
template <typename M> struct fl_mask {};
#define FL_MASK(T) template <> struct fl_mask<T> { typedef T type; };
FL_EACH_MASK(FL_MASK)
#define FL_CHOOSE(T) inline T select(T no, T yes, bool c) { return c ? yes : no; }
#define FL_CHOOSE_EACH(T)                                                                                               \
    FL_CHOOSE(T) template <typename M, typename = typename fl_mask<M>::type> inline T select(T no, T yes, M c) {        \
        const int n = fl_shape<T>::size;                                                                                \
        static_assert((int)fl_shape<M>::size == n, "select needs as many conditions as the values have components");    \
        for (int i = 0; i < n; i++) no[i] = c[i] ? yes[i] : no[i];                                                      \
        return no;                                                                                                      \
    }
#define FL_SELECT(T) FL_CHOOSE(T) FL_CHOOSE_EACH(T##2) FL_CHOOSE_EACH(T##3) FL_CHOOSE_EACH(T##4)
/*select*/ FL_SELECT(float) FL_SELECT(half) FL_SELECT(char) FL_SELECT(uchar) FL_SELECT(short) FL_SELECT(ushort)
/*select*/ FL_SELECT(int) FL_SELECT(uint) FL_SELECT(long) FL_SELECT(ulong) FL_CHOOSE(bool)

}  // namespace metal
