// <metal_geometric>: vectors as arrows. float and half, also of the specification's formulas the order of additions; only
// precise::distance, length and normalize do without overflow and underflow on the way, as OpenCL's do.

namespace metal {

inline float fl_dot(float2 x, float2 y) { return x.x * y.x + x.y * y.y; }
inline float fl_dot(float3 x, float3 y) { return x.x * y.x + x.y * y.y + x.z * y.z; }
inline float fl_dot(float4 x, float4 y) { return x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w; }
inline half fl_dot(half2 x, half2 y) { return x.x * y.x + x.y * y.y; }
inline half fl_dot(half3 x, half3 y) { return x.x * y.x + x.y * y.y + x.z * y.z; }
inline half fl_dot(half4 x, half4 y) { return x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w; }

#define FL_EACH_ARROW(M) M(float2, float) M(float3, float) M(float4, float) M(half2, half) M(half3, half) M(half4, half)
#define FL_EACH_FLOAT_ARROW(M) M(float2, float) M(float3, float) M(float4, float)
#define FL_ARROWS(M, PRECISE)                                                                                           \
    FL_EACH_ARROW(M) namespace fast { FL_EACH_FLOAT_ARROW(M) } namespace precise { FL_EACH_FLOAT_ARROW(PRECISE) }
#define FL_CROSS(T) inline T cross(T x, T y) { return x.yzx * y.zxy - x.zxy * y.yzx; }
#define FL_DOT(T, S) inline S dot(T x, T y) { return fl_dot(x, y); }
#define FL_LENGTH_SQUARED(T, S) inline S length_squared(T x) { return fl_dot(x, x); }
#define FL_DISTANCE_SQUARED(T, S) inline S distance_squared(T x, T y) { return fl_dot(x - y, x - y); }
#define FL_LENGTH(T, S) inline S length(T x) { return ::sqrt(fl_dot(x, x)); }
#define FL_DISTANCE(T, S) inline S distance(T x, T y) { return ::sqrt(fl_dot(x - y, x - y)); }
#define FL_NORMALIZE(T, S) inline T normalize(T x) { return x * ::rsqrt(fl_dot(x, x)); }
#define FL_PRECISE_LENGTH(T, S) inline S length(T x) { return ::length(x); }
#define FL_PRECISE_DISTANCE(T, S) inline S distance(T x, T y) { return ::distance(x, y); }
#define FL_PRECISE_NORMALIZE(T, S) inline T normalize(T x) { return ::normalize(x); }
#define FL_FACEFORWARD(T, S) inline T faceforward(T n, T i, T seen) { return fl_dot(seen, i) < (S)(0) ? n : -n; }
// the specification: the surface's orientation is normalized first
#define FL_REFLECT(T, S) inline T reflect(T i, T n) { return i - (S)(2) * fl_dot(n, i) / fl_dot(n, n) * n; }
#define FL_REFRACT(T, S)                                                                                                \
    inline T refract(T i, T n, S eta) {                                                                                 \
        const S c = fl_dot(n, i), k = (S)(1) - eta * eta * ((S)(1) - c * c);                                            \
        return k < (S)(0) ? (T)(0) : eta * i - (eta * c + ::sqrt(k)) * n; /* below 0: reflected wholly */               \
    }
/*cross*/ FL_CROSS(float3) FL_CROSS(half3)
/*dot*/ FL_EACH_ARROW(FL_DOT)
/*length_squared*/ FL_EACH_ARROW(FL_LENGTH_SQUARED)
/*distance_squared*/ FL_EACH_ARROW(FL_DISTANCE_SQUARED)
/*length*/ FL_ARROWS(FL_LENGTH, FL_PRECISE_LENGTH)
/*distance*/ FL_ARROWS(FL_DISTANCE, FL_PRECISE_DISTANCE)
/*normalize*/ FL_ARROWS(FL_NORMALIZE, FL_PRECISE_NORMALIZE)
/*faceforward*/ FL_EACH_ARROW(FL_FACEFORWARD)
/*reflect*/ FL_EACH_ARROW(FL_REFLECT)
/*refract*/ FL_EACH_ARROW(FL_REFRACT)

}  // namespace metal
