// matrix<T, C, R>: C columns of R components, of float or half; a column is a vector, so a float3x3 takes 48 bytes.

namespace metal {

template <typename I, I... i> struct fl_list {};
template <int C> using fl_first = __make_integer_seq<fl_list, int, C>;  // 0 … C − 1
template <typename T, int N> struct fl_several { T at[N]; };
// A column as a parameter takes it: a vector, or {1, 2, 3}, which a parameter of vector type does not.
template <typename T, int R> struct fl_column {
    vec<T, R> v;
    constexpr fl_column(vec<T, R> v) : v(v) {}
    template <typename... A> constexpr fl_column(T x, T y, A... rest) : v{x, y, (T)rest...} {}
};

template <typename T, int C, int R> struct matrix {
    typedef vec<T, R> V;
    V columns[C];

    matrix() = default;
    matrix(const matrix &) = default;
    matrix &operator=(const matrix &) = default;
    constexpr matrix(const constant matrix &m) : matrix(m, fl_first<C>()) {}
    template <typename U> matrix &operator=(const constant matrix<U, C, R> &m) { return *this = matrix(m); }
    template <typename S> constexpr explicit matrix(S s) : matrix(fl_diagonal((T)s, fl_first<C>()), fl_first<C>()) {}
    template <typename U> explicit matrix(matrix<U, C, R> m) { for (int c = 0; c < C; c++) columns[c] = fl_construct<V>(m[c]); }
    // From columns or components. Also with a `this` in constant memory: there {…} makes the constant in its place.
#define FL_MATRIX_FROM(space)                                                                                             \
    constexpr matrix(fl_column<T, R> a, fl_column<T, R> b) space : columns{a.v, b.v} {}                                   \
    constexpr matrix(fl_column<T, R> a, fl_column<T, R> b, fl_column<T, R> c) space : columns{a.v, b.v, c.v} {}           \
    constexpr matrix(fl_column<T, R> a, fl_column<T, R> b, fl_column<T, R> c, fl_column<T, R> d) space                    \
        : columns{a.v, b.v, c.v, d.v} {}                                                                                  \
    template <typename A, typename B, typename... X> constexpr matrix(A a, B b, X... x) space                             \
        : matrix(fl_make(fl_kind<sizeof...(X) + 2 == C>(), a, b, x...), fl_first<C>()) {}
    FL_MATRIX_FROM() FL_MATRIX_FROM(constant)

#define FL_COLUMN(space) space V &operator[](int c) space & { return columns[c]; }
    V operator[](int c) && { return columns[c]; }
    FL_COLUMN(device) FL_COLUMN(threadgroup) FL_COLUMN(thread)
    FL_COLUMN(const device) FL_COLUMN(const threadgroup) FL_COLUMN(const thread) FL_COLUMN(const constant)
    template <typename X> matrix &operator+=(X x) { return *this = *this + x; }
    template <typename X> matrix &operator-=(X x) { return *this = *this - x; }
    template <typename X> matrix &operator*=(X x) { return *this = *this * x; }

private:
    typedef fl_several<V, C> All;
    template <bool> struct fl_kind {};
    template <int... c> constexpr matrix(All m, fl_list<int, c...>) : columns{m.at[c]...} {}
    template <int... c> constexpr matrix(All m, fl_list<int, c...>) constant : columns{m.at[c]...} {}
    template <int... c> constexpr matrix(const constant matrix &m, fl_list<int, c...>) : columns{m.columns[c]...} {}
    template <typename... A> static constexpr All fl_make(fl_kind<true>, A... a) { return {{(V)a...}}; }
    template <typename... A> static constexpr All fl_make(fl_kind<false>, A... a) {
        static_assert(sizeof...(A) == C * R, "wrong number of components for this matrix");
        return fl_cut({{(T)a...}}, fl_first<C>());
    }
    template <int... c> static constexpr All fl_cut(fl_several<T, C * R> n, fl_list<int, c...>) {
        return {{fl_piece_of(n, c * R, fl_first<R>())...}};
    }
    template <int... r> static constexpr V fl_piece_of(fl_several<T, C * R> n, int from, fl_list<int, r...>) {
        return V{n.at[from + r]...};
    }
    template <int... c> static constexpr All fl_diagonal(T s, fl_list<int, c...>) {
        return {{fl_unit(s, c, fl_first<R>())...}};
    }
    template <int... r> static constexpr V fl_unit(T s, int c, fl_list<int, r...>) { return V{(r == c ? s : (T)0)...}; }
};

#define FL_M template <typename T, int C, int R>
FL_M matrix<T, C, R> operator+(matrix<T, C, R> a, matrix<T, C, R> b) { for (int c = 0; c < C; c++) a[c] += b[c]; return a; }
FL_M matrix<T, C, R> operator-(matrix<T, C, R> a, matrix<T, C, R> b) { for (int c = 0; c < C; c++) a[c] -= b[c]; return a; }
FL_M matrix<T, C, R> operator-(matrix<T, C, R> a) { for (int c = 0; c < C; c++) a[c] = -a[c]; return a; }
FL_M matrix<T, C, R> operator+(matrix<T, C, R> a) { return a; }
// A scalar of any type, and only a scalar: fl_number is not there for anything else.
template <typename S, int n> struct fl_number {};
template <typename S> struct fl_number<S, 0> { typedef S type; };
template <typename T, int C, int R> struct fl_shape<matrix<T, C, R>> { enum { size = C * R, native = 0 }; typedef T scalar; };
template <typename T, int C, int R, typename S, typename = typename fl_number<S, fl_shape<S>::size>::type>
matrix<T, C, R> operator*(matrix<T, C, R> m, S s) { for (int c = 0; c < C; c++) m[c] *= (T)s; return m; }
template <typename T, int C, int R, typename S, typename = typename fl_number<S, fl_shape<S>::size>::type>
matrix<T, C, R> operator*(S s, matrix<T, C, R> m) { for (int c = 0; c < C; c++) m[c] *= (T)s; return m; }
FL_M vec<T, R> operator*(matrix<T, C, R> m, vec<T, C> v) {
    vec<T, R> sum = m[0] * v.x;
    for (int c = 1; c < C; c++) sum += m[c] * v[c];
    return sum;
}
FL_M vec<T, C> operator*(vec<T, R> v, matrix<T, C, R> m) {
    vec<T, C> out;
    for (int c = 0; c < C; c++) { T sum = 0; for (int r = 0; r < R; r++) sum += v[r] * m[c][r]; out[c] = sum; }
    return out;
}
template <typename T, int K, int R, int C> matrix<T, C, R> operator*(matrix<T, K, R> a, matrix<T, C, K> b) {
    matrix<T, C, R> out;
    for (int c = 0; c < C; c++) out[c] = a * b[c];
    return out;
}
FL_M bool operator==(matrix<T, C, R> a, matrix<T, C, R> b) {
    bool same = true;
    for (int c = 0; c < C; c++) for (int r = 0; r < R; r++) same &= a[c][r] == b[c][r];
    return same;
}
FL_M bool operator!=(matrix<T, C, R> a, matrix<T, C, R> b) { return !(a == b); }

FL_M matrix<T, R, C> fl_transpose(matrix<T, C, R> m) {
    matrix<T, R, C> t;
    for (int c = 0; c < C; c++) for (int r = 0; r < R; r++) t[r][c] = m[c][r];
    return t;
}
/*transpose*/ FL_M matrix<T, R, C> transpose(matrix<T, C, R> m) { return fl_transpose(m); }
template <typename T> T fl_determinant(matrix<T, 2, 2> m) { return m[0][0] * m[1][1] - m[1][0] * m[0][1]; }
template <typename T> T fl_determinant(matrix<T, 3, 3> m) {
    return m[0].x * (m[1].y * m[2].z - m[2].y * m[1].z) - m[1].x * (m[0].y * m[2].z - m[2].y * m[0].z) +
           m[2].x * (m[0].y * m[1].z - m[1].y * m[0].z);
}
template <typename T> T fl_determinant(matrix<T, 4, 4> m) {  // along the first row
    T sum = 0;
    for (int c = 0; c < 4; c++) {
        matrix<T, 3, 3> rest;
        for (int k = 0; k < 3; k++) rest[k] = m[k + (k >= c)].yzw;
        sum += (c % 2 ? -1 : 1) * m[c].x * fl_determinant(rest);
    }
    return sum;
}
/*determinant*/ template <typename T, int N> T determinant(matrix<T, N, N> m) { return fl_determinant(m); }

#define FL_MATRIX(T, C, R) typedef matrix<T, C, R> T##C##x##R; FL_WHOLE(T##C##x##R)
/*matrix*/
/*float2x2*/ FL_MATRIX(float, 2, 2)
/*float2x3*/ FL_MATRIX(float, 2, 3)
/*float2x4*/ FL_MATRIX(float, 2, 4)
/*float3x2*/ FL_MATRIX(float, 3, 2)
/*float3x3*/ FL_MATRIX(float, 3, 3)
/*float3x4*/ FL_MATRIX(float, 3, 4)
/*float4x2*/ FL_MATRIX(float, 4, 2)
/*float4x3*/ FL_MATRIX(float, 4, 3)
/*float4x4*/ FL_MATRIX(float, 4, 4)
/*half2x2*/ FL_MATRIX(half, 2, 2)
/*half2x3*/ FL_MATRIX(half, 2, 3)
/*half2x4*/ FL_MATRIX(half, 2, 4)
/*half3x2*/ FL_MATRIX(half, 3, 2)
/*half3x3*/ FL_MATRIX(half, 3, 3)
/*half3x4*/ FL_MATRIX(half, 3, 4)
/*half4x2*/ FL_MATRIX(half, 4, 2)
/*half4x3*/ FL_MATRIX(half, 4, 3)
/*half4x4*/ FL_MATRIX(half, 4, 4)

}  // namespace metal
