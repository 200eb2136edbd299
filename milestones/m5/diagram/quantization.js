// Quantization: 32 weights, what each type makes of them, and what becomes of the next token. See quantization.py.
import { announce, button, choice, count, element, engine, examples, keyed, number, percent, slider, svg, text, visible } from "./controls.js";

const PARTS = { token_embd: "embedding", output: "output head", attn_q: "attention: queries", attn_k: "attention: keys", attn_v: "attention: values",
  attn_output: "attention: output", ffn_gate: "feed-forward: gate", ffn_up: "feed-forward: up", ffn_down: "feed-forward: down" };
const FIRST = 7042; // the row that is shown first, in a tensor that has so many
const WIDE = 320, TALL = 72, CELL = WIDE / 32; // of a picture

export async function draw(stage, diagram) {
  const problems = element("div"), ask = engine(diagram, problems);
  let known = null, shown = null;
  const again = () => (known ? look() : begin()), layered = () => !["token_embd", "output"].includes(part.value);
  const part = choice({ label: "Tensor", options: [["token_embd", PARTS.token_embd]], value: "token_embd", changed: () => { if (known) limits(); again(); } });
  const layer = slider({ label: "Layer", min: 0, max: 0, step: 1, value: 0, read: (n) => `${n} of 0 to ${(known?.layers ?? 1) - 1}`, changed: again });
  const row = number({ label: "Row", min: 0, max: 0, value: FIRST, changed: again });
  const block = slider({ label: "Block", min: 0, max: 0, step: 1, value: 0, read: (n) => `${n} of 0 to ${(known?.parts[part.value]?.blocks ?? 1) - 1}`, changed: again });
  const weight = slider({ label: "Weight", min: 0, max: 31, step: 1, value: 0, changed: () => { redraw(); if (shown) announce(one()); } });
  const numbers = choice({ label: "All numbers of", options: [["F16", "F16"]], value: "Q4_0", changed: () => redraw() });
  const where = element("p", { class: "said", "data-shown": "where" });
  const own = picture("values"), chosen = element("p", { class: "verdict", "data-shown": "weight" });
  const cards = element("ul", { class: "types", "aria-label": "The block in each type" }), table = element("tbody");
  const head = ["Weight", "In the file", "Code", "Means", "Error"].map((word) => element("th", { scope: "col", class: word === "Weight" ? null : "n" }, word));
  const effects = element("section", { class: "panel", "aria-label": "The next token" });
  stage.append(element("div", { class: "controls" }, part.node, layer.node, row.node, block.node),
    element("div", { class: "row" }, button("Go to the largest outlier", outlier)), problems, where,
    element("section", {}, element("h2", {}, "32 weights, as the file has them"), own), weight.node, chosen,
    element("section", {}, element("h2", {}, "What each type makes of them"),
      element("p", { class: "small" }, "Above, ticks are what the codes can mean, dots the weights. Below, errors, all to one scale."), cards),
    element("details", {}, element("summary", {}, "Every weight in numbers"), numbers.node,
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All weights" },
        element("table", {}, element("thead", {}, element("tr", {}, ...head)), table))), effects);

  const tensor = () => ({ part: part.value, layer: layered() ? layer.value : 0 });
  const request = () => ({ ...tensor(), row: row.value, block: block.value });

  /** What can be chosen of this tensor. */
  function limits() {
    const { rows, blocks } = known.parts[part.value];
    layer.input.max = known.layers - 1;
    layer.node.hidden = !layered();
    layer.set(layer.value);
    row.input.max = rows - 1;
    if (row.value >= rows) row.input.value = rows - 1;
    block.input.max = blocks - 1;
    block.set(block.value);
  }

  async function look() {
    const given = await ask("block", request());
    if (!given) return;
    shown = given;
    redraw();
    announce(`${where.textContent} Errors of the block: ${given.formats.map((one) => `${one.type} ${figure(one.rms)}`).join(", ")}.`);
  }

  async function outlier() {
    if (!known) await begin();
    if (!known) return;
    const given = await ask("outlier", tensor());
    if (!given) return;
    row.input.value = given.row;
    block.set(given.block);
    await look();
    weight.set(shown.values.map(Math.abs).reduce((best, size, at, all) => (size > all[best] ? at : best), 0));
    redraw();
  }

  const one = () => `Weight ${weight.value} is ${figure(shown.values[weight.value])}: ${shown.formats.map((of) =>
    `${of.type} ${figure(of.errors[weight.value], true)}`).join(", ")}`;

  function redraw() {
    if (!shown) return;
    const at = weight.value, { values, formats } = shown;
    const of = layered() ? `${PARTS[part.value]}, layer ${layer.value}` : PARTS[part.value];
    where.textContent = `${shown.name}: ${of}. Row ${row.value.toLocaleString("en")}${shown.token === null ? "" : `, the token “${visible(shown.token)}”`}, weights ${
      block.value * 32} to ${block.value * 32 + 31}. In the file: ${shown.kind}.`;
    bars(own, values, Math.max(...values.map(Math.abs)), TALL, at);
    own.setAttribute("aria-label", `32 weights from ${figure(Math.min(...values))} to ${figure(Math.max(...values))}`);
    chosen.textContent = `Weight ${at}: ${figure(values[at])}`;
    const most = Math.max(...formats.map((format) => format.largest));
    keyed(cards, formats, (format) => format.type, (format) => element("li", { "data-type": format.type }, element("h3", {}), element("p", { class: "small", "data-shown": "scale" }),
      picture("levels"), picture("errors"), element("p", { "data-shown": "loss" }), element("p", { class: "small", "data-shown": "one" })), (card, format) => {
      const [title, scale, levels, errors, loss, mine] = card.children;
      title.textContent = `${format.type} · ${format.bits} bits a weight`;
      scale.textContent = format.scale === null ? "a half each, no scale" : `d = ${figure(format.scale)}${format.minimum === null ? "" : `, m = ${figure(format.minimum)}`}`;
      ticks(levels, format, values, at);
      bars(errors, format.errors, most, TALL / 1.5, at);
      errors.setAttribute("aria-label", `Errors in ${format.type}, at most ${figure(format.largest)}`);
      loss.textContent = `RMS error ${figure(format.rms)} (${percent(shown.size ? format.rms / shown.size : 0)} of the block’s size), at most ${figure(format.largest)}; ${percent(format.row)} over the row`;
      mine.textContent = `Weight ${at}: ${format.codes[at]} means ${figure(format.values[at])}, off by ${figure(format.errors[at], true)}`;
    });
    const listed = formats.find((format) => format.type === numbers.value);
    keyed(table, values, (value, i) => i, (value, i) => element("tr", {}, element("th", { scope: "row" }, String(i)), ...[0, 1, 2, 3].map(() => element("td", { class: "n" }))), (line, value, i) => {
      line.toggleAttribute("data-now", i === at);
      [figure(value), String(listed.codes[i]), figure(listed.values[i]), figure(listed.errors[i], true)].forEach((words, n) => { line.children[n + 1].textContent = words; });
    });
  }

  /** A picture whose columns choose a weight. */
  function picture(kind) {
    const tall = kind === "values" ? TALL : kind === "errors" ? TALL / 1.5 : 26;
    const made = svg("svg", { class: `quant ${kind}`, viewBox: `0 0 ${WIDE} ${tall}`, role: "img", preserveAspectRatio: kind === "levels" ? "xMidYMid" : "none" });
    made.addEventListener("click", (event) => {
      if (kind === "levels") return;
      const box = made.getBoundingClientRect();
      weight.set(Math.max(0, Math.min(31, Math.floor(32 * (event.clientX - box.left) / box.width))));
      redraw();
      announce(one());
    });
    return made;
  }

  function effect() {
    const typed = text({ label: "Prompt", value: diagram.examples[0][1], changed: () => {} });
    const scope = choice({ label: "Put through each type", options: [["tensor", "the tensor chosen above"], ["blocks", "all matrices of all blocks"], ["all", "those, and the embedding"]], value: "blocks", changed: () => {} });
    const list = element("ol", { class: "effects" }), said = element("p", { class: "said", "data-shown": "measured" }), wrong = element("div");
    const asked = engine(diagram, wrong);
    effects.replaceChildren(element("h2", {}, "What becomes of the next token"), typed.node, examples(diagram, typed.set), element("div", { class: "controls" }, scope.node,
      element("div", { class: "row" }, button("Measure", measure, { class: "main" }))), wrong, said, list);

    async function measure() {
      const lines = [], began = performance.now();
      const what = scope.value === "tensor" ? shown.name : scope.input.selectedOptions[0].textContent;
      const last = await asked("effect", { ...(scope.value === "tensor" ? tensor() : { part: Object.keys(known.parts)[0], layer: 0 }), text: typed.value, scope: scope.value }, (line) => {
        lines.push(line);
        said.textContent = `${what}: ${count(line.tensors, "tensor")}, ${lines.length - 1} of ${known.types.length} types …`;
        show(lines);
      });
      if (!last) return;
      said.textContent = `${what}: ${count(last.tensors, "tensor")} put through each of ${known.types.length} types and back, in ${((performance.now() - began) / 1000).toFixed(1)} s here.`;
      announce(`${said.textContent} ${lines.slice(1).map((line) => `${line.type}: KL divergence ${line.kl.toFixed(4)}, ${line.same ? "the same" : "another"} likeliest token`).join("; ")}`);
    }

    function show(lines) {
      const most = Math.max(1e-9, ...lines.map((line) => line.kl));
      keyed(list, lines, (line) => line.type, (line) => element("li", { "data-type": line.type }, element("h3", {}), element("p", { "data-shown": "kl" }),
        element("span", { class: "bar" }, element("i")), element("ul", { class: "row tops" })), (item, line) => {
        const [title, kl, bar, tops] = item.children;
        title.textContent = line.type === "file" ? "As the file has them" : line.type;
        kl.textContent = line.type === "file" ? "what the others are compared with" : `KL divergence ${line.kl.toFixed(4)} nats; ${line.same ? "= the same likeliest token" : "≠ another likeliest token"}`;
        bar.hidden = line.type === "file";
        bar.firstChild.style.width = `${100 * line.kl / most}%`;
        keyed(tops, line.top, (token) => token.id, () => element("li", {}, element("span", { class: "piece" }), element("span", { class: "value" })), (one, token) => {
          one.title = `id ${token.id}, ${percent(token.own)} with the file’s weights`;
          one.children[0].textContent = visible(token.text);
          one.children[1].textContent = percent(token.p);
        });
      });
    }
  }

  /** What the model has to choose from. Where that is not known, it says why, and the next control that is moved asks again. */
  async function begin() {
    known = await ask("model", {});
    if (!known) return;
    keyed(part.input, Object.entries(PARTS).filter(([name]) => known.parts[name]), ([name]) => name, ([name, words]) => element("option", { value: name },
      name === "token_embd" && known.tied ? `${words} and head` : words));
    keyed(numbers.input, ["F16", ...known.types], (name) => name, (name) => element("option", { value: name }, name));
    numbers.set("Q4_0");
    if (!known.parts[part.value]) part.set(Object.keys(known.parts)[0]);
    limits();
    effect();
    await look();
  }
  await begin();
}

