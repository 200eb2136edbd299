// <metal_relational>: questions about values, and choices by them. A line is kept only for programs in which its name stands
// (library.py).
//
// `not` is C++'s other spelling of `!`. Fast math may assume that NaN and infinity never occur, on Apple's compiler as here; what
// comes out of memory is told truly here.

namespace metal {

#define FL_EACH_VECTOR(M, name) \
    M(name, float2) M(name, float3) M(name, float4) M(name, half2) M(name, half3) M(name, half4)
#define FL_IS(name, T) inline bool name(T x) { return ::name(x); }
#define FL_ARE(name, T) inline auto name(T x) { return fl_truth(::name(x)); }
#define FL_IS_2(name, T) inline bool name(T x, T y) { return ::name(x, y); }
#define FL_ARE_2(name, T) inline auto name(T x, T y) { return fl_truth(::name(x, y)); }
#define FL_ASK(name) FL_IS(name, float) FL_IS(name, half) FL_EACH_VECTOR(FL_ARE, name)
#define FL_ASK_2(name) FL_IS_2(name, float) FL_IS_2(name, half) FL_EACH_VECTOR(FL_ARE_2, name)
/*isfinite*/ FL_ASK(isfinite)
/*isinf*/ FL_ASK(isinf)
/*isnan*/ FL_ASK(isnan)
/*isnormal*/ FL_ASK(isnormal)
/*signbit*/ FL_ASK(signbit)
/*isordered*/ FL_ASK_2(isordered)
/*isunordered*/ FL_ASK_2(isunordered)

// all and any of a boolN, and select between boolNs, stand in metal_bool.h.
/*all*/ inline bool all(bool x) { return x; }
/*any*/ inline bool any(bool x) { return x; }

// One bool chooses for a whole vector, as it does in Metal, where it turns into a vector of bools.
#define FL_CHOOSE(T) inline T select(T no, T yes, bool c) { return c ? yes : no; }
#define FL_CHOOSE_EACH(T)                                                                                               \
    FL_CHOOSE(T) inline T select(T no, T yes, fl_bools<fl_shape<T>::size> c) {                                          \
        for (int i = 0; i < (int)fl_shape<T>::size; i++) no[i] = c[i] ? yes[i] : no[i];                                 \
        return no;                                                                                                      \
    }
#define FL_SELECT(T) FL_CHOOSE(T) FL_CHOOSE_EACH(T##2) FL_CHOOSE_EACH(T##3) FL_CHOOSE_EACH(T##4)
/*select*/ FL_SELECT(float) FL_SELECT(half) FL_SELECT(char) FL_SELECT(uchar) FL_SELECT(short) FL_SELECT(ushort)
/*select*/ FL_SELECT(int) FL_SELECT(uint) FL_SELECT(long) FL_SELECT(ulong) FL_CHOOSE(bool)

}  // namespace metal
