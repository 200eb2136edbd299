// Attention: heat maps of all heads, one of them large, the weights of one query as a list, and the sum of the values. See attention.py.
import { announce, element, engine, examples, keyed, percent, slider, svg, text, toggle, visible } from "./controls.js";

const NAMED = 24; // tokens of a large map up to which every row and column has its name

export async function draw(stage, diagram) {
  let last = 29; // layer, until the model is known
  const typed = text({ label: "Prompt", value: diagram.examples[0][1], changed: () => maps() });
  const layer = slider({ label: "Layer", min: 0, max: 29, step: 1, value: 13, read: (n) => `${n}, of 0 to ${last}`, changed: () => maps() });
  const mask = toggle({ label: "Causal mask", value: true, changed: () => maps(),
    hint: "Off: this layer alone looks everywhere, with the queries, keys and values of the causal run." });
  const problems = element("div");
  const heads = element("div", { class: "heads", "data-shown": "heads" });
  const chips = element("ul", { class: "chips", "data-shown": "tokens", "aria-label": "Tokens; choose one as the query" });
  const verdict = element("p", { class: "verdict", "data-shown": "verdict" });
  const sharing = element("p", { class: "said", "data-shown": "sharing" });
  const large = svg("svg", { class: "map", "data-shown": "map", tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-label": "Query, a row of the heat map" });
  const rows = element("tbody", { "data-shown": "weights" });
  const output = element("section", { class: "panel", "aria-label": "The output" });
  stage.append(typed.node, examples(diagram, (words) => { typed.set(words); maps(); }), element("div", { class: "controls" }, layer.node, mask.node), problems,
    element("section", {}, element("h2", {}, "All heads of the layer"), element("p", { class: "small" }, "Choose one. A row is a query, a column a token it looks at; the area of a square is the weight."), heads, sharing),
    element("section", {}, element("h2", {}, "The query"), element("p", { class: "small" }, "Choose a token. Below each stands how much the query looks at it."), chips, verdict),
    element("div", { class: "beside" }, element("div", {}, large),
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Weights of the query" },
        element("table", { class: "looks" }, element("thead", {}, element("tr", {}, ...["Token", "Score", "Weight", "|v|", "|w·v|"].map((word, at) =>
          element("th", { scope: "col", class: at === 1 || at > 2 ? "n" : null }, word)))), rows))),
    output);

  const ask = engine(diagram, problems);
  let head = 8, query = 7, shown = null, known = null;

  async function maps() {
    known ??= await ask("sizes", {});
    if (!known) return;
    layer.input.max = last = known.blocks - 1;
    layer.set(layer.value); // a slider stays within
    const given = await ask("maps", { text: typed.value, layer: layer.value, masked: mask.value });
    if (!given) return;
    shown = given;
    head = Math.min(head, given.heads - 1);
    query = Math.min(query, given.tokens.length - 1);
    small();
    await look();
  }

  function small() {
    const group = shown.heads / shown.kv_heads;
    keyed(heads, Array.from({ length: shown.kv_heads }, (_, g) => g), (g) => g, (g) => element("div", { class: "shared", role: "group", "aria-label": `Heads that read keys and values ${g}` },
      element("div", { class: "row" }), element("p", { class: "small" }, `keys and values ${g}`)), (node, g) => {
      keyed(node.firstChild, Array.from({ length: group }, (_, i) => g * group + i), (h) => h, (h) => element("button", { type: "button", class: "head", on: { click: () => choose(() => { head = h; }) } },
        svg("svg", { "aria-hidden": "true" }), element("span", {}, `head ${h}`)), (button, h) => {
        const n = shown.tokens.length;
        button.firstChild.setAttribute("viewBox", `0 0 ${n} ${n}`);
        button.firstChild.replaceChildren(svg("path", { class: "future", d: mask.value ? triangle(n) : "" }), svg("path", { d: squares(shown.weights[h]) }));
      });
    });
  }

  const choose = (change) => { change(); return look(); };

  async function look() {
    for (const button of heads.querySelectorAll(".head")) button.setAttribute("aria-pressed", Number(button.dataset.key) === head);
    big();
    const given = await ask("look", { text: typed.value, layer: layer.value, head, query, masked: mask.value });
    if (given) tell(given);
  }

  const name = (at) => visible(shown.tokens[at].text);
  const hidden = (at) => mask.value && at > query;

  function big() {
    const n = shown.tokens.length, named = n <= NAMED, edge = named ? 3.4 : 0.3;
    const label = (at) => (name(at).length > 8 ? `${name(at).slice(0, 7)}…` : name(at));
    large.setAttribute("viewBox", `${-edge} ${-edge} ${n + edge + 0.2} ${n + edge + 0.2}`);
    large.style.maxWidth = `${Math.min(34 * (n + edge), 560)}px`;
    large.setAttribute("aria-valuemax", n - 1);
    large.setAttribute("aria-valuenow", query);
    large.setAttribute("aria-valuetext", `token ${query}, ${name(query)}`);
    const words = named ? shown.tokens.flatMap((_, at) => [
      svg("text", { x: -0.3, y: at + 0.7, "text-anchor": "end", class: at === query ? "now" : "" }, label(at)),
      svg("text", { transform: `translate(${at + 0.7} -0.3) rotate(-90)` }, label(at))]) : [];
    large.replaceChildren(svg("rect", { class: "sunk", width: n, height: n }), svg("rect", { class: "row-now", y: query, width: n, height: 1 }),
      svg("path", { class: "future", d: mask.value ? triangle(n) : "" }), svg("path", { d: squares(shown.weights[head]) }), ...words);
  }

  large.addEventListener("click", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(large.getScreenCTM().inverse());
    if (at.y >= 0 && at.y < shown.tokens.length) choose(() => { query = Math.floor(at.y); });
  });
  large.addEventListener("keydown", (event) => {
    const end = shown.tokens.length - 1;
    const to = { ArrowUp: query - 1, ArrowLeft: query - 1, ArrowDown: query + 1, ArrowRight: query + 1, Home: 0, End: end }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to >= 0 && to <= end) choose(() => { query = to; });
  });

  function tell(given) {
    const most = given.weight.indexOf(Math.max(...given.weight)), group = shown.heads / shown.kv_heads;
    const mates = Array.from({ length: group }, (_, i) => given.kv_head * group + i).filter((h) => h !== head);
    verdict.textContent = `Layer ${layer.value}, head ${head}: “${name(query)}”, token ${query}, looks most at “${name(most)}”, token ${most}: ${percent(given.weight[most])}.`;
    sharing.textContent = `${shown.heads} query heads share ${shown.kv_heads} heads of keys and values: head ${head} reads number ${given.kv_head}${
      mates.length ? `, with ${mates.length > 1 ? "heads" : "head"} ${mates.join(" and ")}` : ", alone"}. A token leaves 2 · ${shown.kv_heads} · ${shown.d} = ${(2 * shown.kv_heads * shown.d).toLocaleString("en")} numbers in a layer${
      group > 1 ? `, not 2 · ${shown.heads} · ${shown.d} = ${(2 * shown.heads * shown.d).toLocaleString("en")}` : ""}.`;
    keyed(chips, shown.tokens, (_, at) => at, (_, at) => element("li", {}, element("button", { type: "button", class: "chip", on: { click: () => choose(() => { query = at; }) } },
      element("span", { class: "piece" }), element("span", { class: "id" }), element("span", { class: "bar" }, element("i")))), (node, _, at) => {
      const chip = node.firstChild, said = hidden(at) ? "masked" : percent(given.weight[at]);
      chip.children[0].textContent = name(at);
      chip.children[1].textContent = said;
      chip.children[2].firstChild.hidden = hidden(at);
      chip.children[2].firstChild.style.width = `${100 * given.weight[at]}%`;
      chip.dataset.even = !hidden(at);
      chip.setAttribute("aria-pressed", at === query);
      chip.setAttribute("aria-label", `${name(at)}, token ${at}, weight ${said}`);
    });
    keyed(rows, shown.tokens, (_, at) => at, () => element("tr", {}, element("th", { scope: "row" }), element("td", { class: "n" }),
      element("td", {}, element("span", { class: "value" }), element("span", { class: "bar" }, element("i"))), element("td", { class: "n" }), element("td", { class: "n" })), (line, _, at) => {
      const [piece, score, weight, value, part] = line.children;
      line.toggleAttribute("data-now", at === query);
      line.toggleAttribute("data-masked", hidden(at));
      piece.textContent = name(at);
      score.textContent = given.score[at].toFixed(2).replace("-", "−");
      weight.firstChild.textContent = hidden(at) ? "masked" : percent(given.weight[at]);
      weight.lastChild.hidden = hidden(at);
      weight.lastChild.firstChild.style.width = `${100 * given.weight[at]}%`;
      value.textContent = given.value[at].toFixed(2);
      part.textContent = given.part[at].toFixed(2);
    });
    sum(given);
    announce(verdict.textContent);
  }

  function sum(given) {
    const lines = given.parts.map(({ token, vector }) => [`${percent(given.weight[token])} × value of “${name(token)}”`, vector]);
    if (given.others.count) lines.push([`${given.others.count} other${given.others.count > 1 ? "s" : ""} together`, given.others.vector]);
    const scale = Math.max(...[...lines.map(([, vector]) => vector), given.output].flat().map(Math.abs));
    output.replaceChildren(element("h2", {}, "The output: weights times values, added up"),
      element("p", { class: "said" }, `Each strip is a vector of ${shown.d} numbers, a bar up or down for each, all to one scale.`),
      ...[...lines, [`= output, length ${given.norm.toFixed(3)}`, given.output]].map(([words, vector], at, all) =>
        element("div", { class: at === all.length - 1 ? "strip total" : "strip", "data-shown": at === all.length - 1 ? "output" : "part" }, element("span", {}, at && at < all.length - 1 ? `+ ${words}` : words), strip(vector, scale))));
  }

  await maps();
}

/** A square in the middle of each cell, its area the weight; a whole cell is 1. */
function squares(weights) {
  let path = "";
  weights.forEach((row, y) => row.forEach((weight, x) => {
    if (weight < 0.002) return;
    const side = Math.sqrt(weight), at = (1 - side) / 2;
    path += `M${(x + at).toFixed(3)} ${(y + at).toFixed(3)}h${side.toFixed(3)}v${side.toFixed(3)}h-${side.toFixed(3)}z`;
  }));
  return path;
}

/** The cells of later tokens: a line across each. */
function triangle(n) {
  let path = "";
  for (let y = 0; y < n; y++) for (let x = y + 1; x < n; x++) path += `M${x + 0.3} ${y + 0.7}l.4 -.4`;
  return path;
}

function strip(vector, scale) {
  const path = vector.map((value, at) => `M${at + 0.1} 1h.8v${(-value / scale).toFixed(4)}h-.8z`).join("");
  return svg("svg", { viewBox: `0 0 ${vector.length} 2`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "zero", d: `M0 1h${vector.length}`, "vector-effect": "non-scaling-stroke" }), svg("path", { d: path }));
}