/** Signed bars, one a weight, the chosen one outlined. */
function bars(drawing, values, most, tall, at) {
  const middle = tall / 2, scale = most ? (middle - 2) / most : 0;
  drawing.replaceChildren(svg("rect", { class: "now", x: at * CELL, y: 0, width: CELL, height: tall }), svg("line", { class: "zero", x1: 0, x2: WIDE, y1: middle, y2: middle }),
    ...values.map((value, i) => svg("rect", { class: value < 0 ? "bar-down" : "bar-up", x: i * CELL + 1.5, width: CELL - 3,
      y: middle - Math.max(0, value) * scale, height: Math.abs(value) * scale })));
}

/** A line of numbers: ticks where codes stand, dots where weights are. */
function ticks(drawing, format, values, at) {
  const meant = (code) => (code - format.middle) * format.scale + (format.minimum ?? 0);
  const levels = format.scale === null ? [] : Array.from({ length: format.most - format.least + 1 }, (_, i) => meant(format.least + i));
  const low = Math.min(...values, ...levels), high = Math.max(...values, ...levels), x = (value) => 4 + (WIDE - 8) * (high > low ? (value - low) / (high - low) : 0.5);
  drawing.replaceChildren(svg("line", { class: "zero", x1: 4, x2: WIDE - 4, y1: 20, y2: 20 }),
    svg("path", { class: "ticks", d: levels.map((level) => `M${x(level).toFixed(2)} 15v10`).join("") }),
    ...values.map((value, i) => svg("circle", { class: i === at ? "now" : "dot", cx: x(value), cy: i === at ? 6 : 9, r: i === at ? 4 : 2.2 })));
  drawing.setAttribute("aria-label", levels.length ? `${count(levels.length, "number")} that codes of ${format.type} can mean, from ${figure(low)} to ${figure(high)}` : "Halves: too many numbers to draw");
}

/** Four digits that count, with a real minus; + where wanted. */
function figure(x, signed = false) {
  const size = Math.abs(x), words = size === 0 ? "0" : size < 1e-3 ? size.toExponential(2).replace("e-", " · 10⁻").replace(/\d+$/, (n) => [...n].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("")) : size.toPrecision(4);
  return `${x < 0 ? "−" : signed && x > 0 ? "+" : ""}${words}`;
}
