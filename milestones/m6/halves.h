// A key or value goes to its cache, as a float or as a half: the nearest one, at most 65504 in size. A NaN stays one, so that a damaged
// model does not look like a sound one. By its bits, for fast math knows neither NaN nor infinity.
#ifndef FIRSTLIGHT_HALVES_H
#define FIRSTLIGHT_HALVES_H

inline void keep(device float *at, float value) { *at = value; }

inline void keep(device half *at, float value) {
    const uint bits = as_type<uint>(value), size = bits & 0x7FFFFFFFu;
    const bool too_large = size > 0x477FE000u && size <= 0x7F800000u;  // 65504, infinity
    *at = half(too_large ? as_type<float>((bits & 0x80000000u) | 0x477FE000u) : value);
}

#endif
