// What an exported site answers of the cache: steps that were recorded along likely continuations, and the rest by what it depends on
// alone. See recorded.py. Nothing is computed here but sums of bytes.
import { floats } from "./replay.js";

const ELEMENTS = 8; // of a row

/** As the endpoints of cache.py; null where there is no such step. */
export async function answer(data, endpoint, request) {
  const example = data.examples[request.text], found = example?.steps[request.appended.join(",")];
  if (!found) return null;
  if (endpoint === "cell") return [cell(await floats(example.file), data, example, request)];
  return [{ step, rewind, fork }[endpoint](example, request, found[request.dtype])];
}

const NOTHING = { copied: 0, fed: 0 }; // recorded with a cache that was kept
const prompt = (example) => example.tokens.length;

function step(example, { appended, dtype }, { next, ...own }) {
  const path = appended.map((_, i) => example.steps[appended.slice(0, i + 1).join(",")].token), tokens = [...example.tokens, ...path];
  const memory = { ...example.memory[dtype], used: example.memory[dtype].token * tokens.length };
  return { ...own, next, tokens, prompt: prompt(example), start: appended.length ? tokens.length - 1 : 0, layers: example.layers, limit: example.limit, memory, origin: NOTHING };
}

function rewind(example, { appended, dtype, to }) {
  const was = prompt(example) + appended.length, ms = example.rewinds[dtype][appended.length][to - prompt(example)];
  return { was, length: to, ms, allocated: example.memory[dtype].allocated, origin: NOTHING };
}

function fork(example, { appended, dtype }) {
  const length = prompt(example) + appended.length, { token, allocated } = example.memory[dtype];
  return { length, ms: example.forks[dtype][appended.length], bytes: token * length, allocated, origin: NOTHING };
}

/** A row of the file for each token: of the prompt, then of the steps in their order. */
function cell(numbers, { dtypes }, example, { appended, dtype, layer, token }) {
  const own = token - prompt(example), heads = example.memory[dtype].kv_heads, shown = Math.min(ELEMENTS, example.memory[dtype].head_dim);
  const row = own < 0 ? token : prompt(example) - 1 + example.steps[appended.slice(0, own + 1).join(",")].number;
  let at = ((row * dtypes.length + dtypes.indexOf(dtype)) * example.layers + layer) * 2 * (heads + 2 * shown + 2);
  const take = (count) => [...numbers.subarray(at, at += count)];
  const half = () => ({ norms: take(heads), elements: take(shown), anew: take(shown), apart: take(1)[0], largest: take(1)[0] });
  return { k: half(), v: half(), layer, token, length: prompt(example) + appended.length };
}
