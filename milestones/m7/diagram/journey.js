// The data's journey: every stage of a pass in order, what goes in and comes out, the kernel, and its time. See journey.py.
import { announce, button, choice, count, element, engine, examples, keyed, percent, slider, text, visible } from "./controls.js";

const KERNELS = [["naive", "plain: one a stage"], ["fast", "fast: fused, packed"]];
const PASSES = [["prompt", "the prompt, at once"], ["decode", "one decode step"]];
const ms = (us) => `${(us / 1000).toLocaleString("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 })}\u00a0ms`;
const size = (n) => (n < 1000 ? `${n}\u00a0B` : n < 1e6 ? `${(n / 1e3).toFixed(1)}\u00a0kB` : `${(n / 1e6).toFixed(1)}\u00a0MB`);
const sum = (list) => list.reduce((a, b) => a + b, 0);
const page = (name) => document.querySelector(`#nav a[href="${name}.html"]`); // an exported site may lack it

export async function draw(stage, diagram) {
  let shown = null, asked = "", last = 29; // until the model is known
  const typed = text({ label: "Prompt", value: diagram.examples[0][1], wait: 300, changed: () => ask() });
  const kernels = choice({ label: "Kernels", options: KERNELS, value: "naive", changed: () => ask() });
  const pass = choice({ label: "Pass", options: PASSES, value: "prompt", changed: () => redraw() });
  const block = slider({ label: "Block in detail", min: 0, max: 29, step: 1, value: 0, read: (n) => `${n}, of 0 to ${last}`, changed: () => redraw() });
  const problems = element("div"), said = (name, kind = "said") => element("p", { class: kind, "data-shown": name });
  const verdict = said("verdict", "verdict"), end = said("end"), chips = element("ul", { class: "chips", "aria-label": "Tokens that go in" });
  const parts = ["before", "block", "others", "after"].map((name) => part(name));
  const total = element("p", { class: "verdict sum", "data-shown": "total" });
  stage.append(typed.node, examples(diagram, (words) => { typed.set(words); ask(); }), element("div", { class: "controls" }, kernels.node, pass.node, block.node), problems,
    button("Measure again", () => ask()), verdict, end, chips, ...parts.map((one) => one.node), total);
  const send = engine(diagram, problems);

  async function ask() {
    const wanted = { text: typed.value, kernels: kernels.value };
    const given = await send("journey", wanted);
    if (!given) return;
    [shown, asked] = [given, wanted.kernels];
    last = block.input.max = given.passes[0].blocks.length - 1;
    block.set(Math.min(block.value, last));
    redraw();
  }

  function redraw() {
    if (!shown) return;
    const prompt = shown.passes[0], now = shown.passes.find((one) => one.name === pass.value), at = block.value;
    [end, chips, total, ...parts.map((one) => one.node)].forEach((one) => { one.hidden = !now; });
    if (!now) { // nothing follows
      verdict.textContent = "The model ended the text after the prompt: there is no decode step.";
      announce(verdict.textContent);
      return;
    }
    const fed = now === prompt ? shown.tokens : [prompt.chosen];
    const runs = sum([...now.before, ...now.after].map((one) => one.us.length)) + sum(now.blocks.map((one) => one.us.flat().length)) - (now === prompt ? 1 : 0);
    verdict.textContent = `${now === prompt ? `The prompt, ${count(fed.length, "token")}` : `The decode step of token ${now.start}, “${visible(fed[0].text)}”`}: ${count(runs, "kernel run")}, ${
      ms(now.total)} together. It chooses “${visible(now.chosen.text)}”, id ${now.chosen.id}, which the model holds ${percent(now.chosen.probability)} likely${now.chosen.ends ? "; that ends the text" : ""}.`;
    end.textContent = `End to end, with nothing waited for in between: ${ms(now.whole)}. ${asked === shown.kernels ? "" : "This model cannot run on the fast kernels: these are the plain ones. "}${
      now.rounds > 1 ? `The fast kernels take so short a prompt one token at a time: every stage up to the last block ran ${now.rounds} times, and its shapes are one token’s.` : ""}`;
    keyed(chips, fed, (_, i) => i, () => element("li", { class: "chip" }, element("span", { class: "piece" }), element("span", { class: "id" })), (chip, token) => {
      chip.children[0].textContent = visible(token.text);
      chip.children[1].textContent = token.id;
    });
    const mine = now.blocks[at], inner = now.kinds[mine.kind].map((one, i) => ({ ...one, us: mine.us[i] })), spent = sum(mine.us.flat());
    const others = now.total - spent - sum([...now.before, ...now.after].flatMap((one) => one.us)), n = now.blocks.length - 1;
    const way = (list) => list.length + 1;
    parts[0].show(now === prompt ? "Into vectors" : "Into a vector", now.before, now.total, "all", 1);
    parts[1].show(`Block ${at}, of ${now.blocks.length}: ${ms(spent)}, ${percent(spent / now.total)} of all`, inner, spent, "the block", way(now.before));
    parts[2].show(`The other ${n === 1 ? "block" : `${n} blocks`}`, [{ title: `${n} times the same stages`, what: "Each with weights of its own; what one adds to the stream the next one reads.",
      ins: [], weights: [], outs: [], files: [], us: [others], page: "" }], now.total, "all", null);
    parts[3].show("Out again", now.after, now.total, "all", way(now.before) + inner.length);
    total.textContent = `${[["before the blocks", sum(now.before.flatMap((one) => one.us))], [`block ${at}`, spent], [`the other ${n}`, others], ["after them", sum(now.after.flatMap((one) => one.us))]]
      .map(([name, us]) => `${name}: ${ms(us)}`).join(" + ")} = ${ms(now.total)}`;
    announce(`${verdict.textContent} Block ${at}: ${ms(spent)}.`);
  }

  await ask();
}

