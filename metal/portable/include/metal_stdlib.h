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
template <typename T, int N> struct fl_vec;
template <typename V> struct fl_shape { enum { size = 0 }; };
#define FL_VECTOR(T, N)                                                                     \
    template <> struct fl_vec<T, N> { typedef T##N type; };                                 \
    template <> struct fl_shape<T##N> { enum { size = N }; typedef T scalar; };
#define FL_VECTORS(T) FL_VECTOR(T, 2) FL_VECTOR(T, 3) FL_VECTOR(T, 4)
FL_VECTORS(char) FL_VECTORS(uchar) FL_VECTORS(short) FL_VECTORS(ushort) FL_VECTORS(int) FL_VECTORS(uint)
FL_VECTORS(long) FL_VECTORS(ulong) FL_VECTORS(half) FL_VECTORS(float)
template <typename T> struct fl_vec<T, 1> { typedef T type; };
template <typename T, int N> using vec = typename fl_vec<T, N>::type;

// How to build a V: 0, not a vector (a scalar or a struct: an ordinary constructor); 1, from one scalar (splat) or one
// vector (conversion of every component); 2, from several pieces in order.
template <typename V, int kind> struct fl_build {
    template <typename... A> static V make(A... a) { return V(a...); }
};
template <typename V> struct fl_build<V, 1> {
    template <typename A, int n> struct one { static V make(A a) { return __builtin_convertvector(a, V); } };
    template <typename A> struct one<A, 0> { static V make(A a) { return (V)((typename fl_shape<V>::scalar)a); } };
    template <typename A> static V make(A a) { return one<A, fl_shape<A>::size>::make(a); }
};
template <typename V> struct fl_build<V, 2> {
    template <typename A, int n> struct put {
        static int to(V &v, int at, A a) { for (int i = 0; i < n; i++) v[at + i] = a[i]; return at + n; }
    };
    template <typename A> struct put<A, 0> {
        static int to(V &v, int at, A a) { v[at] = (typename fl_shape<V>::scalar)a; return at + 1; }
    };
    template <typename A> static int fill(V &v, int at, A a) { return put<A, fl_shape<A>::size>::to(v, at, a); }
    template <typename A> struct count { enum { n = fl_shape<A>::size ? (int)fl_shape<A>::size : 1 }; };
    template <typename A, typename B> static V make(A a, B b) {
        static_assert(count<A>::n + count<B>::n == fl_shape<V>::size, "wrong number of components for this vector");
        V v; fill(v, fill(v, 0, a), b); return v;
    }
    template <typename A, typename B, typename C> static V make(A a, B b, C c) {
        static_assert(count<A>::n + count<B>::n + count<C>::n == fl_shape<V>::size,
                      "wrong number of components for this vector");
        V v; fill(v, fill(v, fill(v, 0, a), b), c); return v;
    }
    template <typename A, typename B, typename C, typename D> static V make(A a, B b, C c, D d) {
        static_assert(count<A>::n + count<B>::n + count<C>::n + count<D>::n == fl_shape<V>::size,
                      "wrong number of components for this vector");
        V v; v.x = (typename fl_shape<V>::scalar)a; v.y = (typename fl_shape<V>::scalar)b;
        v.z = (typename fl_shape<V>::scalar)c; v.w = (typename fl_shape<V>::scalar)d; return v;
    }
};
template <typename V> inline V fl_construct() { return V{}; }
template <typename V, typename... A> inline V fl_construct(A... a) {
    return fl_build<V, fl_shape<V>::size == 0 ? 0 : sizeof...(A) == 1 ? 1 : 2>::make(a...);
}
template <typename T, typename U> inline T as_type(U x) {
    static_assert(sizeof(T) == sizeof(U), "as_type: the two types differ in size");
    return __builtin_astype(x, T);
}

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
inline void simdgroup_barrier(mem_flags flags) { sub_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE); }

}  // namespace metal
