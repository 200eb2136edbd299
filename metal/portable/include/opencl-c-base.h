// What libclang's OpenCL needs before metal_stdlib.h can be read: its own base header does not ship with libclang.
// Only read, never run: the device's compiler has these built in.
#define FL_PARSE 1
#define FL_TYPES(T, N) typedef T N##2 __attribute__((ext_vector_type(2))); typedef T N##3 __attribute__((ext_vector_type(3))); \
    typedef T N##4 __attribute__((ext_vector_type(4))); typedef T N##8 __attribute__((ext_vector_type(8)));               \
    typedef T N##16 __attribute__((ext_vector_type(16)));
typedef unsigned char uchar; typedef unsigned short ushort; typedef unsigned int uint; typedef unsigned long ulong;
typedef __SIZE_TYPE__ size_t; typedef __PTRDIFF_TYPE__ ptrdiff_t; typedef __INTPTR_TYPE__ intptr_t; typedef __UINTPTR_TYPE__ uintptr_t;
FL_TYPES(char, char) FL_TYPES(unsigned char, uchar) FL_TYPES(short, short) FL_TYPES(unsigned short, ushort)
FL_TYPES(int, int) FL_TYPES(unsigned int, uint) FL_TYPES(long, long) FL_TYPES(unsigned long, ulong)
FL_TYPES(half, half) FL_TYPES(float, float) FL_TYPES(double, double)
template <typename T> T bit_reverse(T x);
typedef uint cl_mem_fence_flags;
typedef enum memory_scope { memory_scope_work_item, memory_scope_work_group, memory_scope_device, memory_scope_all_svm_devices, memory_scope_sub_group } memory_scope;
typedef enum memory_order { memory_order_relaxed, memory_order_acquire, memory_order_release, memory_order_acq_rel, memory_order_seq_cst } memory_order;
#define CLK_LOCAL_MEM_FENCE 1
#define CLK_GLOBAL_MEM_FENCE 2
#define FL_OWN_REDUCE(op) template <typename T> T sub_group_non_uniform_reduce_##op(T x);
FL_OWN_REDUCE(add) FL_OWN_REDUCE(mul) FL_OWN_REDUCE(min) FL_OWN_REDUCE(max) FL_OWN_REDUCE(and) FL_OWN_REDUCE(or) FL_OWN_REDUCE(xor)
#define FL_SHUFFLE(name) template <typename T> T sub_group_##name(T x, uint lane);
FL_SHUFFLE(shuffle) FL_SHUFFLE(shuffle_xor) FL_SHUFFLE(shuffle_up) FL_SHUFFLE(shuffle_down) FL_SHUFFLE(broadcast) FL_SHUFFLE(non_uniform_broadcast)
template <typename T> T sub_group_broadcast_first(T x);
template <typename T> T sub_group_rotate(T x, int lanes);
int sub_group_non_uniform_all(int x);
int sub_group_non_uniform_any(int x);
int sub_group_elect(void);
uint4 sub_group_ballot(int x);
uint sub_group_ballot_find_lsb(uint4 x);
void sub_group_barrier(cl_mem_fence_flags flags);
uint get_sub_group_size(void);
uint get_num_sub_groups(void);
uint get_enqueued_num_sub_groups(void);
uint get_sub_group_id(void);
uint get_sub_group_local_id(void);