/** A group of stages under a heading: .node, .show(heading, stages, whole, of what, number of the first). */
function part(name) {
  const heading = element("h2"), list = element(name === "others" ? "ul" : "ol", { class: "journey" });
  const node = element("section", { class: "panel", "data-shown": name }, heading, list);
  return { node, show(words, stages, whole, of, first) {
    heading.textContent = words;
    keyed(list, stages, (one, at) => `${at} ${one.title}`, made, (li, one, at) => filled(li, one, whole, of, first && first + at));
  } };
}

function made() {
  const head = element("h3", { "data-shown": "title" }), what = element("p", { class: "small what" });
  const tensors = element("dl", { class: "tensors" }), files = element("ul", { class: "row small files-run" });
  const time = element("p", { class: "time" }, element("span", { class: "value", "data-shown": "time" }), element("span", { class: "small", "data-shown": "share" }));
  return element("li", { class: "step" }, head, what, tensors, time, element("span", { class: "bar" }, element("i")), files);
}

function filled(li, one, whole, of, number) {
  const [head, what, tensors, time, bar, files] = li.children, us = sum(one.us);
  head.textContent = number ? `${number}. ${one.title}` : one.title;
  what.textContent = one.what;
  keyed(tensors, [["in", one.ins], ["weights", one.weights], ["out", one.outs]].filter(([, list]) => list.length), ([kind]) => kind,
    () => element("div", {}, element("dt"), element("dd")), (row, [kind, list]) => {
      row.children[0].textContent = kind;
      keyed(row.children[1], list, (_, at) => at, () => element("span", { class: "tensor" }), tensor);
    });
  time.children[0].textContent = ms(us);
  time.children[1].textContent = ` ${percent(us / whole)} of ${of}${one.us.length > 1 ? `; ${one.us.length} runs` : ""}`;
  bar.firstChild.style.width = `${100 * us / whole}%`;
  const runs = [...new Set(one.files)];
  keyed(files, [...runs.map((file) => [`source/${file}`, file.replace("milestones/", "")]), ...(one.page && page(one.page) ? [[`${one.page}.html`, `diagram: ${page(one.page).textContent}`]] : [])],
    ([href]) => href, () => element("li", {}, element("a")), (place, [href, words]) => {
      place.firstChild.href = href;
      place.firstChild.textContent = words;
    });
}

function tensor(place, t) {
  const shape = t.shape.map((n) => n.toLocaleString("en")).join(" × ");
  place.replaceChildren(element("b", {}, t.name), ` ${shape} `, element("span", { class: "type" }, `${t.type}, ${size(t.bytes)}`));
}
