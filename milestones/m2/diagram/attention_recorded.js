// Attention once more, for an exported site, where there is no engine: from recorded queries, keys, values and outputs, what attention.py
// would answer. Sums in float64: the kernel's float32 is the less exact of the two.
import { floats } from "./replay.js";

const PARTS = 4, TINY = 2 ** -126; // values drawn by themselves; the smallest weight that is not 0

/** As the endpoints of attention.py; null where nothing of this text was recorded. */
export async function answer(data, endpoint, request) {
  if (endpoint === "sizes") return [{ blocks: data.blocks, heads: data.heads, pairs: data.d / 2 }];
  const example = data.examples[request.text];
  if (!example) return null;
  const layer = cut(await floats(example.file), data, example.tokens.length, request.layer);
  return [endpoint === "maps" ? maps(layer, data, example, request) : look(layer, data, request)];
}

/** A layer of the file, in which the queries of all layers come first, then keys, values and outputs: each `q(token, head)` a vector. */
function cut(all, { blocks, heads, kv_heads, d }, tokens, layer) {
  let first = 0;
  const [q, k, v, mixed] = [heads, kv_heads, kv_heads, heads].map((wide) => {
    const start = first + layer * tokens * wide * d;
    first += blocks * tokens * wide * d;
    return (token, head) => all.subarray(start + (token * wide + head) * d, start + (token * wide + head + 1) * d);
  });
  return { q, k, v, mixed, tokens };
}

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const size = (vector) => Math.sqrt(dot(vector, vector));

const scores = ({ q, k, tokens }, query, head, shared, d) =>
  Array.from({ length: tokens }, (_, token) => dot(q(query, head), k(token, shared)) / Math.sqrt(d));

/** Softmax of the scores of what the query sees; 0 for the others. */
function weights(scored, query, masked) {
  const seen = masked ? scored.slice(0, query + 1) : scored, most = Math.max(...seen);
  const raised = seen.map((score) => Math.exp(score - most)), sum = raised.reduce((a, b) => a + b);
  return scored.map((_, token) => (token < seen.length && raised[token] / sum >= TINY ? raised[token] / sum : 0));
}

function maps(layer, { blocks, heads, kv_heads, d }, { tokens }, { masked }) {
  const row = (head) => (_, query) => weights(scores(layer, query, head, Math.floor(head * kv_heads / heads), d), query, masked).map((w) => Math.round(1e4 * w) / 1e4);
  return { tokens, blocks, heads, kv_heads, d, weights: Array.from({ length: heads }, (_, head) => Array.from(tokens, row(head))) };
}

function look(layer, { heads, kv_heads, d }, { head, query, masked }) {
  const shared = Math.floor(head * kv_heads / heads), score = scores(layer, query, head, shared, d), weight = weights(score, query, masked);
  const values = weight.map((_, token) => Float64Array.from(layer.v(token, shared)));
  const parts = values.map((value, token) => value.map((x) => weight[token] * x)), sizes = parts.map(size);
  const heard = weight.map((_, token) => token).filter((token) => weight[token] > 0);
  const drawn = [...heard].sort((a, b) => sizes[b] - sizes[a] || a - b).slice(0, PARTS).sort((a, b) => a - b);
  const others = heard.filter((token) => !drawn.includes(token));
  const sum = (tokens) => Array.from({ length: d }, (_, i) => tokens.reduce((all, token) => all + parts[token][i], 0));
  const output = masked ? [...layer.mixed(query, head)] : sum(heard); // masked, it is the run's own
  return {
    kv_head: shared, score, weight, value: values.map(size), part: sizes, parts: drawn.map((token) => ({ token, vector: [...parts[token]] })),
    others: { count: others.length, vector: sum(others) }, output, norm: size(Float64Array.from(output)),
  };
}
