// array<T, N>: an array that is a value, with its length.

namespace metal {

template <typename T, size_t N> struct array {
    T fl_all[N];
    constexpr size_t size() const { return N; }
    constexpr size_t size() const constant { return N; }
    constexpr bool empty() const { return N == 0; }
#define FL_ELEMENTS(space)                                                    \
    constexpr space T &operator[](size_t i) space { return fl_all[i]; }       \
    constexpr space T *data() space { return fl_all; }                        \
    constexpr space T *begin() space { return fl_all; }                       \
    constexpr space T *end() space { return fl_all + N; }                     \
    constexpr space T &front() space { return fl_all[0]; }                    \
    constexpr space T &back() space { return fl_all[N - 1]; }
    FL_ELEMENTS(device) FL_ELEMENTS(threadgroup) FL_ELEMENTS(thread) FL_ELEMENTS(const device) FL_ELEMENTS(const threadgroup)
    FL_ELEMENTS(const thread) FL_ELEMENTS(const constant)
};
/*array*/

}  // namespace metal
