// Geometry: vectors as arrows.

namespace metal {

/*dot*/ inline float dot(float2 x, float2 y) { return x.x * y.x + x.y * y.y; }
/*dot*/ inline float dot(float3 x, float3 y) { return x.x * y.x + x.y * y.y + x.z * y.z; }
/*dot*/ inline float dot(float4 x, float4 y) { return x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w; }
/*dot*/ inline half dot(half2 x, half2 y) { return x.x * y.x + x.y * y.y; }
/*dot*/ inline half dot(half3 x, half3 y) { return x.x * y.x + x.y * y.y + x.z * y.z; }
/*dot*/ inline half dot(half4 x, half4 y) { return x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w; }

}  // namespace metal
