// <metal_type_traits>: questions about types, answered while compiling.

namespace metal {

struct bfloat;
template <typename T, T v> struct integral_constant {
    static constexpr constant T value = v;
    typedef T value_type;
    constexpr operator T() const { return v; }
};
template <bool b> using bool_constant = integral_constant<bool, b>;
typedef bool_constant<true> true_type;
typedef bool_constant<false> false_type;

template <bool, typename T = void> struct enable_if {};
template <typename T> struct enable_if<true, T> { typedef T type; };
template <bool, typename A, typename B> struct conditional { typedef A type; };
template <typename A, typename B> struct conditional<false, A, B> { typedef B type; };
template <typename T> struct remove_const { typedef T type; };
template <typename T> struct remove_const<const T> { typedef T type; };
template <typename T> struct remove_volatile { typedef T type; };
template <typename T> struct remove_volatile<volatile T> { typedef T type; };
template <typename T> struct remove_cv { typedef typename remove_volatile<typename remove_const<T>::type>::type type; };
template <typename T> struct remove_addrspace { typedef T type; };
template <typename T> struct remove_reference { typedef T type; };
template <typename T> struct remove_pointer { typedef T type; };
#define FL_REMOVE(space)                                                                   \
    template <typename T> struct remove_addrspace<space T> { typedef T type; };            \
    template <typename T> struct remove_addrspace<const space T> { typedef const T type; };\
    template <typename T> struct remove_reference<space T &> { typedef T type; };          \
    template <typename T> struct remove_reference<space T &&> { typedef T type; };         \
    template <typename T> struct remove_pointer<space T *> { typedef T type; };
FL_REMOVE(device) FL_REMOVE(threadgroup) FL_REMOVE(thread) FL_REMOVE(constant)
template <typename T> struct decay { typedef typename remove_cv<typename remove_reference<T>::type>::type type; };
template <typename T> T declval();
#define FL_TYPE(name, params, args) template <params> using name##_t = typename name<args>::type;
#define FL_ONE(name) FL_TYPE(name, typename T, T)
FL_ONE(remove_const) FL_ONE(remove_volatile) FL_ONE(remove_cv) FL_ONE(remove_reference) FL_ONE(remove_pointer) FL_ONE(decay) FL_ONE(remove_addrspace)
template <bool b, typename T = void> using enable_if_t = typename enable_if<b, T>::type;
template <bool b, typename A, typename B> using conditional_t = typename conditional<b, A, B>::type;

// A question: name<T>, and name_v<T>
#define FL_ASK(name, answer) template <typename T> struct name : bool_constant<answer> {}; FL_ASK_V(name)
#define FL_ASK_V(name) template <typename T> constexpr constant bool name##_v = name<T>::value;
template <typename A, typename B> struct is_same : false_type {};
template <typename T> struct is_same<T, T> : true_type {};
template <typename A, typename B> constexpr constant bool is_same_v = is_same<A, B>::value;
template <typename T, typename... U> struct fl_one_of
    : bool_constant<(is_same<typename remove_cv<T>::type, U>::value || ...)> {};
#define FL_ONE_OF(...) fl_one_of<T, __VA_ARGS__>::value
FL_ASK(is_void, FL_ONE_OF(void))
// A vector of integers is integral and one of floats floating point, as SPIRV-Cross's output counts on; neither is arithmetic.
#define FL_MADE_OF(...) fl_one_of<typename fl_shape<typename remove_cv<T>::type>::scalar, __VA_ARGS__>::value
FL_ASK(is_integral, FL_MADE_OF(bool, char, signed char, uchar, short, ushort, int, uint, long, ulong))
FL_ASK(is_floating_point, FL_MADE_OF(half, float, bfloat))
FL_ASK(is_arithmetic, (FL_ONE_OF(half, float, bfloat) || is_integral<T>::value && !fl_shape<typename remove_cv<T>::type>::size))
FL_ASK(is_scalar, (is_arithmetic<T>::value || __is_enum(T) || __is_pointer(T)))
FL_ASK(is_signed, FL_ONE_OF(char, signed char, short, int, long, half, float, bfloat))
FL_ASK(is_unsigned, FL_ONE_OF(bool, uchar, ushort, uint, ulong))
FL_ASK(is_const, __is_const(T))
FL_ASK(is_volatile, __is_volatile(T))
FL_ASK(is_enum, __is_enum(T))
FL_ASK(is_union, __is_union(T))
FL_ASK(is_class, __is_class(T))
FL_ASK(is_pointer, __is_pointer(T))
FL_ASK(is_array, __is_array(T))
FL_ASK(is_reference, __is_reference(T))
FL_ASK(is_trivially_copyable, __is_trivially_copyable(T))
#define FL_ASK_2(name, answer)                                                                                      \
    template <typename A, typename B> struct name : bool_constant<answer> {};                                       \
    template <typename A, typename B> constexpr constant bool name##_v = name<A, B>::value;
FL_ASK_2(is_convertible, __is_convertible_to(A, B))
FL_ASK_2(is_base_of, __is_base_of(A, B))

template <typename T> struct make_signed { typedef T type; };
template <typename T> struct make_unsigned { typedef T type; };
#define FL_SIGN(T, U)                                              \
    template <> struct make_signed<U> { typedef T type; };         \
    template <> struct make_unsigned<T> { typedef U type; };
#define FL_SIGNS(T, U) FL_SIGN(T, U) FL_SIGN(T##2, U##2) FL_SIGN(T##3, U##3) FL_SIGN(T##4, U##4)
FL_SIGNS(char, uchar) FL_SIGNS(short, ushort) FL_SIGNS(int, uint) FL_SIGNS(long, ulong)
FL_ONE(make_signed) FL_ONE(make_unsigned)

/*integral_constant bool_constant true_type false_type enable_if enable_if_t conditional conditional_t decay decay_t declval*/
/*remove_addrspace remove_addrspace_t remove_const remove_volatile remove_cv remove_reference remove_pointer make_signed make_unsigned*/
/*remove_const_t remove_volatile_t remove_cv_t remove_reference_t remove_pointer_t make_signed_t make_unsigned_t*/
/*is_same is_void is_integral is_floating_point is_arithmetic is_signed is_unsigned is_const is_volatile is_enum is_union*/
/*is_class is_pointer is_array is_reference is_trivially_copyable is_convertible is_base_of*/
/*is_same_v is_void_v is_integral_v is_floating_point_v is_arithmetic_v is_signed_v is_unsigned_v is_const_v is_volatile_v*/
/*is_scalar is_scalar_v is_enum_v is_union_v is_class_v is_pointer_v is_array_v is_reference_v is_trivially_copyable_v*/
/*is_convertible_v is_base_of_v*/

}  // namespace metal
