// Constants, and numeric_limits. A line is kept only for programs in which its name stands (library.py).

/*M_E_F*/ #define M_E_F 2.71828182845904523536f
/*M_E_H*/ #define M_E_H 2.71828182845904523536h
/*M_LOG2E_F*/ #define M_LOG2E_F 1.44269504088896340736f
/*M_LOG2E_H*/ #define M_LOG2E_H 1.44269504088896340736h
/*M_LOG10E_F*/ #define M_LOG10E_F 0.43429448190325182765f
/*M_LOG10E_H*/ #define M_LOG10E_H 0.43429448190325182765h
/*M_LN2_F*/ #define M_LN2_F 0.69314718055994530942f
/*M_LN2_H*/ #define M_LN2_H 0.69314718055994530942h
/*M_LN10_F*/ #define M_LN10_F 2.30258509299404568402f
/*M_LN10_H*/ #define M_LN10_H 2.30258509299404568402h
/*M_PI_F*/ #define M_PI_F 3.14159265358979323846f
/*M_PI_H*/ #define M_PI_H 3.14159265358979323846h
/*M_PI_2_F*/ #define M_PI_2_F 1.57079632679489661923f
/*M_PI_2_H*/ #define M_PI_2_H 1.57079632679489661923h
/*M_PI_4_F*/ #define M_PI_4_F 0.78539816339744830962f
/*M_PI_4_H*/ #define M_PI_4_H 0.78539816339744830962h
/*M_1_PI_F*/ #define M_1_PI_F 0.31830988618379067154f
/*M_1_PI_H*/ #define M_1_PI_H 0.31830988618379067154h
/*M_2_PI_F*/ #define M_2_PI_F 0.63661977236758134308f
/*M_2_PI_H*/ #define M_2_PI_H 0.63661977236758134308h
/*M_2_SQRTPI_F*/ #define M_2_SQRTPI_F 1.12837916709551257390f
/*M_2_SQRTPI_H*/ #define M_2_SQRTPI_H 1.12837916709551257390h
/*M_SQRT2_F*/ #define M_SQRT2_F 1.41421356237309504880f
/*M_SQRT2_H*/ #define M_SQRT2_H 1.41421356237309504880h
/*M_SQRT1_2_F*/ #define M_SQRT1_2_F 0.70710678118654752440f
/*M_SQRT1_2_H*/ #define M_SQRT1_2_H 0.70710678118654752440h
/*MAXFLOAT*/ #define MAXFLOAT 0x1.fffffep127f
/*HUGE_VALF*/ #define HUGE_VALF (__builtin_inff())
/*HUGE_VALH*/ #define HUGE_VALH ((half)__builtin_inff())
/*MAXHALF*/ #define MAXHALF ((half)0x1.ffcp15f)
/*HALF_EPSILON*/ #define HALF_EPSILON ((half)0x1.0p-10f)
/*FLT_DIG*/ #define FLT_DIG 6
/*FLT_MANT_DIG*/ #define FLT_MANT_DIG 24
/*FLT_MAX_10_EXP*/ #define FLT_MAX_10_EXP 38
/*FLT_MAX_EXP*/ #define FLT_MAX_EXP 128
/*FLT_MIN_10_EXP*/ #define FLT_MIN_10_EXP (-37)
/*FLT_MIN_EXP*/ #define FLT_MIN_EXP (-125)
/*FLT_RADIX*/ #define FLT_RADIX 2
/*HALF_DIG*/ #define HALF_DIG 3
/*HALF_MANT_DIG*/ #define HALF_MANT_DIG 11
/*HALF_MAX_10_EXP*/ #define HALF_MAX_10_EXP 4
/*HALF_MAX_EXP*/ #define HALF_MAX_EXP 16
/*HALF_MIN_10_EXP*/ #define HALF_MIN_10_EXP (-4)
/*HALF_MIN_EXP*/ #define HALF_MIN_EXP (-13)
/*HALF_RADIX*/ #define HALF_RADIX 2
/*CHAR_BIT*/ #define CHAR_BIT 8
/*CHAR_MAX*/ #define CHAR_MAX 127
/*CHAR_MIN*/ #define CHAR_MIN (-128)
/*SCHAR_MAX*/ #define SCHAR_MAX 127
/*SCHAR_MIN*/ #define SCHAR_MIN (-128)
/*UCHAR_MAX*/ #define UCHAR_MAX 255
/*SHRT_MAX*/ #define SHRT_MAX 32767
/*SHRT_MIN*/ #define SHRT_MIN (-32768)
/*USHRT_MAX*/ #define USHRT_MAX 65535
/*LONG_MAX*/ #define LONG_MAX 0x7fffffffffffffffl
/*LONG_MIN*/ #define LONG_MIN (-0x7fffffffffffffffl - 1)
/*ULONG_MAX*/ #define ULONG_MAX 0xfffffffffffffffful

