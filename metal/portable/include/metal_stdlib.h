// What Metal programs find in <metal_stdlib>, said in C++ for OpenCL: the part that every translated program needs. Which other
// parts are put behind it is said in library.py. Read by libclang too (with FL_PARSE defined, where the few things its OpenCL
// lacks are declared first).
//
// The program itself stands inside namespace metal, so that an unqualified exp(x) finds metal::exp below, never OpenCL's
// ::exp, and a program's own function of the same name hides ours without a clash.

#define device __global
#define threadgroup __local
#define constant __constant
#define thread __private

#pragma OPENCL EXTENSION cl_khr_fp16 : enable

#ifndef M_PI_F
#define M_PI_F 3.14159265358979323846f
#endif
#ifndef INFINITY
#define INFINITY (__builtin_inff())
#define NAN (__builtin_nanf(""))
#endif
#ifndef FLT_MAX
#define FLT_MAX 0x1.fffffep127f
#define FLT_MIN 0x1.0p-126f
#define FLT_EPSILON 0x1.0p-23f
#define INT_MAX 2147483647
#define INT_MIN (-2147483647 - 1)
#define UINT_MAX 0xffffffffu
#define HALF_MAX ((0x1.ffcp15h))
#define HALF_MIN ((0x1.0p-14h))
#endif

