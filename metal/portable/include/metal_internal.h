// Apple-internal names that public code calls: what <metal_stdlib> is made of on a Mac. No specification names them, yet MLX gives
// bfloat its mathematics with them. Only those are here whose behaviour shows in what calls them; all modes of a function are
// one, as OpenCL's is exact enough for each (of float: nobody is known to give them halves).

#define __METAL_MAYBE_FAST_MATH__ 0
#define __METAL_FAST_MATH__ 1
#define __METAL_PRECISE_MATH__ 2

namespace metal {

#define FL_MODE_1(name, f) template <typename T> inline T __metal_##name(T x, int mode) { return f(x); }
#define FL_MODE_2(name, f) template <typename T> inline T __metal_##name(T x, T y, int mode) { return f(x, y); }
#define FL_MODE_3(name, e) template <typename T> inline T __metal_##name(T x, T y, T z, int mode) { return e; }
#define FL_RECIPROCAL_ROOT(x) ((T)(1.0f / ::sqrt((float)(x))))
#define FL_QUOTIENT(x, y) ((x) / (y))
#define FL_FRACTION(x) ::fmin(x - ::floor(x), (T)0x1.fffffep-1f)
/*__metal_acos*/ FL_MODE_1(acos, ::acos)
/*__metal_acosh*/ FL_MODE_1(acosh, ::acosh)
/*__metal_asin*/ FL_MODE_1(asin, ::asin)
/*__metal_asinh*/ FL_MODE_1(asinh, ::asinh)
/*__metal_atan*/ FL_MODE_1(atan, ::atan)
/*__metal_atanh*/ FL_MODE_1(atanh, ::atanh)
/*__metal_ceil*/ FL_MODE_1(ceil, ::ceil)
/*__metal_cos*/ FL_MODE_1(cos, ::cos)
/*__metal_cosh*/ FL_MODE_1(cosh, ::cosh)
/*__metal_cospi*/ FL_MODE_1(cospi, ::cospi)
/*__metal_exp*/ FL_MODE_1(exp, ::exp)
/*__metal_exp10*/ FL_MODE_1(exp10, ::exp10)
/*__metal_exp2*/ FL_MODE_1(exp2, ::exp2)
/*__metal_fabs*/ FL_MODE_1(fabs, ::fabs)
/*__metal_floor*/ FL_MODE_1(floor, ::floor)
/*__metal_fract*/ FL_MODE_1(fract, FL_FRACTION)
/*__metal_log*/ FL_MODE_1(log, ::log)
/*__metal_log10*/ FL_MODE_1(log10, ::log10)
/*__metal_log2*/ FL_MODE_1(log2, ::log2)
/*__metal_rint*/ FL_MODE_1(rint, ::rint)
/*__metal_round*/ FL_MODE_1(round, ::round)
/*__metal_rsqrt*/ FL_MODE_1(rsqrt, FL_RECIPROCAL_ROOT)
/*__metal_sin*/ FL_MODE_1(sin, ::sin)
/*__metal_sinh*/ FL_MODE_1(sinh, ::sinh)
/*__metal_sinpi*/ FL_MODE_1(sinpi, ::sinpi)
/*__metal_sqrt*/ FL_MODE_1(sqrt, ::sqrt)
/*__metal_tan*/ FL_MODE_1(tan, ::tan)
/*__metal_tanh*/ FL_MODE_1(tanh, ::tanh)
/*__metal_tanpi*/ FL_MODE_1(tanpi, ::tanpi)
/*__metal_trunc*/ FL_MODE_1(trunc, ::trunc)
/*__metal_atan2*/ FL_MODE_2(atan2, ::atan2)
/*__metal_divide*/ FL_MODE_2(divide, FL_QUOTIENT)
/*__metal_fmax*/ FL_MODE_2(fmax, ::fmax)
/*__metal_fmin*/ FL_MODE_2(fmin, ::fmin)
/*__metal_fmod*/ FL_MODE_2(fmod, ::fmod)
/*__metal_pow*/ FL_MODE_2(pow, ::pow)
/*__metal_powr*/ FL_MODE_2(powr, ::powr)
/*__metal_fmax3*/ FL_MODE_3(fmax3, ::fmax(x, ::fmax(y, z)))
/*__metal_fmin3*/ FL_MODE_3(fmin3, ::fmin(x, ::fmin(y, z)))
/*__metal_fmedian3*/ FL_MODE_3(fmedian3, ::fmax(::fmin(x, y), ::fmin(::fmax(x, y), z)))
/*__metal_fma*/ template <typename T> inline T __metal_fma(T x, T y, T z) { return ::fma(x, y, z); }
/*__metal_frexp*/ template <typename T> inline T __metal_frexp(T x, thread int *exponent) { return ::frexp(x, exponent); }
/*__metal_ldexp*/ template <typename T> inline T __metal_ldexp(T x, int k, int mode) { return ::ldexp(x, k); }
/*__metal_nextafter*/ template <typename T> inline T __metal_nextafter(T x, T y) { return ::nextafter(x, y); }

// --- traits -----------------------------------------------------------------------------------------------------------
#define FL_DISJUNCTION template <typename... A> struct _disjunction { static constexpr constant bool value = (A::value || ...); };
#define FL_CONJUNCTION template <typename... A> struct _conjunction { static constexpr constant bool value = (A::value && ...); };
/*_disjunction*/ FL_DISJUNCTION
/*_conjunction*/ FL_CONJUNCTION

// --- SIMD-groups ------------------------------------------------------------------------------------------------------
/*__metal_get_simdgroup_size*/ template <typename T> inline T __metal_get_simdgroup_size(T) { return 32; }
#define FL_THREAD_IN_SIMDGROUP template <typename T> inline T __metal_get_thread_index_in_simdgroup(T) {                 \
    return get_sub_group_local_id(); }
