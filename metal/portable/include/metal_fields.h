// What packed_T2, packed_T3, packed_T4 and bool2, bool3, bool4 share: components as fields, as an array, and by swizzle.
//
// OpenCL's own vectors cannot be these: its three components take the room of four, and it has none of bool. A method stands
// once for each address space, for `this` has one; a macro repeats it. Without `space` it is generic: all but constant.

namespace metal {

#define FL_EACH_SPACE(M) M(device) M(threadgroup) M(thread) FL_EACH_CONST_SPACE(M)
#define FL_EACH_CONST_SPACE(M) M(const device) M(const threadgroup) M(const thread) M(const constant)
#define FL_AT(space) space T &operator[](int i) space & { return fl_all[i]; }
#define FL_ATS FL_EACH_SPACE(FL_AT) T operator[](int i) && { return fl_all[i]; }
#define FL_GATHER vec<T, N> v; for (int i = 0; i < N; i++) v[i] = fl_all[i]; return v;
// A swizzle of neighbours (.xy, .yzw) lies in the fields' own memory; any other would have to be a copy, and is not there.
template <typename T, int N> struct fl_run {
    T fl_all[N];
    fl_run() = default;
    fl_run(const fl_run &) = default;
    fl_run(const constant fl_run &o) { for (int i = 0; i < N; i++) fl_all[i] = o.fl_all[i]; }
    FL_ATS
    operator vec<T, N>() const { FL_GATHER }
    operator vec<T, N>() const constant { FL_GATHER }
    fl_run &operator=(const fl_run &) = default;
    void operator=(vec<T, N> v) { for (int i = 0; i < N; i++) fl_all[i] = v[i]; }
};
template <typename T, int N> struct fl_shape<fl_run<T, N>> { enum { size = N, native = 0 }; typedef T scalar; };
template <typename T, int N> auto fl_native(fl_run<T, N> v) { vec<T, N> whole = v; return fl_native(whole); }

// What repair.py puts around a vector of ours whose components are taken in another order: OpenCL's vector does that. The result is
// of the same kind, E; one that is written goes back when the statement is over.
template <typename E, typename V> auto fl_like(V v) { return vec<typename fl_shape<E>::scalar, fl_shape<V>::size>(v); }
template <typename V> struct fl_pointing { V fl_all; V *operator->() { return &fl_all; } };
template <typename E> auto fl_pointed(E e) { return fl_pointing<decltype(fl_native(e))>{fl_native(e)}; }
template <typename V, typename P> struct fl_writing {
    P fl_to; V fl_all;
    V *operator->() { return &fl_all; }
    V &fl_whole() { return fl_all; }
    ~fl_writing() { *fl_to = fl_all; }
};
#define FL_WRITTEN(space)                                                                                              \
    template <typename E> auto fl_written(space E &e) {                                                                \
        return fl_writing<decltype(fl_native(e)), space E *>{&e, fl_native(e)}; }
FL_WRITTEN(device) FL_WRITTEN(threadgroup) FL_WRITTEN(thread)

template <typename T, int N> struct fl_fields;
template <typename T> struct fl_fields<T, 2> {
    union { struct { T x, y; }; struct { T r, g; }; T fl_all[2]; fl_run<T, 2> xy, rg; };
    fl_fields() = default;
    constexpr fl_fields(T x, T y) : x(x), y(y) {}
    constexpr fl_fields(T x, T y) constant : x(x), y(y) {}
    constexpr fl_fields(const constant fl_fields &o) : x(o.x), y(o.y) {}
    fl_fields(const fl_fields &) = default;
    FL_ATS
};
template <typename T> struct fl_fields<T, 3> {
    union {
        struct { T x, y, z; }; struct { T r, g, b; }; T fl_all[3]; fl_run<T, 3> xyz, rgb; fl_run<T, 2> xy, rg;
        struct { T fl_x; fl_run<T, 2> yz; }; struct { T fl_r; fl_run<T, 2> gb; };
    };
    fl_fields() = default;
    constexpr fl_fields(T x, T y, T z) : x(x), y(y), z(z) {}
    constexpr fl_fields(T x, T y, T z) constant : x(x), y(y), z(z) {}
    constexpr fl_fields(const constant fl_fields &o) : x(o.x), y(o.y), z(o.z) {}
    fl_fields(const fl_fields &) = default;
    FL_ATS
};
template <typename T> struct fl_fields<T, 4> {
    union {
        struct { T x, y, z, w; }; struct { T r, g, b, a; }; T fl_all[4]; fl_run<T, 4> xyzw, rgba;
        fl_run<T, 3> xyz, rgb; fl_run<T, 2> xy, rg; struct { T fl_x; fl_run<T, 3> yzw; }; struct { T fl_r; fl_run<T, 3> gba; };
        struct { T fl_y; fl_run<T, 2> yz; }; struct { T fl_g; fl_run<T, 2> gb; };
        struct { T fl_w[2]; fl_run<T, 2> zw; }; struct { T fl_a[2]; fl_run<T, 2> ba; };
    };
    fl_fields() = default;
    constexpr fl_fields(T x, T y, T z, T w) : x(x), y(y), z(z), w(w) {}
    constexpr fl_fields(T x, T y, T z, T w) constant : x(x), y(y), z(z), w(w) {}
    constexpr fl_fields(const constant fl_fields &o) : x(o.x), y(o.y), z(o.z), w(o.w) {}
    fl_fields(const fl_fields &) = default;
    FL_ATS
};

}  // namespace metal
