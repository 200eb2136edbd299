// The residual stream: its length from layer to layer, what each part adds, and what RMSNorm makes of it. See residual.py.
import { announce, button, choice, element, engine, examples, keyed, percent, slider, svg, text, toggle, visible } from "./controls.js";

const PARTS = { attention: "attention", ffn: "the FFN" };
const figure = (x) => {
  const size = Math.abs(Number(x.toPrecision(4))); // 0.99999 has the digits of 1
  return (size >= 1000 ? Math.round(x).toLocaleString("en") : size >= 0.01 || !x ? x.toFixed(size >= 100 ? 1 : size >= 1 ? 2 : 3) : x.toPrecision(2)).replaceAll("-", "−");
};

export async function draw(stage, diagram) {
  let last = 29, token = 7, shown = null; // until the model is known
  const typed = text({ label: "Prompt", value: diagram.examples[0][1], changed: () => norms() });
  const layer = slider({ label: "Layer", min: 0, max: 29, step: 1, value: 10, read: (n) => `${n}, of 0 to ${last}`, changed: () => look() });
  const part = choice({ label: "Norm before", options: [["attention", "attention"], ["ffn", "the FFN"]], value: "ffn", changed: () => look() });
  const log = toggle({ label: "Logarithmic scale", value: true, hint: "Each line is ten times as much as the one below.", changed: () => { redraw(); announce(log.value ? "Logarithmic scale" : "Linear scale"); } });
  const problems = element("div"), chips = element("ul", { class: "chips", "aria-label": "Tokens; choose one to follow" });
  const picture = element("div", { class: "curves stream" }), said = (name, kind = "said") => element("p", { class: kind, "data-shown": name });
  const verdict = said("verdict", "verdict"), rms = said("rms"), share = said("share"), without = said("without");
  const strips = element("div"), heading = element("h2");
  const bodies = [element("tbody"), element("tbody"), element("tbody")];
  const table = (label, body, ...heads) => element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((word, at) => element("th", { scope: "col", class: at ? "n" : null }, word)))), body));
  stage.append(typed.node, examples(diagram, (words) => { typed.set(words); norms(); }), chips, element("div", { class: "controls" }, layer.node, part.node, log.node), problems, verdict, picture,
    element("p", { class: "small" }, "● before a block, ■ between its attention and its FFN; thin lines: the other tokens. Bars, what is added: ▯ by attention, ▮ by the FFN. A click takes the layer."),
    element("details", {}, element("summary", {}, "Every layer as a table"), table("Every layer", bodies[0], "Layer", "Before", "Attention adds", "Between", "FFN adds", "After")),
    element("div", { class: "panel" }, heading, rms, strips, table("The largest elements", bodies[1], "Element", "x", "x / RMS", "weight", "what is read"), share),
    element("div", { class: "panel" }, element("h2", {}, "With the norm, and without"),
      table("With the norm, and without", bodies[2], "What is read", "Length of what is added", "of the stream’s"), without));

  const ask = engine(diagram, problems);
  const name = (at) => visible(shown.tokens[at].text);
  const line = (numbers) => () => element("tr", {}, element("th", { scope: "row" }), ...Array.from({ length: numbers }, () => element("td", { class: "n" })));
  const say = (row, words) => words.forEach((word, at) => { row.children[at].textContent = word; });

  async function norms() {
    const given = await ask("norms", { text: typed.value });
    if (!given) return;
    shown = given;
    last = given.blocks - 1;
    layer.input.max = last;
    layer.set(Math.min(layer.value, last));
    token = Math.min(token, given.tokens.length - 1);
    await look();
  }

  async function look() {
    if (!shown) return;
    redraw();
    const wanted = { text: typed.value, token, layer: layer.value, part: part.value };
    const given = await ask("look", wanted);
    if (!given) return;
    const { rms: r, length, added, vectors, eps } = given, reader = PARTS[wanted.part], times = given.without / length;
    heading.textContent = `RMSNorm before ${reader}, layer ${wanted.layer}, token “${name(wanted.token)}”`;
    rms.textContent = `RMS of x = √(mean of x² + ε) = ${figure(Math.hypot(r.x, Math.sqrt(eps)))}. Divided by it, ${figure(r.divided)}; times the weight, whose own RMS is ${figure(r.weight)}, ${figure(r.normed)}: that is what ${reader} reads.`;
    strips.replaceChildren(...[["x, the stream", vectors.x], ["x / RMS", vectors.divided], ["x / RMS · weight", vectors.normed]].map(([words, vector], at) => {
      const most = Math.max(...vector.map(Math.abs));
      return element("div", { class: at === 2 ? "dense strip total" : "dense strip", "data-shown": "strip" }, element("span", {}, `${words}; tallest ${figure(most)}`), bars(vector, most));
    }));
    keyed(bodies[1], given.largest, (_, at) => at, line(4), (row, one) => say(row, [one.at, figure(one.x), figure(one.divided), figure(one.weight), figure(one.normed)]));
    share.textContent = `These ${given.largest.length} of ${shown.width} elements hold ${percent(given.share)} of the sum of squares.`;
    keyed(bodies[2], [["the norm of the stream", added], ["the stream as it is", given.without]], (_, at) => at, line(2), (row, [words, size]) => say(row, [words, figure(size), `${figure(size / length)} ×`]));
    without.textContent = `The stream here is ${figure(length)} long and leaves ${figure(given.after)} long. Without its norm ${reader} would add ${figure(given.without)}, ${figure(times)} times the stream’s own length: ${
      times > 1 ? "it would drown all that came before" : "here the norm makes little difference"}.`;
    announce(`${verdict.textContent} ${rms.textContent}`);
  }

  function redraw() {
    if (!shown) return;
    const at = layer.value, of = (what) => shown[what][token];
    keyed(chips, shown.tokens, (_, t) => t, (_, t) => element("li", {}, button("", () => { token = t; look(); }, { class: "chip" })), (node, _, t) => {
      const chip = node.firstChild;
      chip.replaceChildren(element("span", { class: "piece" }, name(t)), element("span", { class: "id" }, figure(shown.before[t][at])));
      chip.setAttribute("aria-pressed", t === token);
      chip.setAttribute("aria-label", `${name(t)}, token ${t}, ${figure(shown.before[t][at])} long before layer ${at}`);
    });
    verdict.textContent = `Layer ${at}, token “${name(token)}”: it comes in ${figure(of("before")[at])} long. Attention adds ${figure(of("attention")[at])}, the FFN ${figure(of("ffn")[at])}; it leaves ${figure(of("before")[at + 1])} long.`;
    keyed(bodies[0], of("ffn"), (_, l) => l, line(5), (row, _, l) => {
      row.toggleAttribute("data-now", l === at);
      say(row, [l, ...[of("before")[l], of("attention")[l], of("between")[l], of("ffn")[l], of("before")[l + 1]].map(figure)]);
    });
    picture.replaceChildren(curves(shown, token, at, log.value, picture.clientWidth));
  }

  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect(), { left, right } = frame(picture.clientWidth);
    layer.set(Math.max(0, Math.min(last, Math.floor((event.clientX - box.left - left) / (right - left) * (last + 1)))));
    look();
  });
  addEventListener("resize", redraw);
  await norms();
}

