// <metal_uniform>: a value that is one for all threads. Here it is the value: nothing is loaded once for all because of it.

namespace metal {

/*uniform make_uniform*/ template <typename T> using uniform = T;
/*make_uniform*/ template <typename T> constexpr T make_uniform(T value) { return value; }

}  // namespace metal