namespace metal {

typedef char int8_t;
typedef uchar uint8_t;
typedef short int16_t;
typedef ushort uint16_t;
typedef int int32_t;
typedef uint uint32_t;
typedef long int64_t;
typedef ulong uint64_t;

// --- vectors: vec<T, N>, and what float4(…) becomes ------------------------------------------------------------------
// fl_shape says of a type how many components it has (0: it is no vector) and of what; fl_native makes of a vector one that
// OpenCL has. Types of our own (bool4, packed_float3, bfloat2) say both in their parts.
template <typename T, int N> struct fl_vec;
template <typename V> struct fl_shape { enum { size = 0, native = 0 }; typedef V scalar; };
template <typename V> constexpr V fl_native(V v) { return v; }
constexpr char fl_native(bool b) { return b; }  // 1 or 0 also where it is spread over a vector
#define FL_VECTOR(T, N)                                                                     \
    typedef ::T##N T##N;                                                                    \
    template <> struct fl_vec<T, N> { typedef T##N type; };                                 \
    template <> struct fl_shape<T##N> { enum { size = N, native = 1 }; typedef T scalar; };
#define FL_VECTORS(T) FL_VECTOR(T, 2) FL_VECTOR(T, 3) FL_VECTOR(T, 4)
FL_VECTORS(char) FL_VECTORS(uchar) FL_VECTORS(short) FL_VECTORS(ushort) FL_VECTORS(int) FL_VECTORS(uint)
FL_VECTORS(long) FL_VECTORS(ulong) FL_VECTORS(half) FL_VECTORS(float)
template <typename T> struct fl_vec<T, 1> { typedef T type; };
template <typename T, int N> using vec = typename fl_vec<T, N>::type;
template <typename T, int N> using fl_native_vec = T __attribute__((ext_vector_type(N)));  // OpenCL's: T and N can be deduced (deduction.py)

// A piece of a vector of S that is being built: a scalar, or a native vector of n components of A.
template <typename S, typename A, int n> struct fl_piece {
    static constexpr vec<S, n> of(vec<A, n> v) { return __builtin_convertvector(v, vec<S, n>); }
};
template <typename S, int n> struct fl_piece<S, S, n> { static constexpr vec<S, n> of(vec<S, n> v) { return v; } };
template <typename S, typename A> struct fl_piece<S, A, 0> { static constexpr S of(A a) { return (S)a; } };
template <typename S> struct fl_piece<S, S, 0> { static constexpr S of(S a) { return a; } };
// How to build a V: 0, by its own constructors (a scalar, a struct, a vector of ours); 1, from one scalar (splat) or one
// vector (conversion of every component); 2, from several pieces in order. Braces, as (V)(a, b) would be a comma expression.
template <typename V, int kind> struct fl_build {
    template <typename... A> static constexpr V make(A... a) { return V(a...); }
};
template <typename V, typename A> constexpr auto fl_part(A a) {
    return fl_piece<typename fl_shape<V>::scalar, typename fl_shape<decltype(fl_native(a))>::scalar, fl_shape<A>::size>::of(
        fl_native(a));
}
template <typename V> struct fl_build<V, 1> {
    template <typename A> static constexpr V make(A a) {
        constexpr bool fits = (int)fl_shape<A>::size == 0 || (int)fl_shape<A>::size == (int)fl_shape<V>::size;
        static_assert(fits, "wrong number of components for this vector");
        if constexpr (fits) return (V)fl_part<V>(a); else return V{};
    }
};
template <typename V> struct fl_build<V, 2> {
    template <typename A> struct count { enum { n = fl_shape<A>::size ? (int)fl_shape<A>::size : 1 }; };
    template <typename... A> static constexpr V make(A... a) {
        constexpr bool fits = (count<A>::n + ...) == fl_shape<V>::size;
        static_assert(fits, "wrong number of components for this vector");
        if constexpr (fits) return V{fl_part<V>(a)...}; else return V{};
    }
};
template <typename V> constexpr V fl_construct() { return V{}; }
template <typename V, typename... A> constexpr V fl_construct(A... a) {
    return fl_build<V, fl_shape<V>::native == 0 ? 0 : sizeof...(A) == 1 ? 1 : 2>::make(a...);
}
// What truth.py puts around comparisons of vectors, which give −1 for true in OpenCL: a boolN. And around what may be a bool
// where a template may want a vector: 1 or 0, which a bool is not when it is spread over one.
template <typename M> constexpr auto fl_truth(M m) {
    if constexpr (fl_shape<M>::native != 0) return vec<bool, fl_shape<M>::size>(m); else return m;
}
template <typename B> constexpr auto fl_bit(B b) { if constexpr (__is_same(B, bool)) return (char)b; else return b; }
// What repair.py puts around a struct that is read out of constant memory, around a value without a name that a reference to
// thread memory takes, and around a scalar of a higher rank than the components of the vector on the other side, of type O.
template <typename T> inline T fl_copy(const constant T &from) {
    T to;
    for (size_t i = 0; i < sizeof(T); i++) ((thread uchar *)&to)[i] = ((const constant uchar *)&from)[i];
    return to;
}
template <typename T, typename... Nothing> inline T fl_copy(T from, Nothing...) { return from; }
// What temporaries.py puts around a value whose method says thread; what has a place already stays there.
#define FL_STAYS(space) template <typename T> constexpr space T &fl_here(space T &there) { return there; }
FL_STAYS(device) FL_STAYS(threadgroup) FL_STAYS(thread) FL_STAYS(constant)
template <typename T> constexpr thread T &fl_here(T &&value) { return (thread T &)value; }
template <typename O, typename S> constexpr auto fl_fit(S s) {
    typedef typename fl_shape<O>::scalar E;
    if constexpr (fl_shape<O>::size != 0 && ((E)0.5f != (E)0 || (S)0.5f == (S)0)) return (E)s; else return s;
}
// What spaces.py puts around a value that is bound to a thread const T &, where it lies until the call is over; and around a member
// that Metal knows to be the thread's.
template <typename T> inline const thread T &fl_temporary(const T &value) { return *(const thread T *)&value; }
template <typename T> inline thread T &fl_thread(__generic T &member) { return *(thread T *)&member; }
template <typename T> inline thread T *fl_thread(__generic T *member) { return (thread T *)member; }
#define FL_AS_IT_IS(space) template <typename T> inline space T &fl_thread(space T &x) { return x; }
FL_AS_IT_IS(thread) FL_AS_IT_IS(device) FL_AS_IT_IS(threadgroup) FL_AS_IT_IS(constant)
template <typename T, typename U> inline T as_type(U x) {
    static_assert(sizeof(T) == sizeof(U), "as_type: the two types differ in size");
    return __builtin_astype(x, T);
}

// A condition of a template on a function F that it is handed (functions.py): int if F can be called as a function of type S.
/*fl_takes*/ template <typename S> struct fl_signature;
/*fl_takes*/ template <typename R, typename... P> struct fl_signature<R(P...)> {
/*fl_takes*/     template <typename T> static T one();
/*fl_takes*/     template <typename F> static auto ask(decltype((void)F::fl_call(one<P>()...)) *) -> int;
/*fl_takes*/ };
/*fl_takes*/ template <typename S, typename F> using fl_takes = decltype(fl_signature<S>::template ask<F>(nullptr));

// Makes a template's instance at once: a kernel's parameter may not point to one that nothing has needed yet.
#define FL_WHOLE(...) static_assert(sizeof(__VA_ARGS__) != 0, "");

// --- for the other parts: M once for each type -----------------------------------------------------------------------
#define FL_EACH_FLOAT(M, name) M(name, float) M(name, float2) M(name, float3) M(name, float4) \
                               M(name, half) M(name, half2) M(name, half3) M(name, half4)
#define FL_EACH_INT_OF(M, T) M(T) M(T##2) M(T##3) M(T##4)
#define FL_EACH_INT(M)                                                                                                \
    FL_EACH_INT_OF(M, char) FL_EACH_INT_OF(M, uchar) FL_EACH_INT_OF(M, short) FL_EACH_INT_OF(M, ushort)               \
    FL_EACH_INT_OF(M, int) FL_EACH_INT_OF(M, uint) FL_EACH_INT_OF(M, long) FL_EACH_INT_OF(M, ulong)

// --- synchronisation -------------------------------------------------------------------------------------------------
enum class mem_flags : uint {
    mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4, mem_threadgroup_imageblock = 8
};
inline mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(uint(a) | uint(b)); }

inline void threadgroup_barrier(mem_flags flags) {
    // The fence flags must be literals to OpenCL; both are always fenced, which is never weaker than asked for.
    work_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
}
// The device's own, for programs that look for __METAL_PORTABLE__: that memory is read soon. The address need not be in a buffer.
inline void portable_prefetch(device const void *p) { __builtin_prefetch((const void *)p); }
inline void simdgroup_barrier(mem_flags flags) { sub_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE); }

}  // namespace metal
