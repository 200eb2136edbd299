// Checked mode: what an instrumented program calls (instrument.py puts the calls in; checked.py reads what they found).
//
// All memory that a checked kernel may touch lies at addresses fixed for the process (arena.py), so these functions need nothing
// handed to them: where an address lies says which buffer it belongs to, and where that buffer's notes (shadow) are. For every
// four bytes a note holds who wrote them last and the last two who read them. FL_... numbers come from arena.py.

// Functions that are called, not put into the kernel: it would grow twenty times. The program is compiled with all others put in.
#define FL_CALLED _Pragma("clang attribute pop") __attribute__((noinline))
#define FL_INLINED _Pragma("clang attribute push(__attribute__((always_inline)), apply_to = function)")

namespace metal {

struct fl_box { uint number, descending, grid[3], wide[3], full[3], origin[3], boxes[3], groups[3]; };
struct fl_bound { ulong base, length; };  // length: bytes * 4, + 1 where somebody writes
struct fl_control { uint stop, found, stopped_at, unused; fl_box box; ulong lengths[65]; fl_bound bounds[32]; ulong arrays[32]; };
struct fl_record { uint site, what, index, who; ulong address, group, other, other_site; };
struct fl_state { ulong who; uint group, epoch, threadgroup_epoch, device_epoch, simd_epoch[32], unused[26]; };
struct fl_note { ulong wrote, read, read_before; ushort wrote_at, read_at, before_at, unused; };
#define FL_CONTROL ((global fl_control *)FL_ARENA)

// --- where a thread is: what get_global_id and its like mean in a checked program --------------------------------------------
// A launch runs some threadgroups of one shape, in any order; they are numbered along x, then y, then z.
#define FL_BOX (FL_CONTROL->box)
inline global fl_state *fl_own_state() { return (global fl_state *)(FL_ARENA + FL_STATES) + ::get_group_id(0); }
inline uint fl_group() { return fl_own_state()->group; }
inline uint fl_position_group(uint n) {
    const uint g = fl_group(), x = FL_BOX.boxes[0], y = FL_BOX.boxes[1];
    return FL_BOX.origin[n] + (n == 0 ? g % x : n == 1 ? g / x % y : g / (x * y));
}
inline uint fl_simd() {  // SIMD-groups run in their order or backwards; a last one that is not whole stays the last
    const uint at = (uint)::get_local_id(0) / 32, whole = (uint)::get_local_size(0) / 32;
    return FL_BOX.descending && at < whole ? whole - 1 - at : at;
}
inline uint fl_thread() { return fl_simd() * 32 + (uint)::get_local_id(0) % 32; }
inline uint fl_position_local(uint n) {
    const uint i = fl_thread(), x = FL_BOX.wide[0], y = FL_BOX.wide[1];
    return n == 0 ? i % x : n == 1 ? i / x % y : i / (x * y);
}
inline uint fl_position_global(uint n) { return fl_position_group(n) * FL_BOX.full[n] + fl_position_local(n); }

// --- what was found --------------------------------------------------------------------------------------------------------
// Functions that are called must not ask where they are: then they are compiled for one thread, and called once for each lane;
// else for 32 at once, which takes this runtime's compiler half a second. So they are told: `self` has the threadgroup in the
// launch, and the thread.
inline uint fl_self() { return (uint)::get_group_id(0) << 10 | (uint)::get_local_id(0); }
inline uint fl_thread_of(uint self) {
    const uint at = (self & 0x3ff) / 32, whole = FL_BOX.wide[0] * FL_BOX.wide[1] * FL_BOX.wide[2] / 32;
    return (FL_BOX.descending && at < whole ? whole - 1 - at : at) * 32 + self % 32;
}
inline global fl_state *fl_state_of(uint self) { return (global fl_state *)(FL_ARENA + FL_STATES) + (self >> 10); }
FL_CALLED void fl_tell(uint self, uint site, uint what, ulong address, uint index, ulong other, uint other_site) {
    global uint *times = (global uint *)(FL_ARENA + FL_TIMES) + site * FL_WHATS + what;
    if (atomic_inc((volatile global uint *)times) >= FL_KEPT) return;
    const uint at = atomic_inc((volatile global uint *)&FL_CONTROL->found);
    if (at >= FL_RECORDS) return;
    global fl_record *r = (global fl_record *)(FL_ARENA + FL_FOUND) + at;
    r->site = site; r->what = what; r->index = index; r->who = fl_thread_of(self);
    r->address = address; r->group = fl_state_of(self)->group | (ulong)FL_BOX.number << 32;
    r->other = other; r->other_site = other_site;
}
FL_INLINED
// A loop, as this runtime's compiler passes a call by only where the whole SIMD-group does not come to it, and only in this
// form: under a lane's own condition the call is made with no lane in it, 500 ns each time.
#define FL_IF_ANY(wrong) for (uint fl_i = 0, fl_n = sub_group_non_uniform_any(wrong); fl_i < fl_n; fl_i++)
inline void fl_report(bool wrong, uint site, uint what, ulong address, uint index, ulong other, uint other_site) {
    FL_IF_ANY(wrong) if (wrong) fl_tell(fl_self(), site, what, address, index, other, other_site);
}

// --- accesses --------------------------------------------------------------------------------------------------------------
enum { fl_reads = 1, fl_writes = 2, fl_atomically = 4, fl_constant = 8, fl_padded = 16, fl_unknown = 31 };
// a note's record: serial 8 | threadgroup 24 | thread 10 | barriers passed 11 | SIMD-group's barriers 6 | bytes 4 | atomic 1
inline bool fl_clash(ulong old, ulong mine, bool shared) {
    const ulong both = old ^ mine;
    if (both >> 56 || !(old & mine & 0x1e) || (old & mine & 1)) return false;  // another dispatch, other bytes, both atomic
    if (both >> 32) return !shared;                                            // another threadgroup: never in any order
    if (!(both >> 22 & 0x3ff)) return false;                                   // the thread itself
    if (both >> 11 & 0x7ff) return false;                                      // a threadgroup_barrier lies between
    return both >> 27 & 31 || !(both >> 5 & 63);                               // within a SIMD-group its barrier does too
}
// After a read any barrier will do: the value has been used. What was written is seen only after one for that memory: so reads are
// noted as `passed`, after so many barriers of any kind, and writes as `ordered`, after so many for this memory. The lanes of a
// SIMD-group may be here at once: who finds another's record in place of its own knows that there was another. A place is noted
// before its record, so that whoever sees the record finds the place.
FL_CALLED void fl_note_access(ulong at, uint site, uint how, ulong ordered, ulong passed, bool shared, ulong address, uint self) {
    global fl_note *note = (global fl_note *)at;
    ulong wrote = note->wrote;
    uint wrote_at = note->wrote_at;
    const bool current = (wrote ^ ordered) >> 56 == 0, nobody = (wrote & 0xfffffffffffffful) == 0xfffffffffffffful;
    const bool unwritten = shared ? (wrote ^ ordered) >> 32 != 0 : current && nobody;
    uint what = FL_WHATS, other_site = 0;
    ulong other = 0;
    if (unwritten && how & fl_reads && !(how & fl_padded) && !(how & fl_atomically && !shared)) what = FL_UNWRITTEN;
    if (how & fl_writes) {
        const ulong read = note->read, before = note->read_before;
        const bool last = fl_clash(read, passed, shared);
        if (last || fl_clash(before, passed, shared)) {
            what = FL_READ_WRITE, other = last ? read : before, other_site = last ? note->read_at : note->before_at;
        }
        note->wrote_at = (ushort)site;
        note->wrote = ordered;
        const ulong now = *(volatile global ulong *)&note->wrote;
        if (now != ordered) wrote = now, wrote_at = site;
    } else {
        const ulong read = note->read;
        const ushort read_at = note->read_at;
        note->read_at = (ushort)site;
        note->read = passed;
        const bool last = *(volatile global ulong *)&note->read == passed;
        if (!last || read != passed) note->before_at = last ? read_at : (ushort)site, note->read_before = last ? read : passed;
    }
    if (!(current && nobody) && fl_clash(wrote, ordered, shared)) {
        what = how & fl_writes ? FL_WRITE_WRITE : FL_WRITE_READ, other = wrote, other_site = wrote_at;
    }
    if (what != FL_WHATS) fl_tell(self, site, what, address, 0, other, other_site);
}
FL_INLINED
// Where an access goes: to `address` if it may, to memory that is nobody's if not. `from` is the index of the buffer that
// the address was worked out of; fl_unknown where it is not seen: then it is the one that lies there.
FL_CALLED ulong fl_access_by(uint self, ulong address, uint site, uint kind) {
    const uint size = kind & 0xffff, align = 1u << (kind >> 16 & 15), how = kind >> 20 & 31, from = kind >> 25;
    ulong offset = 0, length = 0, notes = 0;
    const bool shared = address - FL_SHARED < FL_SHARED_SPAN;
    if (shared) {
        offset = address % FL_ARRAY - FL_ARRAY / 2;
        length = FL_CONTROL->arrays[address / FL_ARRAY % FL_ARRAYS];
        notes = FL_NOTES_SHARED + (address - FL_SHARED) / FL_ARRAY * FL_ARRAY + offset / 4 * 32;
        if ((address - FL_SHARED) / FL_ARRAY / FL_ARRAYS != self >> 10) length = 0;
    } else if (address - FL_DEVICE < FL_DEVICE_SPAN) {
        const ulong slot = (address - FL_DEVICE) / FL_SLOT;
        offset = address % FL_SLOT - FL_SLOT / 2;
        length = FL_CONTROL->lengths[slot];
        notes = FL_NOTES_DEVICE + slot * (FL_SLOT / 2) + offset / 4 * 32;
        if (from != fl_unknown && FL_CONTROL->bounds[from].base / FL_SLOT != address / FL_SLOT) length = 0;
    } else {
        if (how & fl_constant && address > FL_SLOT) return address;  // a table of the program's own, not null and an index
        if (address - (FL_ARENA + FL_NOBODY) < FL_SPARE) return FL_ARENA + FL_NOBODY;  // beside what was told already
    }
    const ulong here = length >> 2;
    if (offset >= here || offset + size > here) {
        fl_tell(self, site, how & fl_writes ? FL_OUT_WRITE : FL_OUT_READ, address, 0, size, self >> 10);
        return FL_ARENA + FL_NOBODY;
    }
    if (address % align) fl_tell(self, site, FL_MISALIGNED, address, 0, align, 0);
    if (length & 1 && how & 3) {  // somebody writes here
        global const fl_state *state = fl_state_of(self);
        const uint own = fl_thread_of(self), barriers = shared ? state->threadgroup_epoch : state->device_epoch;
        const ulong who = state->who | (ulong)own << 22 | (ulong)(state->simd_epoch[own / 32] & 63) << 5 | (how & fl_atomically ? 1 : 0);
        const ulong ordered = who | (ulong)(barriers & 0x7ff) << 11, passed = who | (ulong)(state->epoch & 0x7ff) << 11;
        uint at = (uint)(address & 3), left = size;
        for (ulong place = notes; left; place += 32) {
            const uint part = ::min(4 - at, left);
            const ulong bytes = (ulong)(((1u << part) - 1) << at) << 1;
            fl_note_access(place, site, how, ordered | bytes, passed | bytes, shared, address + size - left, self);
            left -= part, at = 0;
        }
    }
    return address;
}
FL_INLINED
inline ulong fl_access(ulong address, uint size, uint align, uint site, uint how, uint from) {
    return fl_access_by(fl_self(), address, site, size | (uint)ctz(align) << 16 | how << 20 | from << 25);
}
// What most accesses are is seen here at once: inside a buffer that nobody writes. If that is not so for one lane, all of them
// go the long way.
inline bool fl_plain(ulong offset, ulong length, uint size, uint how, bool aligned) {
    return (length >> 2) >= size && offset <= (length >> 2) - size && (!(length & 1) || !(how & 3)) && aligned;
}
#define FL_FROM(space, bit)                                                                                              \
    template <typename T> inline space T *fl_from(space T *p, uint site, uint how, uint from) {                          \
        const ulong a = (ulong)p;                                                                                        \
        global const fl_bound *b = FL_CONTROL->bounds + from;                                                            \
        FL_IF_ANY(!fl_plain(a - b->base, b->length, sizeof(T), how, a % alignof(T) == 0))                                \
            p = (space T *)fl_access(a, sizeof(T), alignof(T), site, how | bit, from);                                   \
        return p;                                                                                                        \
    }
FL_FROM(global, 0)
FL_FROM(__constant, fl_constant)
template <typename T> inline global T *fl_on(global T *p, uint site, uint how) {
    const ulong a = (ulong)p, length = FL_CONTROL->lengths[::min((a - FL_DEVICE) / FL_SLOT, (ulong)64)];
    FL_IF_ANY(!fl_plain(a % FL_SLOT - FL_SLOT / 2, length, sizeof(T), how, a % alignof(T) == 0))
        p = (global T *)fl_access(a, sizeof(T), alignof(T), site, how, fl_unknown);
    return p;
}
template <typename T> inline local T *fl_on(local T *p, uint site, uint how) {
    FL_IF_ANY(true) p = (local T *)fl_access((ulong)p, sizeof(T), alignof(T), site, how, fl_unknown);
    return p;
}
template <typename T> inline __constant T *fl_on(__constant T *p, uint site, uint how) {
    FL_IF_ANY(true) p = (__constant T *)fl_access((ulong)p, sizeof(T), alignof(T), site, how | fl_constant, fl_unknown);
    return p;
}
#define FL_PART_ON(space)                                                                                                \
    template <typename T> inline space T *fl_part_on(space T *p, uint site, uint how, uint from, uint size) {            \
        const ulong a = (ulong)p + from;                                                                                 \
        ulong b = a;                                                                                                     \
        FL_IF_ANY(true) b = fl_access(a, size, 1, site, how, fl_unknown);                                                \
        return a == b ? p : (space T *)b;                                                                                \
    }
FL_PART_ON(global)
FL_PART_ON(local)
template <typename T> inline __constant T *fl_part_on(__constant T *p, uint site, uint how, uint, uint) {
    return fl_on(p, site, how);
}
template <typename T> inline T fl_index(T index, uint length, uint site) {
    const bool wrong = (ulong)(long)index >= length;
    fl_report(wrong, site, FL_INDEX, (ulong)(long)index, length, 0, 0);
    return wrong ? (T)0 : index;
}
inline ulong fl_array_at(uint n) { return FL_SHARED + (::get_group_id(0) * FL_ARRAYS + n) * FL_ARRAY + FL_ARRAY / 2; }
template <typename R> inline R fl_array(uint n) { return (R)*(local uchar *)fl_array_at(n); }  // R: a reference
template <typename T> inline void fl_take(local T *thread &p, uint n) { p = (local T *)fl_array_at(n); }

// --- barriers, SIMD-groups -------------------------------------------------------------------------------------------------
inline bool fl_agree(bool yes, uint site) {  // on a condition with a barrier behind it
    const bool any = work_group_any(yes), all = work_group_all(yes);
    if (!any || all) return any;
    const bool stopped = work_group_any(*(volatile global uint *)&FL_CONTROL->stop);  // perhaps not everyone has seen it yet
    fl_report(!yes && !stopped, site, FL_DIVERGED, 0, 0, 0, 0);
    return any;
}
template <typename T> inline T fl_alike(T value, uint site) {  // what a switch with a barrier in it hangs on
    const long first = work_group_broadcast((long)value, 0);
    fl_report((long)value != first, site, FL_DIVERGED, 0, 0, 0, 0);
    return (T)first;
}
inline void fl_threadgroup_barrier(uint site, mem_flags flags) {
    work_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (::get_local_id(0) == 0) {
        fl_own_state()->epoch += 1;
        fl_own_state()->threadgroup_epoch += ((uint)flags & (uint)mem_flags::mem_threadgroup) != 0;
        fl_own_state()->device_epoch += ((uint)flags & (uint)mem_flags::mem_device) != 0;
    }
    work_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
}
inline uint fl_present() { return (uint)::get_local_size(0) - (uint)::get_local_id(0) / 32 * 32; }
inline uint fl_lanes() { return fl_present() >= 32 ? 0xffffffffu : (1u << fl_present()) - 1; }
inline void fl_whole_simd(uint site) {
    const uint active = sub_group_ballot(1).x;
    const bool first = get_sub_group_local_id() == (uint)ctz(active);
    fl_report(active != fl_lanes() && first, site, FL_SIMD_DIVERGED, 0, 0, active, 0);
}
inline void fl_simdgroup_barrier(uint site, mem_flags flags) {
    fl_whole_simd(site);
    sub_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (get_sub_group_local_id() == 0 && (uint)flags & 3) fl_own_state()->simd_epoch[fl_thread() / 32] += 1;
    sub_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
}
// A tile of 8 × 8 that a SIMD-group loads or stores, two elements a lane.
#define FL_ROWS(space)                                                                                                   \
    template <typename T> inline space T *fl_rows(space T *p, uint site, uint how, ulong per_row = 8,                    \
                                                  ulong2 origin = (ulong2)(0), bool across = false) {                    \
        for (uint n = 0; n < 2; n++) {                                                                                   \
            const ulong row = get_sub_group_local_id() / 4, column = get_sub_group_local_id() % 4 * 2 + n;               \
            fl_on(p + (origin.y + (across ? column : row)) * per_row + origin.x + (across ? row : column), site, how);   \
        }                                                                                                                \
        return p;                                                                                                        \
    }
FL_ROWS(global)
FL_ROWS(local)
inline uint fl_lane(uint lane, uint of, uint site) {  // of: 32 lanes of a SIMD-group, 4 of a quad
    const uint active = sub_group_ballot(1).x, base = get_sub_group_local_id() / of * of;
    fl_report(lane >= of || !(active >> (base + lane) & 1), site, FL_LANE_OFF, 0, lane, active, 0);
    return lane;
}
inline uint fl_lane_across(uint mask, uint of, uint site) {
    fl_lane(get_sub_group_local_id() % of ^ mask, of, site);
    return mask;
}

// --- loops, private variables ------------------------------------------------------------------------------------------------
inline bool fl_goes_on(uint site) {
    const bool stop = *(volatile global uint *)&FL_CONTROL->stop;
    if (stop) FL_CONTROL->stopped_at = site;
    return !stop;
}
template <typename R> inline R fl_nothing() { return (R)*(global uchar *)(FL_ARENA + FL_NOBODY); }  // R: a reference
template <typename T> inline void fl_poison(thread T *p) {
    for (uint i = 0; i < sizeof(T); i++) ((thread uchar *)p)[i] = 0x0b;  // small as a float: a sum shows
}
template <typename T> inline T fl_poisoned() { T x; fl_poison(&x); return x; }
inline void fl_look(const thread uint *words, uint bytes, uint site) {
    bool unset = false;
    for (uint i = 0; i < bytes / 4; i++) unset |= words[i] == 0x0b0b0b0b;
    fl_report(unset, site, FL_PRIVATE, 0, 0, 0, 0);
}
template <typename T> inline T fl_seen(T x, uint bytes, uint site) {
    if (sizeof(T) >= 4) fl_look((const thread uint *)&x, bytes, site);
    return x;
}
template <typename T> inline thread T &fl_seen_at(thread T &x, uint bytes, uint site) {
    if (sizeof(T) >= 4) fl_look((const thread uint *)&x, bytes, site);
    return x;
}

// An integer divided by 0 is undefined in Metal; here the runtime may try again for ever. It is divided by 1.
template <typename T> inline T fl_divisor(T d, uint site) {
    bool zero = false;
    if constexpr (fl_shape<T>::size == 0) {
        zero = d == (T)0;
        d = zero ? (T)1 : d;
    } else {
        for (uint i = 0; i < fl_shape<T>::size; i++) {
            if (d[i] == 0) zero = true, d[i] = 1;
        }
    }
    fl_report(zero, site, FL_ZERO, 0, 0, 0, 0);
    return d;
}

// --- limits and fast math ----------------------------------------------------------------------------------------------------
template <typename T> inline T fl_wide(T index, long exact, uint site) {
    fl_report((long)index != exact, site, FL_OVERFLOW, (ulong)exact, (uint)index, 0, 0);
    return index;
}
template <typename T> inline T fl_says(T x, uint site, uint what) {
    fl_report(true, site, what, 0, 0, 0, 0);
    return x;
}
inline uint fl_strange(float x, uint infinite) {  // 1: infinity, 2: NaN; by its bits, whatever the compiler may assume
    const uint bits = as_uint(x) & 0x7fffffffu;
    return bits > 0x7f800000u ? 2 : bits == 0x7f800000u ? infinite : 0;
}
inline uint fl_strange(half x, uint infinite) {
    const uint bits = as_ushort(x) & 0x7fffu;
    return bits > 0x7c00u ? 2 : bits == 0x7c00u ? infinite : 0;
}
#define FL_STRANGE_VECTORS(T)                                                                                                    \
    inline uint fl_strange(T##2 x, uint i) { return ::max(fl_strange(x.x, i), fl_strange(x.y, i)); }                       \
    inline uint fl_strange(T##3 x, uint i) { return ::max(fl_strange(x.xy, i), fl_strange(x.z, i)); }                      \
    inline uint fl_strange(T##4 x, uint i) { return ::max(fl_strange(x.xy, i), fl_strange(x.zw, i)); }
FL_STRANGE_VECTORS(float)
FL_STRANGE_VECTORS(half)
template <typename T> inline uint fl_strange(T, uint) { return 0; }
template <typename T> inline T fl_finite(T x, uint site, uint what, uint infinite) {
    const uint strange = fl_strange(x, infinite);
    fl_report(strange != 0, site, what, 0, strange, 0, 0);
    return x;
}

}  // namespace metal

#define get_global_id(n) fl_position_global(n)
#define get_global_size(n) FL_BOX.grid[n]
#define get_group_id(n) fl_position_group(n)
#define get_num_groups(n) FL_BOX.groups[n]
#define get_local_id(n) fl_position_local(n)
#define get_local_linear_id() fl_thread()
#define get_local_size(n) FL_BOX.wide[n]
#define get_enqueued_local_size(n) FL_BOX.full[n]
#define get_sub_group_id() fl_simd()
#define get_enqueued_num_sub_groups() ((FL_BOX.full[0] * FL_BOX.full[1] * FL_BOX.full[2] + 31) / 32)
