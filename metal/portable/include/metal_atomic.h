// Atomic operations, on device and threadgroup memory. Metal knows one order, memory_order_relaxed.
// A line is kept only for programs in which its name stands (library.py).

namespace metal {

template <typename T> struct atomic { T fl_value; };
typedef atomic<int> atomic_int; FL_WHOLE(atomic_int)
typedef atomic<uint> atomic_uint; FL_WHOLE(atomic_uint)
typedef atomic<bool> atomic_bool; FL_WHOLE(atomic_bool)
typedef atomic<ulong> atomic_ulong; FL_WHOLE(atomic_ulong)  // from MSL 2.4
typedef atomic<float> atomic_float; FL_WHOLE(atomic_float)  // from MSL 3.0
enum memory_order { memory_order_relaxed };

// What OpenCL calls the object: volatile or not, its own atomic type, at the scope of every thread of the device.
#define FL_OBJECT(T, space) (volatile space ::atomic_##T *)&object->fl_value
#define FL_RELAXED ::memory_order_relaxed, memory_scope_device
#define FL_AT_ATOMIC(T, space) volatile space atomic<T> *object
#define FL_STORE(T, space)                                                                                              \
    inline void atomic_store_explicit(FL_AT_ATOMIC(T, space), T desired, memory_order) {                                \
        __opencl_atomic_store(FL_OBJECT(T, space), desired, FL_RELAXED); }
#define FL_LOAD(T, space)                                                                                               \
    inline T atomic_load_explicit(const FL_AT_ATOMIC(T, space), memory_order) {                                         \
        return __opencl_atomic_load((const volatile space ::atomic_##T *)&object->fl_value, FL_RELAXED); }
#define FL_EXCHANGE(T, space)                                                                                           \
    inline T atomic_exchange_explicit(FL_AT_ATOMIC(T, space), T desired, memory_order) {                                \
        return __opencl_atomic_exchange(FL_OBJECT(T, space), desired, FL_RELAXED); }
#define FL_COMPARE(T, space)                                                                                            \
    inline bool atomic_compare_exchange_weak_explicit(FL_AT_ATOMIC(T, space), thread T *expected, T desired,            \
                                                      memory_order, memory_order) {                                     \
        return __opencl_atomic_compare_exchange_strong(FL_OBJECT(T, space), expected, desired, ::memory_order_relaxed,  \
                                                       FL_RELAXED); }
#define FL_FETCH(op, T, space)                                                                                          \
    inline T atomic_fetch_##op##_explicit(FL_AT_ATOMIC(T, space), T operand, memory_order) {                            \
        return __opencl_atomic_fetch_##op(FL_OBJECT(T, space), operand, FL_RELAXED); }
#define FL_EACH_ATOMIC(M) M(int, device) M(int, threadgroup) M(uint, device) M(uint, threadgroup)
#define FL_EACH_FETCH(op)                                                                                               \
    FL_FETCH(op, int, device) FL_FETCH(op, int, threadgroup) FL_FETCH(op, uint, device) FL_FETCH(op, uint, threadgroup)
/*atomic_store_explicit*/ FL_EACH_ATOMIC(FL_STORE)
/*atomic_load_explicit*/ FL_EACH_ATOMIC(FL_LOAD)
/*atomic_exchange_explicit*/ FL_EACH_ATOMIC(FL_EXCHANGE)
/*atomic_compare_exchange_weak_explicit*/ FL_EACH_ATOMIC(FL_COMPARE)
/*atomic_fetch_add_explicit*/ FL_EACH_FETCH(add)
/*atomic_fetch_sub_explicit*/ FL_EACH_FETCH(sub)
/*atomic_fetch_and_explicit*/ FL_EACH_FETCH(and)
/*atomic_fetch_or_explicit*/ FL_EACH_FETCH(or)
/*atomic_fetch_xor_explicit*/ FL_EACH_FETCH(xor)
/*atomic_fetch_min_explicit*/ FL_EACH_FETCH(min)
/*atomic_fetch_max_explicit*/ FL_EACH_FETCH(max)

// bool: OpenCL has no atomic byte, Clang has.
#define FL_BYTE(space) (volatile space uchar *)&object->fl_value
#define FL_BOOL_STORE(space)                                                                                            \
    inline void atomic_store_explicit(FL_AT_ATOMIC(bool, space), bool desired, memory_order) {                          \
        __atomic_store_n(FL_BYTE(space), (uchar)desired, 0); }
#define FL_BOOL_LOAD(space)                                                                                             \
    inline bool atomic_load_explicit(const FL_AT_ATOMIC(bool, space), memory_order) {                                   \
        return __atomic_load_n((const volatile space uchar *)&object->fl_value, 0); }
#define FL_BOOL_EXCHANGE(space)                                                                                         \
    inline bool atomic_exchange_explicit(FL_AT_ATOMIC(bool, space), bool desired, memory_order) {                       \
        return __atomic_exchange_n(FL_BYTE(space), (uchar)desired, 0); }
#define FL_BOOL_COMPARE(space)                                                                                          \
    inline bool atomic_compare_exchange_weak_explicit(FL_AT_ATOMIC(bool, space), thread bool *expected, bool desired,   \
                                                      memory_order, memory_order) {                                     \
        uchar old = *expected;                                                                                          \
        const bool done = __atomic_compare_exchange_n(FL_BYTE(space), &old, (uchar)desired, false, 0, 0);               \
        *expected = old;                                                                                                \
        return done; }
/*atomic_store_explicit*/ FL_BOOL_STORE(device) FL_BOOL_STORE(threadgroup)
/*atomic_load_explicit*/ FL_BOOL_LOAD(device) FL_BOOL_LOAD(threadgroup)
/*atomic_exchange_explicit*/ FL_BOOL_EXCHANGE(device) FL_BOOL_EXCHANGE(threadgroup)
/*atomic_compare_exchange_weak_explicit*/ FL_BOOL_COMPARE(device) FL_BOOL_COMPARE(threadgroup)

// float, in device memory: by comparing and exchanging its bits, as the runtime's own addition loses all but one lane's.
inline float fl_atomic_add(FL_AT_ATOMIC(float, device), float operand) {
    uint old = __opencl_atomic_load(FL_OBJECT(uint, device), FL_RELAXED), sum;
    do sum = __builtin_astype(__builtin_astype(old, float) + operand, uint);
    while (!__opencl_atomic_compare_exchange_strong(FL_OBJECT(uint, device), &old, sum, ::memory_order_relaxed, FL_RELAXED));
    return __builtin_astype(old, float);
}
#define FL_FLOAT(op, sign)                                                                                              \
    inline float atomic_fetch_##op##_explicit(FL_AT_ATOMIC(float, device), float operand, memory_order) {               \
        return fl_atomic_add(object, sign operand); }
/*atomic_store_explicit*/ FL_STORE(float, device)
/*atomic_load_explicit*/ FL_LOAD(float, device)
/*atomic_exchange_explicit*/ FL_EXCHANGE(float, device)
/*atomic_compare_exchange_weak_explicit*/ FL_COMPARE(float, device)
/*atomic_fetch_add_explicit*/ FL_FLOAT(add, +)
/*atomic_fetch_sub_explicit*/ FL_FLOAT(sub, -)

// ulong, in device memory: only these two, and they give nothing back.
#define FL_ULONG(op)                                                                                                    \
    inline void atomic_##op##_explicit(FL_AT_ATOMIC(ulong, device), ulong operand, memory_order) {                      \
        __opencl_atomic_fetch_##op(FL_OBJECT(ulong, device), operand, FL_RELAXED); }
/*atomic_min_explicit*/ FL_ULONG(min)
/*atomic_max_explicit*/ FL_ULONG(max)

// The types by themselves, in a parameter list or a struct
/*atomic atomic_int atomic_uint atomic_bool atomic_float atomic_ulong memory_order_relaxed memory_order*/

}  // namespace metal
