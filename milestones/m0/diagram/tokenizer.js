// The tokenizer: chips of tokens, bytes of a piece, merges step by step. Everything shown comes from the endpoints of tokenizer.py.
import { announce, button, choice, count, element, enable, engine, examples, keyed, slider, text, visible } from "./controls.js";

export async function draw(stage, diagram) {
  const typed = text({ label: "Your text", value: diagram.examples[0][1], rows: 3, changed: () => encode() });
  const which = choice({ label: "Vocabulary", options: [["model", "the model’s own"]], value: "model", changed: () => encode() });
  const flow = element("p", { class: "flow", "data-shown": "counts" });
  const chips = element("ul", { class: "chips", "aria-label": "Tokens; choose one to see the merges of its piece" });
  const lacking = element("p", { class: "warning", hidden: true });
  const decoded = element("p", { class: "decoded", "data-shown": "decoded" });
  const merging = element("section", { class: "panel", "aria-label": "Merges" });
  const problems = element("div");
  stage.append(typed.node, element("div", { class: "controls" }, which.node, examples(diagram, (words) => { typed.set(words); encode(); })), problems, flow, chips, lacking, decoded, merging);

  const ask = engine(diagram, problems);
  let answer = null, chosen = 0;

  async function encode() {
    const given = await ask("encode", { text: typed.value, vocabulary: which.value });
    if (!given) return;
    answer = given;
    keyed(which.input, given.vocabularies, (one) => one[0], ([name, words]) => element("option", { value: name }, words));
    flow.replaceChildren(...[[given.characters, "character"], [given.bytes, "byte"], [given.tokens, "token"]].flatMap(([n, word], i) =>
      [i ? element("span", { class: "arrow", "aria-hidden": "true" }, "→") : null,
        element("span", { class: "figure" }, element("b", {}, n.toLocaleString("en")), ` ${word}${n === 1 ? "" : "s"}`)].filter(Boolean)));
    const all = given.pieces.flatMap((piece, index) => piece.tokens.length
      ? piece.tokens.map((token, at) => ({ ...token, piece: index, special: piece.special, first: at === 0 }))
      : [{ id: null, text: piece.text, piece: index, first: true }]);
    keyed(chips, all, (one, at) => at, () => element("li", {}, element("button", { type: "button", class: "chip", on: {
      click: (event) => choose(Number(event.currentTarget.dataset.piece)) } },
      element("span", { class: "piece" }), element("span", { class: "id" }))), chip);
    lacking.hidden = !given.lacking.length;
    lacking.textContent = given.lacking.length ? `⚠ This vocabulary has no token for ${given.lacking.map(({ byte, offset }) =>
      `byte 0x${byte.toString(16).toUpperCase().padStart(2, "0")} at offset ${offset}`).slice(0, 8).join(", ")}${
      given.lacking.length > 8 ? ` and ${given.lacking.length - 8} more` : ""}: it is left out.` : "";
    decoded.replaceChildren("Decoded again: ", element("q", {}, visible(given.decoded)), " ",
      element("b", { "data-equal": given.equal }, given.equal ? "✓ equal to your text, byte for byte" : "✗ not equal to your text"));
    announce(`${count(given.characters, "character")}, ${count(given.bytes, "byte")}, ${count(given.tokens, "token")}`);
    await choose(Math.min(chosen, Math.max(0, given.pieces.length - 1)), false);
  }

  function chip(node, token) {
    const inside = node.firstChild;
    inside.dataset.piece = token.piece;
    node.dataset.first = token.first;
    inside.dataset.even = token.piece % 2 === 0;
    inside.dataset.kind = token.id === null ? "lacking" : token.special ? "special" : "plain";
    inside.children[0].textContent = visible(token.text);
    inside.children[1].textContent = token.id ?? "no id";
    inside.setAttribute("aria-label", `${token.text === " " ? "space" : token.text}, ${token.id === null ? "no token" : `id ${token.id}`}`);
    inside.setAttribute("aria-pressed", token.piece === chosen);
  }

  async function choose(piece, aloud = true) {
    chosen = piece;
    for (const one of chips.querySelectorAll(".chip")) one.setAttribute("aria-pressed", Number(one.dataset.piece) === piece);
    if (!answer?.pieces.length) return merging.replaceChildren();
    const given = await ask("merges", { text: typed.value, vocabulary: which.value, piece });
    if (given) show(given, answer.pieces[piece], aloud);
  }

  let step = null;
  function show(given, piece, aloud) {
    if (!piece) return;
    const steps = given.steps.length;
    const row = element("div", { class: "symbols", "data-shown": "symbols" });
    const said = element("p", { class: "said", "data-shown": "step" });
    const table = element("tbody");
    const at = (n) => {
      const now = given.steps[n];
      row.replaceChildren(...(now ? now.symbols : given.end).map((symbol, i) => element("span", {
        class: "symbol", "data-joined": now && (i === now.at || i === now.at + 1) ? "yes" : null }, visible(symbol))));
      said.textContent = now ? `${visible(now.symbols[now.at])} and ${visible(now.symbols[now.at + 1])} are joined: of all pairs here the lowest rank, ${now.rank.toLocaleString("en")}.`
        : given.note || (steps ? `No pair has a rank any more: ${count(given.ids.length, "token")}, ${given.ids.join(", ")}.` : `One symbol and no pair: token ${given.ids.join(", ")}.`);
      [...table.children].forEach((line, i) => line.toggleAttribute("data-now", i === n));
      enable(back, n > 0);
      enable(on, n < steps);
    };
    const move = (by) => { step.set(Math.min(steps, Math.max(0, step.value + by))); at(step.value); announce(said.textContent); };
    const back = button("Step back", () => move(-1)), on = button("Step on", () => move(1));
    step = slider({ label: "Merges done", min: 0, max: steps, step: 1, value: steps, read: (n) => `${n} of ${steps}`, changed: (n) => { at(n); announce(said.textContent); } });
    table.append(...given.steps.map((one, i) => element("tr", {}, element("th", { scope: "row" }, String(i + 1)),
      element("td", {}, `${visible(one.symbols[one.at])} + ${visible(one.symbols[one.at + 1])}`),
      element("td", { class: "n" }, one.rank.toLocaleString("en")))));
    merging.replaceChildren(
      element("h2", {}, "How “", visible(given.text), "” is merged"),
      bytes(piece),
      ...(steps ? [element("div", { class: "controls" }, step.node, element("div", { class: "row" }, back, on))] : []),
      row, said,
      ...(steps ? [element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All merges" },
        element("table", {}, element("thead", {}, element("tr", {}, ...["Step", "Pair", "Rank"].map((word) => element("th", { scope: "col", class: word === "Rank" ? "n" : null }, word)))), table))] : []));
    at(steps);
    if (aloud) announce(`${given.text}: ${count(steps, "merge")}. ${said.textContent}`);
  }

  await encode();
}

/** Characters above, their bytes below. */
function bytes(piece) {
  const data = piece.bytes.match(/../g) ?? [];
  let rest = data.map((byte) => parseInt(byte, 16));
  const cells = [];
  while (rest.length) {
    const size = Math.min(rest.length, rest[0] < 0x80 ? 1 : rest[0] < 0xe0 ? 2 : rest[0] < 0xf0 ? 3 : 4);
    const own = rest.slice(0, size);
    cells.push(element("li", {}, element("span", { class: "character" }, visible(new TextDecoder().decode(new Uint8Array(own)))),
      ...own.map((byte) => element("code", {}, byte.toString(16).toUpperCase().padStart(2, "0")))));
    rest = rest.slice(size);
  }
  return element("ul", { class: "bytes", "aria-label": "Characters and their bytes" }, ...cells.slice(0, 60));
}