/*__metal_get_thread_index_in_simdgroup*/ FL_THREAD_IN_SIMDGROUP
#define FL_LANES(name, f) template <typename T> inline T __metal_simd_##name(T x) { return f(x); }
#define FL_LANES_N(name, f) template <typename T> inline T __metal_simd_##name(T x, ushort n) { return f(x, n); }
#define FL_LANES_FILL(name) template <typename T>                                                                        \
    inline T __metal_simd_shuffle_and_fill_##name(T x, T filling, ushort n, ushort modulo) {                             \
        return fl_lanes_fill_##name(x, filling, n, modulo); }
/*__metal_simd_sum*/ FL_LANES(sum, fl_sum)
/*__metal_simd_product*/ FL_LANES(product, fl_product)
/*__metal_simd_min*/ FL_LANES(min, fl_min)
/*__metal_simd_max*/ FL_LANES(max, fl_max)
/*__metal_simd_prefix_inclusive_sum*/ FL_LANES(prefix_inclusive_sum, fl_inclusive_sum)
/*__metal_simd_prefix_exclusive_sum*/ FL_LANES(prefix_exclusive_sum, fl_exclusive_sum)
/*__metal_simd_prefix_inclusive_product*/ FL_LANES(prefix_inclusive_product, fl_inclusive_product)
/*__metal_simd_prefix_exclusive_product*/ FL_LANES(prefix_exclusive_product, fl_exclusive_product)
/*__metal_simd_xor*/ FL_LANES(xor, sub_group_non_uniform_reduce_xor)
/*__metal_simd_xor*/ float __metal_simd_xor(float);  // named by MLX, called by nobody: what it would give is not known
/*__metal_simd_broadcast*/ FL_LANES_N(broadcast, FL_BROADCAST)
/*__metal_simd_shuffle*/ FL_LANES_N(shuffle, fl_from_lane)
/*__metal_simd_shuffle_up*/ FL_LANES_N(shuffle_up, fl_lanes_up)
/*__metal_simd_shuffle_down*/ FL_LANES_N(shuffle_down, fl_lanes_down)
/*__metal_simd_shuffle_rotate_up*/ FL_LANES_N(shuffle_rotate_up, fl_lanes_rotate_up)
/*__metal_simd_shuffle_rotate_down*/ FL_LANES_N(shuffle_rotate_down, fl_lanes_rotate_down)
/*__metal_simd_shuffle_xor*/ FL_LANES_N(shuffle_xor, fl_lanes_xor)
/*__metal_simd_shuffle_and_fill_up*/ FL_LANES_FILL(up)
/*__metal_simd_shuffle_and_fill_down*/ FL_LANES_FILL(down)

}  // namespace metal