const frame = (width) => ({ width: Math.max(240, Math.min(840, width)), left: 58, get right() { return this.width - 12; }, top: 14, foot: 240, low: 268, bottom: 388 });

/** The streams' lengths above, what is added below, layer by layer on one axis. */
function curves({ before, between, attention, ffn, blocks, tokens }, token, layer, log, room) {
  const { width, left, right, top, foot, low, bottom } = frame(room);
  const all = [...before, ...between].flat(), added = [...attention[token], ...ffn[token]];
  const x = (l) => left + (right - left) * l / blocks;
  const words = (h, v, said, anchor = "end") => svg("text", { x: h, y: v, "text-anchor": anchor }, said);
  const scale = (values, high, deep) => {
    const most = Math.max(...values), least = log ? 10 ** Math.floor(Math.log10(Math.min(...values))) : 0;
    const share = (v) => (log ? Math.log10(Math.max(v, least) / least) / Math.log10(10 ** Math.ceil(Math.log10(most) + 1e-9) / least) : v / (1.05 * most));
    const unit = 10 ** Math.floor(Math.log10(most)), step = most / unit < 2 ? unit / 2 : most / unit < 5 ? unit : 2 * unit;
    const ticks = log ? Array.from({ length: Math.ceil(Math.log10(most / least) + 1e-9) + 1 }, (_, i) => least * 10 ** i) : Array.from({ length: Math.floor(1.05 * most / step) + 1 }, (_, i) => i * step);
    const y = (v) => deep - (deep - high) * share(v);
    return { y, rules: ticks.flatMap((v) => [svg("path", { class: "rule", d: `M${left} ${y(v).toFixed(1)}H${right}` }), words(left - 7, y(v) + 4, v >= 1e5 ? `${v / 1000}k` : String(Number(v.toPrecision(3))))]) };
  };
  const streams = scale(all, top, foot), parts = scale(added, low, bottom);
  const points = (t) => before[t].flatMap((v, l) => [[x(l), streams.y(v)], ...(l < blocks ? [[x(l + 0.5), streams.y(between[t][l])]] : [])]);
  const path = (t, kind) => svg("path", { class: `line ${kind}`, d: points(t).map(([h, v], i) => `${i ? "L" : "M"}${h.toFixed(1)} ${v.toFixed(1)}`).join("") });
  const size = right - left > 500 ? 3 : 1.8, wide = (right - left) / blocks;
  const marks = points(token).map(([h, v], i) => (i % 2 ? svg("rect", { x: h - size, y: v - size, width: 2 * size, height: 2 * size }) : svg("circle", { cx: h, cy: v, r: size + 0.4 })));
  const bar = (kind, at, v) => svg("rect", { class: kind, x: at + 0.06 * wide, y: parts.y(v), width: 0.38 * wide, height: Math.max(0.5, bottom - parts.y(v)) });
  const every = [1, 2, 5, 10].find((n) => n * wide > 22) ?? 10;
  return svg("svg", { width, height: 424, viewBox: `0 0 ${width} 424`, role: "img", "data-shown": "curves",
    "aria-label": `Length of the stream of token ${token} of ${tokens.length}: ${before[token][0].toFixed(1)} as embedded, ${before[token][layer].toFixed(1)} before layer ${layer}, ${before[token][blocks].toFixed(1)} after the last. All numbers are in the table below.` },
  svg("rect", { class: "now", x: x(layer), y: top - 6, width: wide, height: bottom - top + 6 }), ...streams.rules, ...parts.rules,
  ...tokens.map((_, t) => t).filter((t) => t !== token).map((t) => path(t, "other")), path(token, "mine"), ...marks,
  ...ffn[token].flatMap((v, l) => [bar("attention", x(l), attention[token][l]), bar("ffn", x(l + 0.5), v)]),
  ...Array.from({ length: blocks }, (_, l) => l).filter((l) => l % every === 0).map((l) => words(x(l + 0.5), bottom + 17, String(l), "middle")),
  words((left + right) / 2, 419, "layer", "middle"), ...[["length of the stream", (top + foot) / 2], ["added", (low + bottom) / 2]].map(([said, v]) =>
    svg("text", { x: 0, y: 0, transform: `translate(12 ${v}) rotate(-90)`, "text-anchor": "middle" }, said)));
}

function bars(vector, most) {
  const path = vector.map((value, at) => `M${at} 1h1v${(-value / most).toFixed(4)}h-1z`).join("");
  return svg("svg", { viewBox: `0 0 ${vector.length} 2`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "zero", d: `M0 1h${vector.length}`, "vector-effect": "non-scaling-stroke" }), svg("path", { d: path }));
}
