// What the cache's page draws: a branch's cells, and the milliseconds of both ways. No state of its own. See cache.js.
import { button, count, element, keyed, svg, visible } from "./controls.js";

const CELL = 15, ROW = 8, LEFT = 34, TOP = 76; // pixels
export const WAYS = { cached: "With the cache", uncached: "Without" };
export const ms = (t) => (t >= 9999.5 ? `${(t / 1000).toFixed(1)} s` : `${t < 0.1 ? t.toFixed(3) : t < 10 ? t.toFixed(1) : Math.round(t).toLocaleString("en")} ms`);
export const bytes = (n) => (n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : `${(n / 1e6).toFixed(1)} MB`);
export const rows = (n) => count(n, "row");

/** A branch's newest step in words. */
export function stepSaid({ given, lit, name }, cached) {
  const n = given.tokens.length, way = cached ? "cached" : "uncached", made = given[way].rows;
  if (!lit) return `Branch ${name} holds ${count(n, "token")}; nothing has been computed since.`;
  return `${WAYS[way]}, this step computed ${made === 1 ? `token ${n - 1}` : `tokens ${n - made} to ${n - 1}`}: ${rows(made)} of K and ${made} of V in each of ${
    given.layers} layers, ${(2 * made * given.layers).toLocaleString("en")} together${cached ? `; ${rows(given.start)} a layer came out of the cache` : ""}.`;
}

/** What its cache takes. */
export function memorySaid({ layers, tokens, memory: m }) {
  return `Memory: ${layers} layers × 2 × ${m.kv_heads} heads × ${m.head_dim} numbers × ${m.element} bytes = ${m.token.toLocaleString("en")} bytes a token. ${
    count(tokens.length, "token")} take ${bytes(m.token * tokens.length)} of the ${bytes(m.allocated)} set aside for ${m.capacity}; a whole context of ${m.context.toLocaleString("en")} would take ${bytes(m.full)}.`;
}

/** A branch's place: the button that makes it the one that is stepped, its text, its cells. */
export function place(name, choose, click) {
  const picture = svg("svg", { class: "cells" });
  picture.addEventListener("click", click);
  return element("section", { class: "branch", "aria-label": `Branch ${name}` }, button(`Branch ${name}`, choose, { class: "quiet" }),
    element("p", { class: "prompt" }), element("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": `Cells of branch ${name}` }, picture));
}

