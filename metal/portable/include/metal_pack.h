// <metal_pack>: normalized integers packed into a word, the first component in the lowest bits. A line is kept only for
// programs in which its name stands (library.py).
//
// Conversions are those of the specification's section 8.7, correctly rounded: products are exact in double, and quotients so
// much finer there than float and half that one rounding is left. (OpenCL's saturating conversions would do, but the driver
// lacks them for a SIMD-group of 32.)

namespace metal {

#define FL_STEPS(x, least, most) ::rint(::fmin(::fmax((x) * (most), least), most))
inline uint fl_pack_unorm4x8(float4 x) {
    return __builtin_astype(::convert_uchar4(FL_STEPS(::convert_double4(x), 0.0, 255.0)), uint);
}
inline uint fl_pack_unorm2x16(float2 x) {
    return __builtin_astype(::convert_ushort2(FL_STEPS(::convert_double2(x), 0.0, 65535.0)), uint);
}
inline uint fl_pack_snorm4x8(float4 x) {
    return __builtin_astype(::convert_char4(FL_STEPS(::convert_double4(x), -127.0, 127.0)), uint);
}
inline uint fl_pack_snorm2x16(float2 x) {
    return __builtin_astype(::convert_short2(FL_STEPS(::convert_double2(x), -32767.0, 32767.0)), uint);
}
inline uint fl_norm(double x, double most) { return (uint)FL_STEPS(x, (double)0, most); }
inline uint fl_pack_unorm10a2(float4 x) {
    return fl_norm(x.x, 1023) | fl_norm(x.y, 1023) << 10 | fl_norm(x.z, 1023) << 20 | fl_norm(x.w, 3) << 30;
}
inline ushort fl_pack_unorm565(float3 x) { return fl_norm(x.x, 31) | fl_norm(x.y, 63) << 5 | fl_norm(x.z, 31) << 11; }
// literals may be floats (an option of the compilers): near enough for the curves, and casts where a double is meant
inline float fl_to_srgb(double x) { return x < 0.0031308 ? 12.92 * x : 1.055 * ::pow(x, (double)(1 / 2.4)) - 0.055; }
inline uint fl_pack_srgb_unorm4x8(float4 x) {  // alpha is linear
    x.x = fl_to_srgb(x.x); x.y = fl_to_srgb(x.y); x.z = fl_to_srgb(x.z);
    return fl_pack_unorm4x8(x);
}

inline double4 fl_unpack_unorm4x8(uint x) { return ::convert_double4(__builtin_astype(x, uchar4)) / 255.0; }
inline double2 fl_unpack_unorm2x16(uint x) { return ::convert_double2(__builtin_astype(x, ushort2)) / 65535.0; }
inline double4 fl_unpack_snorm4x8(uint x) { return ::fmax(::convert_double4(__builtin_astype(x, char4)) / 127.0, -1.0); }
inline double2 fl_unpack_snorm2x16(uint x) { return ::fmax(::convert_double2(__builtin_astype(x, short2)) / 32767.0, -1.0); }
inline double4 fl_unpack_unorm10a2(uint x) {
    const uint4 v = {x & 1023, x >> 10 & 1023, x >> 20 & 1023, x >> 30}, most = {1023, 1023, 1023, 3};
    return ::convert_double4(v) / ::convert_double4(most);
}
inline double3 fl_unpack_unorm565(uint x) {
    const uint3 v = {x & 31, x >> 5 & 63, x >> 11}, most = {31, 63, 31};
    return ::convert_double3(v) / ::convert_double3(most);
}
inline double fl_from_srgb(double c) { return c <= 0.04045 ? c / 12.92 : ::pow((c + 0.055) / 1.055, (double)2.4); }
inline double4 fl_unpack_unorm4x8_srgb(uint x) {
    double4 c = fl_unpack_unorm4x8(x);
    c.x = fl_from_srgb(c.x); c.y = fl_from_srgb(c.y); c.z = fl_from_srgb(c.z);
    return c;
}

#define FL_PACK(format, T, kind, N) \
    inline T pack_##kind##_to_##format(kind##N x) { return fl_pack_##format(::convert_float##N(x)); }
#define FL_UNPACK(format, T, kind, N) \
    inline kind##N unpack_##format##_to_##kind(T x) { return ::convert_##kind##N(fl_unpack_##format(x)); }
/*pack_float_to_unorm4x8*/ FL_PACK(unorm4x8, uint, float, 4)
/*pack_half_to_unorm4x8*/ FL_PACK(unorm4x8, uint, half, 4)
/*pack_float_to_snorm4x8*/ FL_PACK(snorm4x8, uint, float, 4)
/*pack_half_to_snorm4x8*/ FL_PACK(snorm4x8, uint, half, 4)
/*pack_float_to_unorm2x16*/ FL_PACK(unorm2x16, uint, float, 2)
/*pack_half_to_unorm2x16*/ FL_PACK(unorm2x16, uint, half, 2)
/*pack_float_to_snorm2x16*/ FL_PACK(snorm2x16, uint, float, 2)
/*pack_half_to_snorm2x16*/ FL_PACK(snorm2x16, uint, half, 2)
/*pack_float_to_unorm10a2*/ FL_PACK(unorm10a2, uint, float, 4)
/*pack_half_to_unorm10a2*/ FL_PACK(unorm10a2, uint, half, 4)
/*pack_float_to_unorm565*/ FL_PACK(unorm565, ushort, float, 3)
/*pack_half_to_unorm565*/ FL_PACK(unorm565, ushort, half, 3)
/*pack_float_to_srgb_unorm4x8*/ FL_PACK(srgb_unorm4x8, uint, float, 4)
/*pack_half_to_srgb_unorm4x8*/ FL_PACK(srgb_unorm4x8, uint, half, 4)
/*unpack_unorm4x8_to_float*/ FL_UNPACK(unorm4x8, uint, float, 4)
/*unpack_unorm4x8_to_half*/ FL_UNPACK(unorm4x8, uint, half, 4)
/*unpack_snorm4x8_to_float*/ FL_UNPACK(snorm4x8, uint, float, 4)
/*unpack_snorm4x8_to_half*/ FL_UNPACK(snorm4x8, uint, half, 4)
/*unpack_unorm2x16_to_float*/ FL_UNPACK(unorm2x16, uint, float, 2)
/*unpack_unorm2x16_to_half*/ FL_UNPACK(unorm2x16, uint, half, 2)
/*unpack_snorm2x16_to_float*/ FL_UNPACK(snorm2x16, uint, float, 2)
/*unpack_snorm2x16_to_half*/ FL_UNPACK(snorm2x16, uint, half, 2)
/*unpack_unorm10a2_to_float*/ FL_UNPACK(unorm10a2, uint, float, 4)
/*unpack_unorm10a2_to_half*/ FL_UNPACK(unorm10a2, uint, half, 4)
/*unpack_unorm565_to_float*/ FL_UNPACK(unorm565, ushort, float, 3)
/*unpack_unorm565_to_half*/ FL_UNPACK(unorm565, ushort, half, 3)
/*unpack_unorm4x8_srgb_to_float*/ FL_UNPACK(unorm4x8_srgb, uint, float, 4)
/*unpack_unorm4x8_srgb_to_half*/ FL_UNPACK(unorm4x8_srgb, uint, half, 4)

}  // namespace metal
