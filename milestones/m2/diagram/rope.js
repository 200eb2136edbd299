// RoPE: the hands of all pairs, one pair's arrows, and scores by distance and by position. Numbers: rope.py.
import { announce, choice, element, engine, examples, keyed, slider, svg, text, visible } from "./controls.js";

const TURN = 2 * Math.PI, ACROSS = 8; // hands in a row

export async function draw(stage, diagram) {
  const last = { layer: 29, head: 8, pair: 31 }; // until the model is known
  const changed = () => look();
  const of = (name) => (n) => `${n}, of 0 to ${last[name]}`;
  const typed = text({ label: "Prompt", value: diagram.examples[0][1], changed: () => stand() });
  const query = choice({ label: "Query of", options: [], changed: () => stand() });
  const key = choice({ label: "Key of", options: [], changed: () => stand() });
  const layer = slider({ label: "Layer", min: 0, max: last.layer, step: 1, value: 13, read: of("layer"), changed });
  const head = slider({ label: "Head", min: 0, max: last.head, step: 1, value: 8, read: of("head"), changed });
  const position = slider({ label: "Position of the key", min: 0, max: 200, step: 1, value: 1, changed });
  const distance = slider({ label: "Distance to the query", min: 0, max: 63, step: 1, value: 6, changed });
  const pair = slider({ label: "Pair", min: 0, max: last.pair, step: 1, value: 3, read: of("pair"), changed });
  const problems = element("div");
  const verdict = element("p", { class: "verdict", "data-shown": "verdict" });
  const hands = svg("svg", { class: "hands", role: "img", "aria-label": "The hands of all pairs; the slider Pair chooses one", "data-shown": "hands" });
  const arrows = svg("svg", { class: "arrows", viewBox: "-1.3 -1.3 2.6 2.6", role: "img", "data-shown": "arrows" });
  const angle = element("p", { class: "said", "data-shown": "angle" });
  const near = svg("svg", { class: "plot", viewBox: "0 0 340 190", role: "img", "data-shown": "by-distance" });
  const far = svg("svg", { class: "plot", viewBox: "0 0 340 190", role: "img", "data-shown": "by-position" });
  const flat = element("p", { class: "said", "data-shown": "flat" });
  const rows = element("tbody");
  const figure = (title, small, ...parts) => element("section", {}, element("h2", {}, title), element("p", { class: "small" }, small), ...parts);
  stage.append(typed.node, examples(diagram, (words) => { typed.set(words); stand(); }), element("div", { class: "controls" }, query.node, key.node, position.node, distance.node, layer.node, head.node), problems, verdict,
    element("div", { class: "beside" },
      figure("Every pair, a hand", "How far each pair has turned at the query’s position (solid) and at the key’s (dotted).", hands, pair.node),
      figure("The chosen pair", "q solid, k dashed; thin: before they are turned. Dots: q at positions 0 to 63.", arrows, angle)),
    element("div", { class: "beside" },
      figure("Score by distance", "The key stays, the query moves on. Line: q · k / √d; dashed: the part of the pair.", near),
      figure("Score by position", "The distance stays, both move on. The same number everywhere.", far, flat)),
    element("details", {}, element("summary", {}, "The numbers by position"), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores by position" },
      element("table", { class: "looks" }, element("thead", {}, element("tr", {}, ...["Key at", "Query at", "q · k / √d", "Pair’s part"].map((word) => element("th", { scope: "col", class: "n" }, word)))), rows))));

  const ask = engine(diagram, problems);
  let at = { query: 7, key: 1 }, tokens = 0, known = null;

  /** What the model has: the sliders stay within. */
  async function begin() {
    known = await ask("sizes", {});
    if (!known) return;
    Object.assign(last, { layer: known.blocks - 1, head: known.heads - 1, pair: known.pairs - 1 });
    for (const [name, control] of Object.entries({ layer, head, pair })) {
      control.input.max = last[name];
      control.set(control.value);
    }
  }

  /** The tokens have changed, or others are chosen: they go where they stand in the prompt. */
  function stand() {
    if (tokens) at = { query: Number(query.value), key: Number(key.value) };
    position.set(at.key);
    distance.set(Math.max(0, at.query - at.key));
    return look();
  }

  async function look() {
    if (!known) await begin();
    if (!known) return;
    const wanted = { text: typed.value, layer: layer.value, head: head.value, query: at.query, key: at.key, pair: pair.value, position: position.value, distance: distance.value };
    const given = await ask("look", wanted);
    if (!given) return;
    tokens = given.tokens.length;
    if (given.query !== wanted.query || given.key !== wanted.key) { // the text has become shorter
      at = { query: given.query, key: given.key };
      position.set(at.key);
      distance.set(Math.max(0, at.query - at.key));
      return look();
    }
    for (const [control, chosen] of [[query, at.query], [key, at.key]]) {
      keyed(control.input, given.tokens, (_, n) => n, (_, n) => element("option", { value: n }), (option, token, n) => { option.textContent = `${n}: ${visible(token.text)}`; });
      control.set(chosen);
    }
    tell(given, wanted);
  }

  function tell(given, { pair: chosen, position: from, distance: apart }) {
    const radians = given.radians[chosen], word = (n) => `“${visible(given.tokens[n].text)}”`;
    verdict.textContent = `The query of ${word(at.query)} at ${from + apart}, the key of ${word(at.key)} at ${from}: q · k / √d is ${number(given.score, 3)}, of which pair ${chosen} gives ${number(given.by_distance.part[apart], 3)}.`;
    const round = TURN / radians;
    angle.textContent = radians
      ? `Pair ${chosen} turns by ${radians.toPrecision(3)} radians (${degrees(radians)}) a position: once around in ${round < 100 ? round.toFixed(1) : Math.round(round).toLocaleString("en")} positions. At distance ${apart} the two have turned ${degrees(radians * apart)} apart.`
      : "This block is one without RoPE: nothing turns, and a score knows of no distance.";
    dials(given, chosen);
    circle(given, chosen);
    plot(near, "distance", given.by_distance.score.map((_, n) => n), given.by_distance, apart);
    plot(far, "position of the key", given.by_position.position, given.by_position, null);
    const spread = Math.max(...given.by_position.score) - Math.min(...given.by_position.score);
    flat.textContent = `At distance ${apart}, from position 0 to ${given.by_position.position.at(-1).toLocaleString("en")}: ${number(given.by_position.score[0], 3)}, ${spread ? `and no two differ by more than ${tiny(spread)}` : "all the same to the last bit"}.`;
    keyed(rows, given.by_position.position, (place) => place, () => element("tr", {}, element("th", { scope: "row", class: "n" }), ...[0, 1, 2].map(() => element("td", { class: "n" }))), (line, place, n) => {
      const cells = [place.toLocaleString("en"), (place + apart).toLocaleString("en"), number(given.by_position.score[n], 5), number(given.by_position.part[n], 5)];
      cells.forEach((words, i) => { line.children[i].textContent = words; });
    });
    announce(verdict.textContent);
  }

  function dials(given, chosen) {
    const down = Math.ceil(given.pairs / ACROSS);
    hands.setAttribute("viewBox", `0 0 ${ACROSS} ${down * 1.35}`);
    hands.replaceChildren(...given.hands.q.map((hand, i) => {
      const x = (i % ACROSS) + 0.5, y = Math.floor(i / ACROSS) * 1.35 + 0.5;
      const line = ([cos, sin], kind) => svg("path", { class: kind, d: `M${x} ${y}l${(0.4 * cos).toFixed(4)} ${(-0.4 * sin).toFixed(4)}` });
      return svg("g", { class: i === chosen ? "dial now" : "dial", "data-pair": i }, svg("rect", { x: x - 0.49, y: y - 0.49, width: 0.98, height: 1.31, rx: 0.1 }), svg("circle", { cx: x, cy: y, r: 0.42 }),
        line(given.hands.k[i], "k"), line(hand, "q"), svg("text", { x, y: y + 0.72, "text-anchor": "middle" }, String(i)));
    }));
  }
  hands.addEventListener("click", (event) => {
    const dial = event.target.closest("[data-pair]");
    if (dial) { pair.set(Number(dial.dataset.pair)); look(); }
  });

  function circle(given, chosen) {
    const { plain, turned, trail } = given, longest = Math.max(1e-30, ...Object.values(turned).map(([a, b]) => Math.hypot(a, b)));
    const point = ([a, b]) => [(a / longest).toFixed(4), (-b / longest).toFixed(4)];
    const arrow = (vector, kind) => svg("path", { class: kind, d: `M0 0L${point(vector).join(" ")}` });
    const tip = (vector, kind) => svg("circle", { class: kind, cx: point(vector)[0], cy: point(vector)[1], r: 0.045 });
    const named = (vector, words, along, aside) => { // beside the tip, in its direction and across it
      const [x, y] = point(vector).map(Number), size = Math.hypot(x, y) || 1;
      return svg("text", { x: x + (along * x + aside * y) / size, y: y + (along * y - aside * x) / size + 0.05, "text-anchor": "middle" }, words);
    };
    const side = Math.sign(turned.q[0] * turned.k[1] - turned.q[1] * turned.k[0]) || 1; // on which side of q the arrow of k is
    arrows.replaceChildren(svg("path", { class: "axes", d: "M-1.2 0h2.4M0 -1.2v2.4" }),
      ...Object.values(turned).map(([a, b]) => svg("circle", { class: "ring", r: Math.hypot(a, b) / longest })),
      ...trail.map((one) => svg("circle", { class: "dot", cx: point(one)[0], cy: point(one)[1], r: 0.018 })),
      arrow(plain.q, "q before"), arrow(plain.k, "k before"), arrow(turned.k, "k"), arrow(turned.q, "q"), tip(turned.k, "k tip"), tip(turned.q, "q tip"), named(turned.k, "k", -0.1, 0.15 * side), named(turned.q, "q", 0.14, 0));
    const said = ([a, b]) => `(${number(a, 2)}, ${number(b, 2)})`;
    arrows.setAttribute("aria-label", `Pair ${chosen}: q from ${said(plain.q)} to ${said(turned.q)}, k from ${said(plain.k)} to ${said(turned.k)}`);
  }

  await look();
}

