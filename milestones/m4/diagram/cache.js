// The KV cache: what a step computes with it and without, in rows and in milliseconds; rewind, fork, and the rows. See cache.py.
import { bytes, cells, curves, memorySaid, ms, place, rows, stepSaid, tables, under, WAYS } from "./cache_picture.js";
import { announce, button, choice, count, element, enable, engine, examples, keyed, percent, slider, text, toggle, visible } from "./controls.js";

const RUN = 16; // steps of a run

export async function draw(stage, diagram) {
  let branches = [], active = 0, running = false, stopping = false, begun = 0, waiting = 0, turn = Promise.resolve(), later;
  const branch = () => branches[active], length = () => branch().given.tokens.length;
  const chosen = () => { redraw(); look(); }, said = () => stepSaid(branch(), on.value);

  const typed = text({ label: "Prompt", value: diagram.examples[0][1], changed: reset });
  const on = toggle({ label: "Cache", value: true, hint: "which of the two ways the cells show", changed: () => { redraw(); announce(said()); } });
  const pick = choice({ label: "Next token", options: [], hint: "the likeliest five; the first is greedy", changed: (id) => { branch().pick = Number(id); } });
  const dtype = choice({ label: "Numbers in the cache", options: [["float32", "float32, exact"], ["float16", "float16, half the memory"]],
    changed: () => inTurn(again) });
  const back = slider({ label: "Rewind to", min: 0, max: 1, step: 1, value: 1, read: (n) => count(n, "token"),
    changed: (n) => enable(buttons.rewind, !running && branch() && n < length()) });
  const layer = slider({ label: "Layer", min: 0, max: 29, step: 1, value: 0, changed: chosen });
  const token = slider({ label: "Token", min: 0, max: 1, step: 1, value: 0, read: (t) => `${t} “${visible(branch()?.given.tokens[t]?.text ?? "")}”`, changed: chosen });
  const buttons = {
    step: button("Step", () => { if (waiting < 4) inTurn(step); }, { class: "main" }),
    run: button(`Run ${RUN} steps`, run),
    rewind: button("Rewind", () => inTurn(rewind)),
    fork: button("Fork", () => inTurn(fork)),
    reset: button("Start again", reset),
  };
  const problems = element("div"), shown = element("div", { class: "branches" });
  const line = (name) => element("p", { class: "said", "data-shown": name });
  const did = line("did"), now = line("step"), ratio = line("ratio"), memory = line("memory"), cellSaid = line("cell");
  const plot = element("div", { class: "curves" }), table = tables();
  stage.append(typed.node, examples(diagram, (words) => { typed.set(words); reset(); }), element("div", { class: "controls" }, on.node, pick.node, dtype.node, back.node),
    element("div", { class: "row" }, ...Object.values(buttons)), problems, did, shown,
    element("p", { class: "small" }, "■ computed in this step   · read from the cache   ▫ stale, after a rewind: never read. K is a cell’s left half, V its right one."), now,
    element("div", { class: "panel" }, element("h2", {}, "Computed, and how long it took"), table.totals, ratio, plot,
      element("details", {}, element("summary", {}, "Every step as a table"), table.steps), memory),
    element("div", { class: "panel" }, element("h2", {}, "One cell: a row of K and a row of V"),
      element("div", { class: "controls" }, layer.node, token.node), cellSaid, table.cell));

  const ask = engine(diagram, problems);
  const request = ({ text: words, appended }) => ({ text: words, appended, dtype: dtype.value }); // of a branch
  const zero = () => ({ rows: 0, ms: 0 });
  const fresh = (name, words) => ({ name, text: words, answers: [], appended: [], high: 0, lit: true, pick: null, totals: { cached: zero(), uncached: zero() },
    get given() { return this.answers.at(-1); } }); // an answer for each length from the prompt's on; `high`: rows ever stored

  /** One after the other: a second click means a second step. What waits is forgotten when the text is begun anew. */
  function inTurn(act) {
    const mine = begun;
    waiting += 1;
    turn = turn.catch(() => null).then(() => (mine === begun ? act() : null)).finally(() => { waiting -= 1; });
    return turn;
  }

  function reset() {
    begun += 1;
    stopping = running;
    return inTurn(async () => {
      const first = fresh("A", typed.value), given = await ask("step", request(first));
      if (!given) return;
      branches = [first];
      active = 0;
      did.textContent = "";
      took(first, given, []);
      layer.input.max = given.layers - 1;
      token.set(length() - 1);
      finish();
    });
  }

  /** A step's answer is the branch's newest. */
  function took(b, given, appended) {
    b.answers.push(given);
    const { copied, fed } = given.origin; // a cache made again has no stale rows
    b.high = copied || fed ? given.tokens.length : Math.max(b.high, given.tokens.length);
    Object.assign(b, { appended, pick: given.next[0].id, lit: true });
    for (const way of Object.keys(WAYS)) for (const what of ["rows", "ms"]) b.totals[way][what] += given[way][what];
    redraw();
  }

  async function step() {
    const b = branch();
    if (!b || b.given.ended || length() >= b.given.limit) return false;
    const appended = [...b.appended, b.pick];
    const given = await ask("step", request({ ...b, appended }));
    if (!given) return false;
    took(b, given, appended);
    const { copied, fed } = given.origin;
    did.textContent = copied || fed ? `The cache of these tokens was no longer kept: ${rows(copied)} copied from another, ${fed} computed anew, outside the measured time.` : "";
    token.set(length() - 1);
    if (!running) finish();
    return true;
  }

  function run() {
    if (running) stopping = true; // after the step that is being computed
    else inTurn(async () => {
      running = true;
      redraw();
      for (let n = 0; !stopping && n < RUN && await step(); n += 1);
      running = stopping = false;
      finish();
    });
    redraw();
  }

  /** The last step once more, with the other kind of numbers. */
  async function again() {
    const b = branch(), given = b && await ask("step", request(b));
    if (!given) return;
    b.answers.pop();
    took(b, given, b.appended);
    did.textContent = `The last step once more, with ${dtype.value} in the cache: its logits differ from those without a cache ${given.apart ? `by ${given.apart.toPrecision(2)} at most` : "in no bit"}.`;
    finish();
  }

  async function rewind() {
    const b = branch(), to = back.value, given = b && await ask("rewind", { ...request(b), to });
    if (!given) return;
    const { prompt } = b.given;
    b.answers.length = to - prompt + 1;
    Object.assign(b, { appended: b.appended.slice(0, to - prompt), lit: false, pick: b.given.next[0].id });
    did.textContent = `Rewound from ${given.was} to ${count(given.length, "token")} in ${ms(given.ms)}: one number was lowered. The ${rows(given.was - given.length)} a layer behind it stay, stale, until others are stored there.`;
    finish();
  }

  async function fork() {
    const b = branch(), given = b && await ask("fork", request(b));
    if (!given) return;
    branches = [b, Object.assign(fresh("B", b.text), { answers: [...b.answers], appended: [...b.appended], high: given.length, lit: false, pick: b.given.next[1].id })];
    active = 1;
    did.textContent = `Forked: ${bytes(given.bytes)}, the rows of ${count(given.length, "token")}, copied in ${ms(given.ms)}. Branch B goes its own way from here, with the second likeliest token next.`;
    finish();
  }

  function finish() {
    if (!branch()) return;
    redraw();
    announce(`${did.textContent} ${said()} ${ratio.textContent}`);
    look(400);
  }

  function look(wait = 0) { // not between two quick steps: it takes a pass of its own
    clearTimeout(later);
    later = setTimeout(async () => {
      if (running || !branch()) return;
      const given = await ask("cell", { ...request(branch()), layer: layer.value, token: token.value });
      if (!given) return;
      table.cells(given);
      const far = ({ apart }) => (apart === 0 ? "to the last bit" : `within ${apart.toPrecision(2)}`);
      cellSaid.textContent = `Layer ${given.layer}, token ${given.token} of ${given.length}: the cache’s row equals one computed anew from the whole text, K ${far(given.k)}, V ${far(given.v)}.`;
    }, wait);
  }

  function redraw() {
    const b = branch();
    if (!b) return;
    const n = length(), { given } = b, full = n >= given.limit, over = given.ended || full;
    pick.input.replaceChildren(...given.next.map((t) => element("option", { value: t.id, selected: t.id === b.pick }, `${visible(t.text)} (${percent(t.p)})`)));
    Object.assign(back.input, { min: given.prompt, max: n });
    back.set(n);
    token.input.max = n - 1;
    token.set(Math.min(token.value, n - 1));
    buttons.run.textContent = stopping ? "Stopping …" : running ? "Stop" : `Run ${RUN} steps`;
    const usable = { step: !over && !running, run: !over || running, fork: branches.length < 2 && !running, rewind: false, reset: true };
    for (const [name, one] of Object.entries(buttons)) enable(one, usable[name]);
    pick.input.disabled = over || running;
    now.textContent = `${said()}${given.ended ? " The model has ended the text." : full ? ` The picture is full at ${given.limit} tokens: rewind.` : ""}`;
    keyed(shown, branches, (x) => x.name, made, filled);
    table.update(b);
    const { cached, uncached } = b.totals;
    ratio.textContent = cached.rows ? `So far branch ${b.name} took ${(uncached.rows / cached.rows).toFixed(1)} times as many rows without the cache, and ${(uncached.ms / cached.ms).toFixed(1)} times the time.` : "";
    memory.textContent = memorySaid(given);
    curves(plot, b.answers);
  }

  const made = (b, at) => place(b.name, () => { active = at; finish(); }, (event) => {
    const cell = under(event, branches[at].given);
    if (!cell) return;
    active = at;
    layer.set(cell.layer);
    redraw(); // what the token can be depends on the branch
    token.set(cell.token);
    chosen();
  });

  function filled(node, b, at) {
    const [choose, words, region] = node.children, { given } = b, taken = at === active;
    choose.setAttribute("aria-pressed", taken);
    enable(choose, !running);
    choose.hidden = branches.length === 1;
    words.replaceChildren(...given.tokens.map((t, i) => element(i < given.prompt ? "span" : "mark", {}, visible(t.text))));
    cells(region.firstChild, b, on.value, taken ? { layer: layer.value, token: token.value } : null);
    if (taken && b.lit && b.seen !== given) region.scrollLeft = region.scrollWidth;
    b.seen = given;
  }

  addEventListener("resize", () => { if (branch()) curves(plot, branch().answers); });
  await reset();
}
