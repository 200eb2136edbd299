// The sampler: bars before and after the settings, which setting cut what, draws, and the text that grows. See sampling.py.
import { announce, button, count, element, enable, engine, examples, keyed, number, percent, slider, text, visible } from "./controls.js";

const ROWS = 24, LAST = 2 ** 32 - 1; // of seeds
const KNOB = { top_k: "top-k", top_p: "top-p", min_p: "min-p", temperature: "temperature 0" };
const COUNTS = [0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 40, 100, 500, 1000, 5000]; // what the top-k slider can be set to

export async function draw(stage, diagram) {
  const changed = () => { forget(); look(); };
  const typed = text({ label: "Prompt", value: diagram.examples[0][1], changed: () => { appended = []; changed(); } });
  const temperature = slider({ label: "Temperature", min: 0, max: 2, step: 0.05, value: 0.8,
    read: (t) => (t === 0 ? "0, greedy" : t.toFixed(2)), changed });
  const topK = slider({ label: "Top-k", min: 0, max: COUNTS.length - 1, step: 1, value: COUNTS.indexOf(15),
    read: (at) => (at === 0 ? "off" : COUNTS[at].toLocaleString("en")), changed });
  const topP = slider({ label: "Top-p", min: 0.01, max: 1, step: 0.01, value: 1, read: (p) => (p === 1 ? "off" : p.toFixed(2)), changed });
  const minP = slider({ label: "Min-p", min: 0, max: 1, step: 0.01, value: 0, read: (p) => (p === 0 ? "off" : p.toFixed(2)), changed });
  const seed = number({ label: "Seed", min: 0, max: LAST, value: 7, changed });

  const problems = element("div");
  const prompt = element("p", { class: "prompt", "data-shown": "prompt" });
  const verdict = element("p", { class: "said", "data-shown": "verdict" });
  const summary = element("p", { class: "said", "data-shown": "left" });
  const table = element("tbody");
  const head = element("tr", {}, ...["Token", "Logit", "Model", "Tempered", "After", "Probability"].map((word, at) =>
    element("th", { scope: "col", class: at > 0 && at < 5 ? "n" : null }, word)));
  const others = element("p", { class: "small", "data-shown": "others" });
  const buttons = element("div", { class: "row" },
    button("Sample one and append", append, { class: "main" }),
    button("Take back the last", () => { appended = appended.slice(0, -1); changed(); }),
    button("Sample 1,000", thousand), button("Another seed", () => { seed.input.value = seed.value >= 0 && seed.value < LAST ? Math.floor(seed.value) + 1 : 0; changed(); }));
  stage.append(typed.node, examples(diagram, (words) => { typed.set(words); appended = []; changed(); }), element("div", { class: "controls" }, temperature.node, topK.node, topP.node, minP.node, seed.node), problems,
    prompt, buttons, verdict, summary,
    element("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "The likeliest tokens" },
      element("table", { class: "bars" }, element("thead", {}, head), table)), others);

  const ask = engine(diagram, problems);
  let appended = [], shown = null, asked = "", counted = null; // `shown` is the answer to `asked`
  const request = () => ({ text: typed.value, appended, temperature: temperature.value, top_k: COUNTS[topK.value], top_p: topP.value,
    min_p: minP.value, seed: seed.value, rows: ROWS });
  const forget = () => { counted = null; };

  async function look() {
    const wanted = request(), given = await ask("look", wanted);
    if (!given) return;
    [shown, asked, appended] = [given, JSON.stringify(wanted), wanted.appended];
    redraw();
    const said = cuts(given);
    summary.textContent = said;
    announce(`${verdict.textContent} ${said}`);
  }

  function cuts({ left, size }) {
    const on = { top_k: topK.value > 0, top_p: topP.value < 1, min_p: minP.value > 0 };
    const said = Object.keys(on).filter((knob) => on[knob]).map((knob) => `${left[knob].toLocaleString("en")} after ${KNOB[knob]}`);
    if (temperature.value === 0) return "One token is left: at temperature 0 the other settings change nothing.";
    return said.length ? `Left of ${size.toLocaleString("en")} tokens: ${said.join(", ")}.` : `All ${size.toLocaleString("en")} tokens may be drawn: no setting cuts any.`;
  }

  let appending = Promise.resolve(); // one after the other, however fast the button is pressed
  function append() { appending = appending.then(appendOne); }

  async function appendOne() {
    if (shown?.ended) return;
    if (JSON.stringify(request()) !== asked) await look(); // what is taken is what the controls say now
    if (JSON.stringify(request()) !== asked || shown.ended) return;
    appended = [...appended, shown.chosen.id];
    forget();
    await look();
    if (JSON.stringify(request()) !== asked) appended = shown.appended.map((token) => token.id); // it was refused
  }

  async function thousand() {
    const given = await ask("draws", request());
    if (!given) return;
    counted = given;
    redraw();
    const [first] = given.counts;
    announce(`1,000 draws: ${visible(shown.rows[0].text)} ${count(first.drawn, "time")}, ${first.expected.toFixed(1)} expected.`);
  }

  function redraw() {
    const { rows, chosen, appended: said, ended } = shown;
    prompt.replaceChildren(element("span", {}, visible(typed.value)), ...said.map((token) => element("mark", { title: `id ${token.id}` }, visible(token.text))),
      element("span", { class: "gap" }, ended ? " end of text" : "___"));
    enable(buttons.children[0], !ended);
    enable(buttons.children[1], said.length > 0);
    verdict.textContent = ended ? "The model has ended the text." : `${temperature.value === 0 ? "Greedy takes" : `Draw ${said.length} of seed ${seed.value} takes`} “${
      visible(chosen.text)}”, id ${chosen.id}, with ${percent(chosen.p)}.`;
    const most = Math.max(...rows.map((row) => Math.max(row.tempered, row.final)));
    const draws = new Map((counted?.counts ?? []).map((one) => [one.id, one]));
    head.children[5].textContent = counted ? "Probability, and draws of 1,000" : "Probability";
    keyed(table, rows, (row) => row.id, () => element("tr", {}, element("th", { scope: "row" }), ...[0, 1, 2, 3].map(() => element("td", { class: "n" })),
      element("td", { class: "drawing" })), (line, row) => {
      const [name, logit, own, before, after, bar] = line.children;
      line.dataset.cut = row.cut ?? "";
      line.dataset.chosen = row.id === chosen.id;
      name.replaceChildren(element("span", { class: "piece" }, visible(row.text)), element("span", { class: "id" }, ` ${row.id}`),
        row.id === chosen.id ? element("span", { class: "tag" }, "taken") : "");
      logit.textContent = row.logit.toFixed(2);
      own.textContent = percent(row.own);
      before.textContent = percent(row.tempered);
      after.textContent = row.cut ? "" : percent(row.final);
      if (!bar.children.length) bar.append(...["before", "final", "drawn"].map((kind) => element("span", { class: `bar ${kind}` }, element("i"))), element("span", { class: "why" }));
      const times = draws.get(row.id);
      const [pale, final, drawn, why] = bar.children;
      size(pale, row.tempered / most);
      size(final, row.final / most);
      drawn.hidden = !times;
      if (times) size(drawn, times.drawn / 1000 / most);
      why.textContent = times ? `${times.drawn} drawn, ${times.expected.toFixed(1)} expected` : row.cut ? `cut by ${KNOB[row.cut]}` : "";
    });
    const rest = rows.reduce((sum, row) => sum - row.final, 1);
    others.textContent = counted ? `All other tokens: ${counted.others.drawn} drawn, ${counted.others.expected.toFixed(1)} expected.`
      : `The ${count(rows.length, "likeliest token")} of ${shown.size.toLocaleString("en")}; the others have ${percent(Math.max(0, rest < 5e-7 ? 0 : rest))} together.`;
  }

  const size = (bar, share) => { bar.firstChild.style.width = `${100 * Math.min(1, share)}%`; };
  await look();
}
