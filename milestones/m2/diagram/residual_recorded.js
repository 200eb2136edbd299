// The residual stream once more, for an exported site, where there is no engine: from the recorded stream, the norms' weights and the
// lengths of what is added, what residual.py would answer. In float64: the kernel's float32 is the less exact of the two.
import { floats } from "./replay.js";

const LARGEST = 8; // elements that are listed
const digits = (x) => Number(x.toPrecision(6));

/** As `norms` or `look` of residual.py; null where nothing of this text was recorded. */
export async function answer(data, endpoint, request) {
  const example = data.examples[request.text];
  if (!example) return null;
  const seen = cut(await floats(example.file), data, example.tokens.length);
  return [endpoint === "norms" ? norms(seen, data, example) : look(seen, await floats(data.weights), data, request)];
}

/** The parts of the file, in its order: the stream before each block and after the last, that between attention and FFN, the lengths of
 *  what each part adds, and of what it would add without its norm, [part][layer][token]. */
function cut(all, { blocks, width }, tokens) {
  const vectors = (first) => (layer, token) => Float64Array.from(all.subarray(first + (layer * tokens + token) * width, first + (layer * tokens + token + 1) * width));
  const between = (blocks + 1) * tokens * width, added = between + blocks * tokens * width;
  const lengths = (first) => (part, layer, token) => all[first + ((part === "attention" ? 0 : blocks) + layer) * tokens + token];
  return { before: vectors(0), between: vectors(between), added: lengths(added), without: lengths(added + 2 * blocks * tokens) };
}

const squares = (vector) => vector.reduce((sum, x) => sum + x * x, 0);
const size = (vector) => Math.sqrt(squares(vector));
const rms = (vector) => Math.sqrt(squares(vector) / vector.length);

function norms(seen, { blocks, width }, { tokens }) {
  const table = (layers, of) => tokens.map((_, token) => Array.from({ length: layers }, (_, layer) => digits(of(layer, token))));
  return {
    tokens, blocks, width, before: table(blocks + 1, (...at) => size(seen.before(...at))), between: table(blocks, (...at) => size(seen.between(...at))),
    attention: table(blocks, (...at) => seen.added("attention", ...at)), ffn: table(blocks, (...at) => seen.added("ffn", ...at)),
  };
}

function look(seen, weights, { blocks, width, eps }, { token, layer, part }) {
  const attention = part === "attention", x = (attention ? seen.before : seen.between)(layer, token);
  const row = ((attention ? 0 : blocks) + layer) * width, weight = Float64Array.from(weights.subarray(row, row + width));
  const scale = 1 / Math.sqrt(squares(x) / width + eps), divided = x.map((value) => value * scale), normed = divided.map((value, i) => value * weight[i]);
  const order = [...x.keys()].sort((i, j) => Math.abs(x[j]) - Math.abs(x[i]) || i - j).slice(0, LARGEST);
  const vectors = { x, divided, weight, normed };
  return {
    vectors: { x: [...x], divided: [...divided], normed: [...normed] },
    rms: Object.fromEntries(Object.entries(vectors).map(([name, vector]) => [name, rms(vector)])), eps,
    largest: order.map((at) => ({ at, ...Object.fromEntries(Object.entries(vectors).map(([name, vector]) => [name, vector[at]])) })),
    share: order.reduce((sum, at) => sum + x[at] * x[at], 0) / squares(x),
    added: seen.added(part, layer, token), without: seen.without(part, layer, token), length: size(x),
    after: size(attention ? seen.between(layer, token) : seen.before(layer + 1, token)),
  };
}
