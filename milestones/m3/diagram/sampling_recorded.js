// The sampler once more, for an exported site, where there is no engine: from recorded logits, what sampling.py would answer.
// Float32 sums, one addition after the other, as sample.metal and reference/sample.py have them.
import { floats, kept } from "./replay.js";

const f = Math.fround, TINY = 2 ** -126, STAGES = ["top_k", "top_p", "min_p"];
let sorted = { logits: null, order: null };

/** As `look` or `draws` of sampling.py; null where there are no logits for this text. */
export async function answer(data, endpoint, request) {
  const row = data.rows[`${request.text}|${request.appended.join(",")}`];
  if (!row) return null;
  if (!Number.isInteger(request.seed) || request.seed < 0 || request.seed > 2 ** 32 - 1) throw new Error("seed must be a whole number from 0 to 4,294,967,295");
  const logits = await floats(row.file), texts = await kept(data.texts, (answer) => answer.json());
  return [endpoint === "look" ? look(data, row, logits, texts, request) : draws(logits, request)];
}

function look(data, row, logits, texts, request) {
  const greedy = request.temperature === 0, { appended } = request, seen = stages(logits, { ...request, temperature: request.temperature || 1 });
  const chosen = greedy ? seen.order[0] : draw(seen.weights, request.seed, appended.length);
  const kept = greedy ? logits.map((_, i) => (i === chosen ? 1 : 0)) : seen.min_p;
  const named = (id) => ({ id, text: texts[id] });
  return {
    rows: [...seen.order.subarray(0, request.rows)].map((id) => ({
      ...named(id), logit: logits[id], own: seen.own[id], tempered: (greedy ? kept : seen.tempered)[id], final: kept[id],
      cut: greedy ? (id === chosen ? null : "temperature") : STAGES.find((stage) => seen[stage][id] === 0) ?? null })),
    left: Object.fromEntries(STAGES.map((stage) => [stage, greedy ? 1 : seen[stage].reduce((n, p) => n + (p > 0), 0)])),
    size: logits.length, chosen: { ...named(chosen), p: kept[chosen] }, appended: appended.map(named), continuation: row.continuation,
    ended: appended.length > 0 && data.ends.includes(appended.at(-1)), tokens: row.tokens,
  };
}

function draws(logits, request) {
  const greedy = request.temperature === 0, seen = stages(logits, { ...request, temperature: request.temperature || 1 });
  const counted = new Map(), listed = seen.order.subarray(0, request.rows);
  for (let n = 0; n < 1000; n += 1) {
    const id = greedy ? seen.order[0] : draw(seen.weights, request.seed, n);
    counted.set(id, (counted.get(id) ?? 0) + 1);
  }
  const counts = [...listed].map((id) => ({ id, drawn: counted.get(id) ?? 0, expected: 1000 * (greedy ? Number(id === seen.order[0]) : seen.min_p[id]) }));
  const rest = (name) => 1000 - counts.reduce((sum, one) => sum + one[name], 0);
  return { draws: 1000, counts, others: { drawn: rest("drawn"), expected: rest("expected") } };
}

/** The distribution after each setting, renormalised each time, and the weights that are drawn from. The temperature is above 0. */
export function stages(logits, { temperature, top_k, top_p, min_p }) {
  const order = ranked(logits), p = softmax(logits, temperature);
  const weights = keep(p, order, top_k, top_p, min_p);
  return { order, weights, own: softmax(logits, 1), tempered: shares(keep(p, order, 0, 1, 0)), top_k: shares(keep(p, order, top_k, 1, 0)),
    top_p: shares(keep(p, order, top_k, top_p, 0)), min_p: shares(weights) };
}

/** The first id at which the running sum exceeds u × total; the last one of weight above 0 if rounding lets none. */
export function draw(weights, seed, step) {
  let sum = 0, last = 0;
  const wanted = f(uniform(seed, step) * weights.reduce((total, weight) => f(total + weight), 0));
  for (let i = 0; i < weights.length; i += 1) {
    sum = f(sum + weights[i]);
    if (sum > wanted) return i;
    if (weights[i] > 0) last = i;
  }
  return last;
}

/** Philox4x32-10, the upper 24 bits of word 0, over 2²⁴. */
export function uniform(seed, step) {
  let [a, b, c, d] = [BigInt(step), 0n, 0n, 0n], low = BigInt(seed), high = 0n;
  const mask = 0xffffffffn;
  for (let round = 0; round < 10; round += 1) {
    const left = a * 0xd2511f53n, right = c * 0xcd9e8d57n;
    [a, b, c, d] = [(right >> 32n) ^ b ^ low, right & mask, (left >> 32n) ^ d ^ high, left & mask];
    [low, high] = [(low + 0x9e3779b9n) & mask, (high + 0xbb67ae85n) & mask];
  }
  return Number(a >> 8n) / 2 ** 24;
}

/** Ids by falling logit, of equals the lower first. */
function ranked(logits) {
  if (sorted.logits !== logits) sorted = { logits, order: Uint32Array.from(logits.keys()).sort((i, j) => logits[j] - logits[i] || i - j) };
  return sorted.order;
}

function softmax(logits, temperature) {
  const most = logits.reduce((a, b) => Math.max(a, b)), raised = Float64Array.from(logits, (x) => Math.exp((x - most) / temperature));
  const sum = raised.reduce((a, b) => a + b);
  return Float32Array.from(raised, (x) => x / sum);
}

function keep(p, order, topK, topP, minP) {
  let left = order.subarray(0, topK || p.length);
  if (topP < 1) {
    const sums = new Float32Array(left.length);
    left.forEach((id, j) => { sums[j] = j ? f(sums[j - 1] + p[id]) : p[id]; });
    const wanted = f(f(topP) * sums.at(-1)), at = sums.findIndex((sum) => sum >= wanted);
    left = left.subarray(0, at < 0 ? left.length : at + 1);
  }
  const floor = f(f(minP) * p[order[0]]), weights = new Float32Array(p.length);
  for (const id of left) weights[id] = p[id] >= floor && p[id] >= TINY ? p[id] : 0;
  return weights;
}

function shares(weights) {
  const sum = weights.reduce((a, b) => a + b, 0);
  return Float64Array.from(weights, (weight) => weight / sum);
}
