// <metal_math> and <metal_common>: float and half, scalars and vectors; the floats' also in metal::fast and metal::precise.
// A line is kept only for programs in which its name stands (library.py).
//
// One implementation serves all three: OpenCL's built-ins are compiled without the options of the program, and keep within
// the specification's precise table (8.1), NaN and infinity included. Only where the precise table asks for correct rounding and
// they, or the compiler's fast math around them, may miss it has metal::precise its own. A half goes through float wherever the
// result is rounded by more than half an ulp: on a processor with arithmetic of halves (AVX-512 FP16) the built-ins for them are
// off by more than table 8.3's one ulp.

namespace metal {

#define FL_EACH_SINGLE(M, name) M(name, float) M(name, float2) M(name, float3) M(name, float4)
// metal::fast and metal::precise are for single precision only
#define FL_VARIANTS(M, name) namespace fast { FL_EACH_SINGLE(M, name) } namespace precise { FL_EACH_SINGLE(M, name) }
#define FL_FLOATS(M, name) FL_EACH_FLOAT(M, name) FL_VARIANTS(M, name)
#define FL_EACH_HALF(H, name) H(name, half, float) H(name, half2, float2) H(name, half3, float3) H(name, half4, float4)
#define FL_NEARLY(M, H, name) FL_EACH_SINGLE(M, name) FL_VARIANTS(M, name) FL_EACH_HALF(H, name)

#define FL_1(name, T) inline T name(T x) { return ::name(x); }
#define FL_2(name, T) inline T name(T x, T y) { return ::name(x, y); }
#define FL_1H(name, H, T) inline H name(H x) { return ::convert_##H(::name(::convert_##T(x))); }
#define FL_2H(name, H, T) inline H name(H x, H y) { return ::convert_##H(::name(::convert_##T(x), ::convert_##T(y))); }
/*acos*/ FL_NEARLY(FL_1, FL_1H, acos)
/*acosh*/ FL_NEARLY(FL_1, FL_1H, acosh)
/*asin*/ FL_NEARLY(FL_1, FL_1H, asin)
/*asinh*/ FL_NEARLY(FL_1, FL_1H, asinh)
/*atan*/ FL_NEARLY(FL_1, FL_1H, atan)
/*atanh*/ FL_NEARLY(FL_1, FL_1H, atanh)
/*ceil*/ FL_FLOATS(FL_1, ceil)
/*cos*/ FL_NEARLY(FL_1, FL_1H, cos)
/*cosh*/ FL_NEARLY(FL_1, FL_1H, cosh)
/*cospi*/ FL_NEARLY(FL_1, FL_1H, cospi)
/*exp*/ FL_NEARLY(FL_1, FL_1H, exp)
/*exp2*/ FL_NEARLY(FL_1, FL_1H, exp2)
/*exp10*/ FL_NEARLY(FL_1, FL_1H, exp10)
/*fabs*/ FL_FLOATS(FL_1, fabs)
/*floor*/ FL_FLOATS(FL_1, floor)
/*log*/ FL_NEARLY(FL_1, FL_1H, log)
/*log2*/ FL_NEARLY(FL_1, FL_1H, log2)
/*log10*/ FL_NEARLY(FL_1, FL_1H, log10)
/*rint*/ FL_FLOATS(FL_1, rint)
/*round*/ FL_FLOATS(FL_1, round)
/*sin*/ FL_NEARLY(FL_1, FL_1H, sin)
/*sinh*/ FL_NEARLY(FL_1, FL_1H, sinh)
/*sinpi*/ FL_NEARLY(FL_1, FL_1H, sinpi)
/*tan*/ FL_NEARLY(FL_1, FL_1H, tan)
/*tanh*/ FL_NEARLY(FL_1, FL_1H, tanh)
/*tanpi*/ FL_NEARLY(FL_1, FL_1H, tanpi)
/*trunc*/ FL_FLOATS(FL_1, trunc)
/*atan2*/ FL_NEARLY(FL_2, FL_2H, atan2)
/*copysign*/ FL_FLOATS(FL_2, copysign)
/*fdim*/ FL_FLOATS(FL_2, fdim)
/*fmax*/ FL_FLOATS(FL_2, fmax)
/*fmin*/ FL_FLOATS(FL_2, fmin)
/*fmod*/ FL_FLOATS(FL_2, fmod)
/*pow*/ FL_NEARLY(FL_2, FL_2H, pow)
/*powr*/ FL_NEARLY(FL_2, FL_2H, powr)

// --- correctly rounded: no fast math's x * (1 / y) for x / y; for the roots of precise:: double, rounded once ----------
#define FL_PRECISELY _Pragma("clang fp reassociate(off) reciprocal(off)")
#define FL_EACH_WIDE(M) M(float, double) M(float2, double2) M(float3, double3) M(float4, double4)
#define FL_OWN(M, name, PRECISE)                                                                                        \
    FL_EACH_FLOAT(M, name) namespace fast { FL_EACH_SINGLE(M, name) } namespace precise { FL_EACH_WIDE(PRECISE) }
#define FL_DIVIDE(name, T) inline T divide(T x, T y) { FL_PRECISELY return x / y; }
#define FL_SQRT(T, D) inline T sqrt(T x) { FL_PRECISELY return ::convert_##T(::sqrt(::convert_##D(x))); }
#define FL_RSQRT(T, D) inline T rsqrt(T x) { FL_PRECISELY return ::convert_##T(1.0 / ::sqrt(::convert_##D(x))); }
/*divide*/ FL_FLOATS(FL_DIVIDE, ~)
/*sqrt*/ FL_OWN(FL_1, sqrt, FL_SQRT)
/*rsqrt*/ FL_OWN(FL_1, rsqrt, FL_RSQRT)

// --- three arguments, references, and names that OpenCL spells differently --------------------------------------------
#define FL_FMA(name, T) inline T fma(T x, T y, T z) { return ::fma(x, y, z); }
#define FL_ABS(name, T) inline T abs(T x) { return ::fabs(x); }
#define FL_MAX(name, T) inline T max(T x, T y) { return ::fmax(x, y); }
#define FL_MIN(name, T) inline T min(T x, T y) { return ::fmin(x, y); }
#define FL_MAX3(name, T) inline T name(T x, T y, T z) { return ::fmax(x, ::fmax(y, z)); }
#define FL_MIN3(name, T) inline T name(T x, T y, T z) { return ::fmin(x, ::fmin(y, z)); }
#define FL_MEDIAN3(name, T) inline T name(T x, T y, T z) { return ::fmax(::fmin(x, y), ::fmin(::fmax(x, y), z)); }
#define FL_FRACT(name, T) inline T fract(T x) { T whole; return ::fract(x, &whole); }
#define FL_MODF(name, T) inline T modf(T x, thread T &whole) { return ::modf(x, &whole); }
#define FL_SINCOS(name, T) inline T sincos(T x, thread T &cosine) { return ::sincos(x, &cosine); }
#define FL_SINCOSH(name, H, T)                                                                                          \
    inline H sincos(H x, thread H &cosine) {                                                                            \
        T other;                                                                                                        \
        const T sine = ::sincos(::convert_##T(x), &other);                                                              \
        cosine = ::convert_##H(other);                                                                                  \
        return ::convert_##H(sine);                                                                                     \
    }
#define FL_FREXP(name, T) inline T frexp(T x, thread fl_exponents<T> &exponent) { return ::frexp(x, &exponent); }
#define FL_ILOGB(name, T) inline fl_exponents<T> ilogb(T x) { return ::ilogb(x); }
#define FL_LDEXP(name, T) inline T ldexp(T x, fl_exponents<T> k) { return ::ldexp(x, k); }
template <int N> struct fl_ints { typedef vec<int, N> type; };
template <> struct fl_ints<0> { typedef int type; };
template <typename T> using fl_exponents = typename fl_ints<fl_shape<T>::size>::type;  // an int for each component
/*fma*/ FL_FLOATS(FL_FMA, ~)
/*abs*/ FL_FLOATS(FL_ABS, ~)
/*max*/ FL_FLOATS(FL_MAX, ~)
/*min*/ FL_FLOATS(FL_MIN, ~)
/*fmax3*/ FL_FLOATS(FL_MAX3, fmax3)
/*max3*/ FL_FLOATS(FL_MAX3, max3)
/*fmin3*/ FL_FLOATS(FL_MIN3, fmin3)
/*min3*/ FL_FLOATS(FL_MIN3, min3)
/*fmedian3*/ FL_FLOATS(FL_MEDIAN3, fmedian3)
/*median3*/ FL_FLOATS(FL_MEDIAN3, median3)
/*fract*/ FL_FLOATS(FL_FRACT, ~)
/*modf*/ FL_FLOATS(FL_MODF, ~)
/*sincos*/ FL_NEARLY(FL_SINCOS, FL_SINCOSH, ~)
/*frexp*/ FL_FLOATS(FL_FREXP, ~)
/*ilogb*/ FL_FLOATS(FL_ILOGB, ~)
/*ldexp*/ FL_FLOATS(FL_LDEXP, ~)

// --- <metal_common>: of these only clamp and saturate stand in fast and precise too -----------------------------------
#define FL_BETWEEN(x, low, high) ::fmin(::fmax(x, low), high)
#define FL_CLAMP(name, T) inline T clamp(T x, T low, T high) { return FL_BETWEEN(x, low, high); }
#define FL_SATURATE(name, T) inline T saturate(T x) { return FL_BETWEEN(x, (T)(0), (T)(1)); }
#define FL_MIX(name, T) inline T mix(T x, T y, T a) { return x + (y - x) * a; }
#define FL_STEP(name, T) inline T step(T edge, T x) { return ::step(edge, x); }
#define FL_SMOOTHSTEP(name, T)                                                                                          \
    inline T smoothstep(T from, T to, T x) {                                                                            \
        const T t = FL_BETWEEN((x - from) / (to - from), (T)(0), (T)(1));                                               \
        return t * t * ((T)(3) - (T)(2) * t);                                                                           \
    }
/*clamp*/ FL_FLOATS(FL_CLAMP, ~)
/*saturate*/ FL_FLOATS(FL_SATURATE, ~)
/*mix*/ FL_EACH_FLOAT(FL_MIX, ~)
/*sign*/ FL_EACH_FLOAT(FL_1, sign)
/*step*/ FL_EACH_FLOAT(FL_STEP, ~)
/*smoothstep*/ FL_EACH_FLOAT(FL_SMOOTHSTEP, ~)

}  // namespace metal
