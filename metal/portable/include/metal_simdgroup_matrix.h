// 8×8 matrices held by a SIMD-group together (specification, "SIMD-group matrix data types" and "… functions"): all 32 lanes
// must be active, as Metal demands.
//
// Each lane holds two neighbours of a row. Which, the specification leaves open; kernels that reach in with thread_elements()
// count on what Apple's GPUs do, so it is done here too. With lane = 16·e + 8·d + 4·c + 2·b + a:
//     row = 4·e + 2·c + b, columns 4·d + 2·a and the next.
//
// a·b: every lane needs its row of a and its two columns of b. They come by rotations (see metal_simdgroup.h): exchanging with
// lane ^ 1, ^ 8, ^ 9 brings the row together, with ^ 2 … ^ 22 the columns. Measured on one core (AMD EPYC): a product with its
// two loads takes 62 ns, 39 ns where 4×4 tiles are multiplied (27 GFLOP/s: what was brought together serves four products);
// with shuffles it took 2000 to 4000 ns. Broadcasts of all 64 elements with choices are as fast as rotations, but take eight
// times as long to compile. Products are summed in float and rounded once, for half too.

namespace metal {

inline uint fl_matrix_row() { const uint l = get_sub_group_local_id(); return (l >> 4 & 1) * 4 + (l >> 1 & 3); }
inline uint fl_matrix_column() { const uint l = get_sub_group_local_id(); return (l >> 3 & 1) * 4 + (l & 1) * 2; }
template <typename T> struct fl_matrix_of { enum { element = false }; };
template <> struct fl_matrix_of<float> { enum { element = true }; };
template <> struct fl_matrix_of<half> { enum { element = true }; };

/*simdgroup_matrix simdgroup_float8x8 simdgroup_half8x8*/
/*make_filled_simdgroup_matrix simdgroup_load simdgroup_store simdgroup_multiply simdgroup_multiply_accumulate*/
template <typename T, int Cols, int Rows = Cols> struct simdgroup_matrix {
    static_assert(Cols == 8 && Rows == 8 && fl_matrix_of<T>::element, "simdgroup_matrix is 8 by 8, of float or half");
    simdgroup_matrix() {}
    explicit simdgroup_matrix(T diagonal) {
        const uint row = fl_matrix_row(), column = fl_matrix_column();
        fl_two.x = row == column ? diagonal : (T)0;
        fl_two.y = row == column + 1 ? diagonal : (T)0;
    }
    thread vec<T, 2> &thread_elements() thread { return fl_two; }
    const thread vec<T, 2> &thread_elements() const thread { return fl_two; }
    // Of a member: where an object is whose class says nothing, OpenCL takes as open. So do the functions below.
    vec<T, 2> &thread_elements() { return fl_two; }
    const vec<T, 2> &thread_elements() const { return fl_two; }
    vec<T, 2> fl_two;
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;

template <typename T, int Cols, int Rows = Cols> inline simdgroup_matrix<T, Cols, Rows> make_filled_simdgroup_matrix(T value) {
    simdgroup_matrix<T, Cols, Rows> m;
    m.fl_two.x = m.fl_two.y = value;
    return m;
}

// matrix_origin counts in memory, columns in x and rows in y, whether or not the matrix is transposed on its way.
#define FL_MATRIX_PLACE                                                                                                \
    const ulong row = fl_matrix_row(), column = fl_matrix_column(), step = transpose_matrix ? elements_per_row : 1;    \
    const ulong at = (matrix_origin.y * elements_per_row + matrix_origin.x) +                                          \
                     (transpose_matrix ? column * elements_per_row + row : row * elements_per_row + column);
#define FL_MATRIX_LOAD(space)                                                                                          \
    template <typename T>                                                                                              \
    inline void simdgroup_load(simdgroup_matrix<T, 8, 8> &d, const space T *src, ulong elements_per_row = 8,    \
                               ulong2 matrix_origin = 0, bool transpose_matrix = false) {                              \
        FL_MATRIX_PLACE                                                                                                \
        d.fl_two.x = src[at];                                                                                          \
        d.fl_two.y = src[at + step];                                                                                   \
    }
#define FL_MATRIX_STORE(space)                                                                                         \
    template <typename T>                                                                                              \
    inline void simdgroup_store(simdgroup_matrix<T, 8, 8> a, space T *dst, ulong elements_per_row = 8,                 \
                                ulong2 matrix_origin = 0, bool transpose_matrix = false) {                             \
        FL_MATRIX_PLACE                                                                                                \
        dst[at] = a.fl_two.x;                                                                                          \
        dst[at + step] = a.fl_two.y;                                                                                   \
    }
FL_MATRIX_LOAD(device)
FL_MATRIX_LOAD(threadgroup)
FL_MATRIX_STORE(device)
FL_MATRIX_STORE(threadgroup)

inline float2 fl_exchange(float2 x, int bit) {
    const float2 above = (float2)(sub_group_rotate(x.x, bit), sub_group_rotate(x.y, bit));
    const float2 below = (float2)(sub_group_rotate(x.x, 32 - bit), sub_group_rotate(x.y, 32 - bit));
    return get_sub_group_local_id() & bit ? below : above;
}
// x and y in order: x first where `bit` of the lane is 0
#define FL_PAIR(first, second, bit, x, y)                                                                              \
    const float2 first = lane & bit ? y : x, second = lane & bit ? x : y;
inline float2 fl_matrix_product(float2 a, float2 b, float2 sum) {
    const uint lane = get_sub_group_local_id();
    const float2 a8 = fl_exchange(a, 8), a1 = fl_exchange(a, 1), a9 = fl_exchange(a8, 1);
    FL_PAIR(near0, near1, 1, a, a1)
    FL_PAIR(far0, far1, 1, a8, a9)
    FL_PAIR(row0, row2, 8, near0, far0)
    FL_PAIR(row1, row3, 8, near1, far1)
    const float2 b2 = fl_exchange(b, 2), b4 = fl_exchange(b, 4), b6 = fl_exchange(b2, 4);
    const float2 b16 = fl_exchange(b, 16), b18 = fl_exchange(b2, 16), b20 = fl_exchange(b4, 16), b22 = fl_exchange(b6, 16);
    FL_PAIR(p0, p1, 2, b, b2)
    FL_PAIR(p2, p3, 2, b4, b6)
    FL_PAIR(p4, p5, 2, b16, b18)
    FL_PAIR(p6, p7, 2, b20, b22)
    FL_PAIR(q0, q2, 4, p0, p2)
    FL_PAIR(q1, q3, 4, p1, p3)
    FL_PAIR(q4, q6, 4, p4, p6)
    FL_PAIR(q5, q7, 4, p5, p7)
    FL_PAIR(column0, column4, 16, q0, q4)
    FL_PAIR(column1, column5, 16, q1, q5)
    FL_PAIR(column2, column6, 16, q2, q6)
    FL_PAIR(column3, column7, 16, q3, q7)
    sum += row0.x * column0 + row0.y * column1 + row1.x * column2 + row1.y * column3;
    return sum + (row2.x * column4 + row2.y * column5 + row3.x * column6 + row3.y * column7);
}
inline float2 fl_to_float(float2 x) { return x; }
inline float2 fl_to_float(half2 x) { return __builtin_convertvector(x, float2); }

// The operands may be of different types, half times half added up in float for one; the specification shows one type, Apple's
// compiler takes mixtures.
template <typename T, typename A, typename B>
inline void simdgroup_multiply_accumulate(simdgroup_matrix<T, 8, 8> &d, simdgroup_matrix<A, 8, 8> a,
                                          simdgroup_matrix<B, 8, 8> b, simdgroup_matrix<T, 8, 8> c) {
    const float2 sum = fl_matrix_product(fl_to_float(a.fl_two), fl_to_float(b.fl_two), fl_to_float(c.fl_two));
    d.fl_two = __builtin_convertvector(sum, vec<T, 2>);
}
template <typename T, typename A, typename B>
inline void simdgroup_multiply(simdgroup_matrix<T, 8, 8> &d, simdgroup_matrix<A, 8, 8> a, simdgroup_matrix<B, 8, 8> b) {
    const float2 product = fl_matrix_product(fl_to_float(a.fl_two), fl_to_float(b.fl_two), (float2)(0));
    d.fl_two = __builtin_convertvector(product, vec<T, 2>);
}
template <typename T> inline simdgroup_matrix<T, 8, 8> operator*(simdgroup_matrix<T, 8, 8> a, simdgroup_matrix<T, 8, 8> b) {
    simdgroup_matrix<T, 8, 8> d;
    simdgroup_multiply(d, a, b);
    return d;
}

}  // namespace metal
