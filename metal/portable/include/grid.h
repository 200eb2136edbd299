// Threadgroups of any shape. A SIMD-group on Metal is 32 threads that follow each other in the threadgroup's linear order; OpenCL
// may cut every row by itself. So such a dispatch is launched as rows of threads, and the kernel works its positions out here.
//
// What a launch is comes with its global offset, which nothing else uses (grid.py): offset 0 holds the threadgroup's three
// lengths, 11 bits each, then a bit for each axis along which this launch is the smaller threadgroups at the grid's far edge;
// offsets 1 and 2 hold the grid's lengths in threads. Put before a program, so that what parameters.py wrote means this.

inline uint fl_grid_full(uint n) { return (uint)(get_global_offset(0) >> (11 * n)) & 2047u; }
inline bool fl_grid_edge(uint n) { return (get_global_offset(0) >> (33 + n)) & 1; }
inline uint fl_grid_size(uint n) { return (uint)(get_global_offset(1 + n / 2) >> (32 * (n % 2))); }
inline uint fl_grid_wide(uint n) { return fl_grid_edge(n) ? fl_grid_size(n) % fl_grid_full(n) : fl_grid_full(n); }
inline uint fl_grid_group(uint n) { return fl_grid_edge(n) ? fl_grid_size(n) / fl_grid_full(n) : (uint)get_group_id(n); }
inline uint fl_grid_groups(uint n) { return fl_grid_size(n) / fl_grid_full(n) + (fl_grid_size(n) % fl_grid_full(n) ? 1 : 0); }
inline uint fl_grid_local(uint n) {
    const uint i = (uint)get_local_id(0);
    return n == 0 ? i % fl_grid_wide(0) : n == 1 ? i / fl_grid_wide(0) % fl_grid_wide(1) : i / (fl_grid_wide(0) * fl_grid_wide(1));
}
inline uint fl_grid_global(uint n) { return fl_grid_group(n) * fl_grid_full(n) + fl_grid_local(n); }

#define get_global_id(n) fl_grid_global(n)
#define get_global_size(n) fl_grid_size(n)
#define get_group_id(n) fl_grid_group(n)
#define get_num_groups(n) fl_grid_groups(n)
#define get_local_id(n) fl_grid_local(n)
#define get_local_size(n) fl_grid_wide(n)
#define get_enqueued_local_size(n) fl_grid_full(n)
#define get_enqueued_num_sub_groups() ((fl_grid_full(0) * fl_grid_full(1) * fl_grid_full(2) + 31) / 32)
