// The abstraction ladder: every rung with its milestones, diagrams, files, and how its specs ended.
import { element } from "./controls.js";

const SIGN = { passed: "✓", failed: "✗", "not run here": "–" };

export function draw(main, catalog) {
  document.title = "The abstraction ladder · Firstlight";
  main.replaceChildren(
    element("p", { class: "eyebrow" }, "Firstlight"),
    element("h1", {}, "The abstraction ladder"),
    element("p", { class: "lead" },
      "From a chat down to the hardware, eight rungs. Every number on these pages comes from the kernels that the specs prove, run on a real model; on your own text, where firstlight diagrams serves them."),
    journey(catalog.diagrams.find((one) => one.name === "journey")),
    element("ol", { class: "ladder", reversed: true, start: 7 }, ...catalog.ladder.map((rung) => step(rung, catalog.diagrams))),
    element("p", { class: "small" },
      "The state of a milestone is that of its specs when pytest last ran them where these pages come from: passed, failed, or not run here."));
}

/** The way through all rungs at once; an exported site may lack it. */
function journey(diagram) {
  return diagram ? element("section", { class: "way", "aria-labelledby": "way" }, element("h2", { id: "way" }, diagram.title.split(":")[0]),
    element("p", {}, diagram.lead), element("a", { class: "go", href: "journey.html" }, "Follow one prompt through every stage")) : "";
}

function step(rung, diagrams) {
  const here = diagrams.filter((one) => rung.diagrams.includes(one.name));
  return element("li", { class: "rung", "data-rung": rung.number },
    element("span", { class: "number", "aria-hidden": "true" }, String(rung.number)),
    element("div", {},
      element("h2", {}, rung.name),
      element("p", {}, rung.what),
      element("p", { class: "why" }, rung.why),
      element("ul", { class: "row" }, ...rung.states.map(state)),
      here.length
        ? element("ul", { class: "row" }, ...here.map((one) =>
          element("li", {}, element("a", { class: "go", href: `${one.name}.html` }, one.title.split(":")[0]))))
        : null,
      element("details", {}, element("summary", {}, `Files of rung ${rung.number}`),
        element("ul", { class: "files" }, ...rung.files.map((file) =>
          element("li", {}, element("a", { href: `source/${file}` }, file)))))));
}

function state(of) {
  const numbers = of.state === "not run here" ? "" : `: ${[
    of.passed && `${of.passed.toLocaleString("en")} passed`, of.failed && `${of.failed} failed`,
    of.not_run && `${of.not_run} not run here`].filter(Boolean).join(", ")}`;
  return element("li", { class: "state", "data-state": of.state, title: of.device || null },
    element("b", {}, of.milestone), ` ${SIGN[of.state]} ${of.state}`, element("span", { class: "numbers" }, numbers));
}
