// <simd/simd.h>: the names by which a header that host and kernels share calls vectors and matrices.

namespace metal {

/*simd*/ namespace simd = ::metal;

#define FL_SIMD(T) FL_SIMD_N(T, 2) FL_SIMD_N(T, 3) FL_SIMD_N(T, 4)
#define FL_SIMD_N(T, N) typedef T##N vector_##T##N, simd_##T##N;
/*vector_char2 simd_char2 vector_char3 simd_char3 vector_char4 simd_char4*/ FL_SIMD(char)
/*vector_uchar2 simd_uchar2 vector_uchar3 simd_uchar3 vector_uchar4 simd_uchar4*/ FL_SIMD(uchar)
/*vector_short2 simd_short2 vector_short3 simd_short3 vector_short4 simd_short4*/ FL_SIMD(short)
/*vector_ushort2 simd_ushort2 vector_ushort3 simd_ushort3 vector_ushort4 simd_ushort4*/ FL_SIMD(ushort)
/*vector_int2 simd_int2 vector_int3 simd_int3 vector_int4 simd_int4*/ FL_SIMD(int)
/*vector_uint2 simd_uint2 vector_uint3 simd_uint3 vector_uint4 simd_uint4*/ FL_SIMD(uint)
/*vector_long2 simd_long2 vector_long3 simd_long3 vector_long4 simd_long4*/ FL_SIMD(long)
/*vector_ulong2 simd_ulong2 vector_ulong3 simd_ulong3 vector_ulong4 simd_ulong4*/ FL_SIMD(ulong)
/*vector_half2 simd_half2 vector_half3 simd_half3 vector_half4 simd_half4*/ FL_SIMD(half)
/*vector_float2 simd_float2 vector_float3 simd_float3 vector_float4 simd_float4*/ FL_SIMD(float)
#define FL_SIMD_MATRICES(T, C) FL_SIMD_MATRIX(T, C, 2) FL_SIMD_MATRIX(T, C, 3) FL_SIMD_MATRIX(T, C, 4)
#define FL_SIMD_MATRIX(T, C, R) typedef matrix<T, C, R> matrix_##T##C##x##R, simd_##T##C##x##R; FL_WHOLE(simd_##T##C##x##R)
/*matrix_float2x2 simd_float2x2 matrix_float2x3 simd_float2x3 matrix_float2x4 simd_float2x4*/ FL_SIMD_MATRICES(float, 2)
/*matrix_float3x2 simd_float3x2 matrix_float3x3 simd_float3x3 matrix_float3x4 simd_float3x4*/ FL_SIMD_MATRICES(float, 3)
/*matrix_float4x2 simd_float4x2 matrix_float4x3 simd_float4x3 matrix_float4x4 simd_float4x4*/ FL_SIMD_MATRICES(float, 4)
/*matrix_half2x2 simd_half2x2 matrix_half2x3 simd_half2x3 matrix_half2x4 simd_half2x4*/ FL_SIMD_MATRICES(half, 2)
/*matrix_half3x2 simd_half3x2 matrix_half3x3 simd_half3x3 matrix_half3x4 simd_half3x4*/ FL_SIMD_MATRICES(half, 3)
/*matrix_half4x2 simd_half4x2 matrix_half4x3 simd_half4x3 matrix_half4x4 simd_half4x4*/ FL_SIMD_MATRICES(half, 4)

}  // namespace metal
