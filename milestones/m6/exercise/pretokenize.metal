// Where a text is cut before byte-pair encoding: GPT-2's rule, and SmolLM's, which cuts out every digit first
//
//   's | 't | 're | 've | 'm | 'll | 'd | ␣?letters | ␣?numbers | ␣?signs | white space but its last character | white space
//
//   buffer 0  text    uchar [words + 1, 4]  read: all texts, one after the other, in UTF-8; a byte that is not is a sign of its own
//
// character_kinds, a thread each four bytes, words + 1 threads:
//   buffer 1  first   uchar [words + 1, 4]  read: 1 where a text begins, and behind the last one; else 0
//   buffer 2  pages   ushort [0x1100]       read: which page holds the classes of code points 256 p … 256 p + 255
//   buffer 3  classes uchar [pages, 256]    read: SIGN, LETTER, NUMBER or SPACE
//   buffer 4  kinds   uchar [words + 1, 4]  written, every element
//   buffer 5  args    Args                  read
// then pretokenize, a thread each four bytes, `words` threads:
//   buffer 1  kinds   uchar [words + 1, 4]  read
//   buffer 2  starts  uchar [words, 4]      to be written, every element: 1 where a piece begins, else 0
//   buffer 3  args    Args                  read
//
// The rule is a regular expression tried from the left, but what it finds hangs on four bytes before and four behind only: so every
// byte can tell for itself. A byte's kind is its character's class, with INSIDE for all but a character's first byte, so the byte
// before tells the class before; and with BREAK where a text begins.
//
// character_kinds is whole; pretokenize is yours. Bytes are taken four at a time, as words: `window` has twelve of them.
//
//   pytest milestones/m6/test_pretokenize.py
#include <metal_stdlib>
using namespace metal;

constant uint SIGN = 0, LETTER = 1, NUMBER = 2, SPACE = 3, CLASS = 3, INSIDE = 4, BREAK = 128;

struct Args {
    uint words;   // ⌈bytes / 4⌉
    uint digits;  // not 0: each number is a piece, and what is between numbers is cut as if it were a text
};

// Twelve bytes of text and as many marks of them (`first`, or `kinds`): four before a thread's own, its own, and four behind.
struct Window {
    uint text[3];
    uint marks[3];
    uint letter(uint j) const thread { return text[j / 4] >> 8 * (j % 4) & 0xFF; }
    uint mark(uint j) const thread { return marks[j / 4] >> 8 * (j % 4) & 0xFF; }
};

// The code point of the character that a byte is of, `inside` bytes behind its first one; 0, which is a sign, for a byte of none.
// `text`: the byte with the three before it and the four behind it, byte 3 is it; `first` likewise says where texts begin.
static uint code_point(ulong text, ulong first, thread uint &inside) {
    inside = 0;
    while (inside < 3 && (text >> 8 * (3 - inside) & 0xC0) == 0x80) inside++;  // to where its character may begin
    const uint bytes = uint(text >> 8 * (3 - inside)), breaks = uint(first >> 8 * (3 - inside));
    const uint lead = bytes & 0xFF, length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    const uint used = length > 1 ? 0xFFFFFF00 >> 8 * (4 - length) & 0xFFFFFF00 : 0;  // of the bytes behind the lead
    const uint a = bytes >> 8 & 0x3F, b = bytes >> 16 & 0x3F, c = bytes >> 24 & 0x3F;
    const uint two = (lead & 0x1F) << 6 | a, three = (lead & 0x0F) << 12 | a << 6 | b, four = (lead & 7) << 18 | a << 12 | b << 6 | c;
    const uint code = length == 1 ? lead : length == 2 ? two : length == 3 ? three : four;
    const bool shorter = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    const bool whole = length > inside && (bytes & used & 0xC0C0C0C0) == (used & 0x80808080) && (breaks & used) == 0;
    if (whole && !shorter && code <= 0x10FFFF && !(code >= 0xD800 && code < 0xE000)) return code;
    inside = 0;
    return 0;
}

// Eight of the twelve bytes in three words, from byte j on, j from 1 to 4.
static ulong eight(thread const uint *words, uint j) {
    return (ulong(words[1]) << 32 | words[0]) >> 8 * j | ulong(words[2]) << 8 * (8 - j);
}

// The window of word t. The first text begins at byte 0, and nothing looks behind it.
static Window window(device const uint *text, device const uint *marks, uint t, uint last) {
    Window near;
    near.text[0] = t > 0 ? text[t - 1] : 0;
    near.marks[0] = t > 0 ? marks[t - 1] : 0;
    near.text[1] = text[t];
    near.marks[1] = marks[t];
    near.text[2] = t < last ? text[t + 1] : 0;
    near.marks[2] = t < last ? marks[t + 1] : 0;
    return near;
}

kernel void character_kinds(device const uint *text [[buffer(0)]],
                            device const uint *first [[buffer(1)]],
                            device const ushort *pages [[buffer(2)]],
                            device const uchar *classes [[buffer(3)]],
                            device uint *kinds [[buffer(4)]],
                            constant Args &args [[buffer(5)]],
                            uint t [[thread_position_in_grid]]) {
    const uint at = min(t, args.words);  // the rounded-up tail goes along to where the SIMD-group decides
    const Window near = window(text, first, at, args.words);
    uint out = 0;
    if (simd_any((near.text[1] & 0x80808080) != 0)) {
#pragma unroll
        for (uint n = 0; n < 4; n++) {
            uint inside = 0;
            const uint code = code_point(eight(near.text, n + 1), eight(near.marks, n + 1), inside);
            const uint kind = classes[uint(pages[code >> 8]) * 256 + (code & 0xFF)];
            out |= (kind | (inside > 0 ? INSIDE : 0) | (near.mark(4 + n) != 0 ? BREAK : 0)) << 8 * n;
        }
    } else {  // ASCII, whose classes nobody will change
#pragma unroll
        for (uint n = 0; n < 4; n++) {
            const uint c = near.letter(4 + n);
            const uint kind = (c | 0x20) - 'a' < 26u ? LETTER : c - '0' < 10u ? NUMBER : c == ' ' || c - 9 < 5u ? SPACE : SIGN;
            out |= (kind | (near.mark(4 + n) != 0 ? BREAK : 0)) << 8 * n;
        }
    }
    if (t > args.words) return;
    kinds[t] = out;
}

kernel void pretokenize(device const uint *text [[buffer(0)]],
                        device const uint *kinds [[buffer(1)]],
                        device uint *starts [[buffer(2)]],
                        constant Args &args [[buffer(3)]],
                        uint t [[thread_position_in_grid]]) {
    if (t >= args.words) return;  // the rounded-up tail
    // Your task: 1 in each of the four bytes of starts[t] at which a piece begins. window(text, kinds, t, args.words) has them as
    // bytes 4 to 7, with the four before and the four behind.
}
