// Floating point: float and half, scalars and vectors; by default and in metal::fast and metal::precise. A line is kept only for
// programs in which its name stands (library.py).

namespace metal {

#define FL_1(name, T) inline T name(T x) { return ::name(x); }
#define FL_2(name, T) inline T name(T x, T y) { return ::name(x, y); }
#define FL_3(name, T) inline T name(T x, T y, T z) { return ::name(x, y, z); }
#define FL_FLOATS(M, name)                                                                                              \
    FL_EACH_FLOAT(M, name) namespace fast { FL_EACH_FLOAT(M, name) } namespace precise { FL_EACH_FLOAT(M, name) }
/*exp*/ FL_FLOATS(FL_1, exp)
/*exp2*/ FL_FLOATS(FL_1, exp2)
/*exp10*/ FL_FLOATS(FL_1, exp10)
/*log*/ FL_FLOATS(FL_1, log)
/*log2*/ FL_FLOATS(FL_1, log2)
/*log10*/ FL_FLOATS(FL_1, log10)
/*sqrt*/ FL_FLOATS(FL_1, sqrt)
/*rsqrt*/ FL_FLOATS(FL_1, rsqrt)
/*sin*/ FL_FLOATS(FL_1, sin)
/*cos*/ FL_FLOATS(FL_1, cos)
/*tan*/ FL_FLOATS(FL_1, tan)
/*tanh*/ FL_FLOATS(FL_1, tanh)
/*sinh*/ FL_FLOATS(FL_1, sinh)
/*cosh*/ FL_FLOATS(FL_1, cosh)
/*asin*/ FL_FLOATS(FL_1, asin)
/*acos*/ FL_FLOATS(FL_1, acos)
/*atan*/ FL_FLOATS(FL_1, atan)
/*floor*/ FL_FLOATS(FL_1, floor)
/*ceil*/ FL_FLOATS(FL_1, ceil)
/*trunc*/ FL_FLOATS(FL_1, trunc)
/*round*/ FL_FLOATS(FL_1, round)
/*rint*/ FL_FLOATS(FL_1, rint)
/*fabs*/ FL_FLOATS(FL_1, fabs)
/*sign*/ FL_FLOATS(FL_1, sign)
/*pow*/ FL_FLOATS(FL_2, pow)
/*powr*/ FL_FLOATS(FL_2, powr)
/*fmod*/ FL_FLOATS(FL_2, fmod)
/*atan2*/ FL_FLOATS(FL_2, atan2)
/*fmin*/ FL_FLOATS(FL_2, fmin)
/*fmax*/ FL_FLOATS(FL_2, fmax)
/*copysign*/ FL_FLOATS(FL_2, copysign)
/*fma*/ FL_FLOATS(FL_3, fma)

#define FL_ABS(name, T) inline T abs(T x) { return ::fabs(x); }
#define FL_MIN(name, T) inline T min(T x, T y) { return ::fmin(x, y); }
#define FL_MAX(name, T) inline T max(T x, T y) { return ::fmax(x, y); }
#define FL_CLAMP(name, T) inline T clamp(T x, T low, T high) { return ::fmin(::fmax(x, low), high); }
#define FL_SATURATE(name, T) inline T saturate(T x) { return ::fmin(::fmax(x, (T)(0)), (T)(1)); }
#define FL_MIX(name, T) inline T mix(T x, T y, T a) { return x + (y - x) * a; }
#define FL_FRACT(name, T) inline T fract(T x) { return x - ::floor(x); }
/*abs*/ FL_FLOATS(FL_ABS, ~)
/*min*/ FL_FLOATS(FL_MIN, ~)
/*max*/ FL_FLOATS(FL_MAX, ~)
/*clamp*/ FL_FLOATS(FL_CLAMP, ~)
/*saturate*/ FL_FLOATS(FL_SATURATE, ~)
/*mix*/ FL_FLOATS(FL_MIX, ~)
/*fract*/ FL_FLOATS(FL_FRACT, ~)

}  // namespace metal