/** A branch's cells into an <svg>: what this step computed, what it read from the cache, what a rewind left behind. */
export function cells(picture, { given, high, lit }, cached, chosen) {
  const n = given.tokens.length, made = lit ? given[cached ? "cached" : "uncached"].rows : 0, shown = cached ? Math.max(high, n) : n;
  const width = LEFT + CELL * shown + 46, height = TOP + ROW * given.layers + 6;
  const paths = { computed: "", kept: "", stale: "" };
  for (let t = 0; t < shown; t += 1) {
    const kind = t >= n ? "stale" : t >= n - made ? "computed" : "kept";
    if (kind === "kept" && !cached) continue; // nothing is kept
    for (let l = 0; l < given.layers; l += 1) for (const half of [0, 1]) {
      const x = LEFT + t * CELL + 1 + 6.5 * half, y = TOP + l * ROW + 1;
      paths[kind] += kind === "kept" ? `M${x + 2} ${y + 2}h2v2h-2z` : kind === "stale" ? `M${x + 0.5} ${y + 0.5}h5v5h-5z` : `M${x} ${y}h6v6h-6z`;
    }
  }
  Object.entries({ width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${n} tokens in ${given.layers} layers: ${made} computed in this step, ${cached ? n - made : 0} kept from before, ${shown - n} stale` })
    .forEach(([name, value]) => picture.setAttribute(name, value));
  const label = (t) => svg("text", { x: 0, y: 0, transform: `translate(${LEFT + t * CELL + 10} ${TOP - 6}) rotate(-58)`, class: t >= n - made ? "new" : "old" }, `${visible(given.tokens[t].text).slice(0, 9)}`);
  picture.replaceChildren(
    ...Object.entries(paths).map(([kind, d]) => svg("path", { class: kind, d, "data-shown": `cells-${kind}` })),
    ...given.tokens.map((_, t) => label(t)),
    ...[0, given.layers - 1].map((l) => svg("text", { x: LEFT - 6, y: TOP + l * ROW + 7, "text-anchor": "end" }, `${l}`)),
    svg("text", { x: 0, y: 0, transform: `translate(11 ${TOP + ROW * given.layers / 2}) rotate(-90)`, "text-anchor": "middle" }, "layer"),
    ...(chosen && chosen.token < n ? [svg("rect", { class: "chosen", x: LEFT + chosen.token * CELL - 0.5, y: TOP + chosen.layer * ROW - 0.5, width: CELL, height: ROW + 1 })] : []));
}

/** The cell under a click, undefined beside them. */
export function under(event, given) {
  const box = event.currentTarget.getBoundingClientRect();
  const token = Math.floor((event.clientX - box.left - LEFT) / CELL), layer = Math.floor((event.clientY - box.top - TOP) / ROW);
  return token >= 0 && token < given.tokens.length && layer >= 0 && layer < given.layers ? { token, layer } : undefined;
}

/** Milliseconds of each step against the tokens there were: full circles and line with the cache, squares and dashes without. */
export function curves(where, answers) {
  const width = Math.max(240, Math.min(800, where.clientWidth)), height = 240, left = 58, right = width - 86, top = 14, foot = height - 40;
  const first = answers[0].tokens.length, last = Math.max(answers.at(-1).tokens.length, first + 4);
  const most = Math.max(...answers.map((a) => Math.max(a.cached.ms, a.uncached.ms))) * 1.08;
  const x = (n) => left + (right - left) * (n - first) / (last - first), y = (t) => foot - (foot - top) * t / most;
  const unit = 10 ** Math.floor(Math.log10(most)), tick = [0.2, 0.5, 1, 2].map((part) => part * unit).find((size) => most / size <= 5) ?? 2 * unit;
  const words = (at, lower, said, anchor = "middle") => svg("text", { x: at, y: lower, "text-anchor": anchor }, said);
  const lines = Array.from({ length: Math.floor(most / tick) + 1 }, (_, i) => i * tick).flatMap((t) => [
    svg("path", { class: "rule", d: `M${left} ${y(t)}H${right}` }), words(left - 8, y(t) + 4, `${Math.round(t * 10) / 10}`, "end")]);
  const apart = Math.max(1, Math.ceil((last - first) / Math.max(3, (right - left) / 60)));
  for (let n = first; n <= last; n += apart) lines.push(words(x(n), foot + 17, String(n)));
  const series = (way) => {
    const at = answers.map((a) => [x(a.tokens.length), y(a[way].ms)]);
    return [svg("path", { class: `line ${way}`, d: at.map(([h, v], i) => `${i ? "L" : "M"}${h.toFixed(1)} ${v.toFixed(1)}`).join("") }),
      ...at.map(([h, v]) => (way === "cached" ? svg("circle", { class: way, cx: h, cy: v, r: 3.5 }) : svg("rect", { class: way, x: h - 3.5, y: v - 3.5, width: 7, height: 7 })))];
  };
  const end = answers.at(-1), [low, high] = [y(end.cached.ms), y(end.uncached.ms)], close = Math.abs(low - high) < 16;
  const names = [words(x(end.tokens.length) + 9, (close ? Math.min(low, high) - 5 : high) + 4, "■ without", "start"), words(x(end.tokens.length) + 9, (close ? Math.max(low, high) + 9 : low) + 4, "● with", "start")];
  where.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "data-shown": "curves",
    "aria-label": `Milliseconds a step, from ${first} to ${end.tokens.length} tokens: at the last one ${end.cached.ms.toFixed(0)} with the cache, ${end.uncached.ms.toFixed(0)} without. All of them are in the table below.` },
  ...lines, words((left + right) / 2, height - 5, "tokens in the context"), svg("text", { x: 0, y: 0, transform: `translate(13 ${(top + foot) / 2}) rotate(-90)`, "text-anchor": "middle" }, "milliseconds"),
  ...series("uncached"), ...series("cached"), ...names));
}

/** The tables: .totals, .steps and .cell are their places, .update(branch) and .cells(answer) fill them. */
export function tables() {
  const bodies = { totals: element("tbody"), steps: element("tbody"), cell: element("tbody") };
  const scrolled = (label, body, kind, ...heads) => element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    element("table", { class: kind }, element("thead", {}, element("tr", {}, ...heads.map((word, at) => element("th", { scope: "col", class: at ? "n" : null }, word)))), body));
  const line = (numbers) => () => element("tr", {}, element("th", { scope: "row" }), ...Array.from({ length: numbers }, () => element("td", { class: "n" })));
  const say = (one, words) => words.forEach((word, at) => { one.children[at].textContent = word; });
  const list = (numbers, digits) => numbers.map((x) => x.toFixed(digits).replace("-", "−")).join("  ");
  return {
    totals: scrolled("Rows and milliseconds", bodies.totals, null, "Way", "Rows a layer, this step", "in all", "Time, this step", "in all"),
    steps: scrolled("Every step", bodies.steps, null, "Tokens", "With the cache", "Without"),
    cell: scrolled("The chosen cell", bodies.cell, "numbers", "Row", "norm, head by head", "first numbers of head 0"),
    update({ answers, given, lit, totals }) {
      keyed(bodies.totals, Object.keys(WAYS), (way) => way, line(4), (one, way) => {
        const step = lit ? given[way] : { rows: 0, ms: 0 }, all = totals[way];
        say(one, [WAYS[way], step.rows.toLocaleString("en"), all.rows.toLocaleString("en"), ms(step.ms), ms(all.ms)]);
      });
      keyed(bodies.steps, answers, (a) => a.tokens.length, line(2), (one, a) => say(one, [a.tokens.length, ms(a.cached.ms), ms(a.uncached.ms)]));
    },
    cells(given) {
      keyed(bodies.cell, ["k", "v"].flatMap((name) => [[name, "elements"], [name, "anew"]]), (key) => key.join(), line(2), (one, [name, kind]) =>
        say(one, [`${name.toUpperCase()}, ${kind === "anew" ? "computed anew" : "in the cache"}`, kind === "anew" ? "" : list(given[name].norms, 2), list(given[name][kind], 3)]));
    },
  };
}
