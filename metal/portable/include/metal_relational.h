// Questions about values, and choices by them.

namespace metal {

// Fast math may assume these never hold, on Apple's compiler as here: a kernel that must know looks at the bits.
/*isnan*/ inline bool isnan(float x) { return ::isnan(x); }
/*isinf*/ inline bool isinf(float x) { return ::isinf(x); }
/*isfinite*/ inline bool isfinite(float x) { return ::isfinite(x); }


/*select*/ template <typename T> inline T select(T no, T yes, bool c) { return c ? yes : no; }

}  // namespace metal
