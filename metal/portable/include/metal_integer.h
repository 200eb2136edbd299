// Integers: scalars and vectors of every width. A line is kept only for programs in which its name stands (library.py).

namespace metal {

#define FL_INT_ABS(T) inline T abs(T x) { return __builtin_astype(::abs(x), T); }
#define FL_INT_MIN(T) inline T min(T x, T y) { return ::min(x, y); }
#define FL_INT_MAX(T) inline T max(T x, T y) { return ::max(x, y); }
#define FL_INT_CLAMP(T) inline T clamp(T x, T low, T high) { return ::min(::max(x, low), high); }
#define FL_POPCOUNT(T) inline T popcount(T x) { return ::popcount(x); }
#define FL_CLZ(T) inline T clz(T x) { return ::clz(x); }
#define FL_CTZ(T) inline T ctz(T x) { return ::ctz(x); }
#define FL_MULHI(T) inline T mulhi(T x, T y) { return ::mul_hi(x, y); }
#define FL_ROTATE(T) inline T rotate(T x, T y) { return ::rotate(x, y); }
/*abs*/ FL_EACH_INT(FL_INT_ABS)
/*min*/ FL_EACH_INT(FL_INT_MIN)
/*max*/ FL_EACH_INT(FL_INT_MAX)
/*clamp*/ FL_EACH_INT(FL_INT_CLAMP)
/*popcount*/ FL_EACH_INT(FL_POPCOUNT)
/*clz*/ FL_EACH_INT(FL_CLZ)
/*ctz*/ FL_EACH_INT(FL_CTZ)
/*mulhi*/ FL_EACH_INT(FL_MULHI)
/*rotate*/ FL_EACH_INT(FL_ROTATE)

}  // namespace metal