/** Two lines over the same places: the score and a pair's part. `now` is marked. By value where `now` is given, else place by place. */
function plot(into, words, places, { score, part }, now) {
  const low = Math.min(0, ...score, ...part), high = Math.max(0, ...score, ...part), room = (high - low || 1) * 0.08;
  const x = (n) => 44 + (286 * n) / (places.length - 1 || 1), y = (value) => 10 + (140 * (high + room - value)) / (high - low + 2 * room);
  const line = (values, kind) => svg("path", { class: kind, d: values.map((value, n) => `${n ? "L" : "M"}${x(n).toFixed(1)} ${y(value).toFixed(2)}`).join("") });
  const step = now === null ? Math.ceil(places.length / 7) : Math.ceil(places.length / 8);
  const ticks = [high, 0, low].filter((value) => value === 0 || Math.abs(y(value) - y(0)) > 14).map((value) => value.toFixed(1));
  into.replaceChildren(svg("path", { class: "axes", d: `M44 ${y(0)}H332M44 10V150` }),
    ...ticks.map((tick) => svg("text", { x: 38, y: y(Number(tick)) + 4, "text-anchor": "end" }, tick.replace("-", "−"))),
    ...places.flatMap((place, n) => (n % step === 0 ? [svg("text", { x: x(n), y: 166, "text-anchor": "middle" }, place.toLocaleString("en"))] : [])),
    svg("text", { x: 188, y: 184, "text-anchor": "middle" }, words), line(part, "part"), line(score, "score"),
    ...score.map((value, n) => (now === null || n === now ? svg("circle", { class: "point", cx: x(n), cy: y(value), r: now === null ? 3 : 5 }) : "")));
  into.setAttribute("aria-label", `q · k / √d by ${words}: from ${number(score[0], 2)} at ${places[0]} to ${number(score.at(-1), 2)} at ${places.at(-1)}, at least ${number(Math.min(...score), 2)}, at most ${number(Math.max(...score), 2)}`);
}

const tiny = (value) => value.toExponential(0).replace(/e(.)(\d+)/, (_, sign, digits) => ` · 10${sign === "-" ? "⁻" : ""}${[...digits].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}`);
const number = (value, places) => value.toFixed(places).replace("-", "−");
const degrees = (radians) => {
  const size = (radians * 180) / Math.PI;
  return `${size < 1 ? size.toPrecision(2) : size < 100 ? size.toFixed(1) : Math.round(size).toLocaleString("en")}°`;
};
