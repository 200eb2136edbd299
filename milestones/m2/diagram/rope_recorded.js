// RoPE once more, for an exported site, where there is no engine: from recorded queries and keys before the turn and the angles of the
// kernel's table, what rope.py would answer. In float64: the kernel's float32 is the less exact of the two.
import { floats } from "./replay.js";

/** As the endpoints of rope.py; null where nothing of this text was recorded. */
export async function answer(data, endpoint, request) {
  if (endpoint === "sizes") return [{ blocks: data.blocks, heads: data.heads, pairs: data.d / 2 }];
  const example = data.examples[request.text];
  return example ? [look(data, example.tokens, await floats(example.file), request)] : null;
}

/** A head's vector as pairs of numbers. */
function pairs(vector, halves) {
  const n = vector.length / 2;
  return Array.from({ length: n }, (_, i) => (halves ? [vector[i], vector[n + i]] : [vector[2 * i], vector[2 * i + 1]]));
}

/** All pairs turned as at a position, and multiplied by the scale. */
export const turned = (vector, position, radians, scale = 1) => vector.map(([a, b], i) => {
  const cos = scale * Math.cos(position * radians[i]), sin = scale * Math.sin(position * radians[i]);
  return [a * cos - b * sin, a * sin + b * cos];
});

const count = (n) => Array.from({ length: n }, (_, i) => i);

function look({ blocks, heads, kv_heads, d, halves, radians: every, scales, places: all, farthest, context }, tokens, numbers, { layer, head, query, key, pair, position, distance }) {
  const n = tokens.length, group = heads / kv_heads, radians = every[layer], scale = scales[layer];
  [query, key] = [query, key].map((at) => Math.min(at, n - 1)); // past the end of the text: its last token
  const vector = (first, wide, token, at) => {
    const start = first + ((layer * n + token) * wide + at) * d;
    return pairs(numbers.subarray(start, start + d), halves);
  };
  const q = vector(0, heads, query, head), k = vector(blocks * n * heads * d, kv_heads, key, Math.floor(head / group));
  const part = (a, b, i) => (a[i][0] * b[i][0] + a[i][1] * b[i][1]) / Math.sqrt(d);
  /** The scores of a query and a key at each of these places, and the pair's part in them. */
  const scored = (where) => {
    const both = where.map(([at_q, at_k]) => [turned(q, at_q, radians, scale), turned(k, at_k, radians, scale)]);
    return { score: both.map(([a, b]) => a.reduce((sum, _, i) => sum + part(a, b, i), 0)), part: both.map(([a, b]) => part(a, b, pair)) };
  };
  const by_distance = scored(count(farthest + 1).map((apart) => [position + apart, position]));
  const places = all.filter((place) => place + distance < context);
  const hand = (at) => radians.map((angle) => [scale * Math.cos(at * angle), scale * Math.sin(at * angle)]);
  return {
    tokens, query, key, blocks, heads, pairs: d / 2, radians, hands: { q: hand(position + distance), k: hand(position) },
    plain: { q: q[pair], k: k[pair] }, turned: { q: turned(q, position + distance, radians, scale)[pair], k: turned(k, position, radians, scale)[pair] },
    trail: count(farthest + 1).map((at) => turned(q, at, radians, scale)[pair]), score: by_distance.score[distance], by_distance,
    by_position: { position: places, ...scored(places.map((place) => [place + distance, place])) },
  };
}