namespace metal {

// Of every member: static, so numeric_limits<T>::max() is a constant expression.
#define FL_LIMIT(T, name, value) static constexpr T name() { return value; }
#define FL_FACT(type, name, value) static constexpr constant type name = value;
template <typename T> struct numeric_limits { FL_FACT(bool, is_specialized, false) };
#define FL_INT_LIMITS(T, low, high, bits, sign)                                                                          \
    template <> struct numeric_limits<T> {                                                                               \
        FL_FACT(bool, is_specialized, true) FL_FACT(bool, is_signed, sign) FL_FACT(bool, is_integer, true)               \
        FL_FACT(bool, is_exact, true) FL_FACT(bool, has_infinity, false) FL_FACT(bool, has_quiet_NaN, false)             \
        FL_FACT(int, digits, bits) FL_FACT(int, digits10, bits * 30103 / 100000) FL_FACT(int, radix, 2)                  \
        FL_LIMIT(T, min, low) FL_LIMIT(T, lowest, low) FL_LIMIT(T, max, high) FL_LIMIT(T, epsilon, 0)                    \
    };
#define FL_FLOAT_LIMITS(T, low, high, step, mantissa, decimal, from, to, from10, to10, tiny)                              \
    template <> struct numeric_limits<T> {                                                                               \
        FL_FACT(bool, is_specialized, true) FL_FACT(bool, is_signed, true) FL_FACT(bool, is_integer, false)              \
        FL_FACT(bool, is_exact, false) FL_FACT(bool, has_infinity, true) FL_FACT(bool, has_quiet_NaN, true)              \
        FL_FACT(int, digits, mantissa) FL_FACT(int, digits10, decimal) FL_FACT(int, radix, 2)                            \
        FL_FACT(int, min_exponent, from) FL_FACT(int, max_exponent, to)                                                  \
        FL_FACT(int, min_exponent10, from10) FL_FACT(int, max_exponent10, to10)                                          \
        FL_LIMIT(T, min, T(low)) FL_LIMIT(T, lowest, T(-high)) FL_LIMIT(T, max, T(high)) FL_LIMIT(T, epsilon, T(step))   \
        FL_LIMIT(T, denorm_min, T(tiny)) FL_LIMIT(T, round_error, T(0.5f)) FL_LIMIT(T, infinity, T(__builtin_inff()))    \
        FL_LIMIT(T, quiet_NaN, T(__builtin_nanf(""))) FL_LIMIT(T, signaling_NaN, T(__builtin_nansf("")))                 \
    };
/*numeric_limits*/ FL_INT_LIMITS(bool, false, true, 1, false)
/*numeric_limits*/ FL_INT_LIMITS(char, -128, 127, 7, true)
/*numeric_limits*/ FL_INT_LIMITS(uchar, 0, 255, 8, false)
/*numeric_limits*/ FL_INT_LIMITS(short, -32768, 32767, 15, true)
/*numeric_limits*/ FL_INT_LIMITS(ushort, 0, 65535, 16, false)
/*numeric_limits*/ FL_INT_LIMITS(int, -2147483647 - 1, 2147483647, 31, true)
/*numeric_limits*/ FL_INT_LIMITS(uint, 0, 4294967295u, 32, false)
/*numeric_limits*/ FL_INT_LIMITS(long, -0x7fffffffffffffffl - 1, 0x7fffffffffffffffl, 63, true)
/*numeric_limits*/ FL_INT_LIMITS(ulong, 0, 0xfffffffffffffffful, 64, false)
/*numeric_limits*/ FL_FLOAT_LIMITS(float, 0x1p-126f, 0x1.fffffep127f, 0x1p-23f, 24, 6, -125, 128, -37, 38, 0x1p-149f)
/*numeric_limits*/ FL_FLOAT_LIMITS(half, 0x1p-14f, 0x1.ffcp15f, 0x1p-10f, 11, 3, -13, 16, -4, 4, 0x1p-24f)

}  // namespace metal
