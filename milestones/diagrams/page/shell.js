// What every page has: the ways to the others, the words beside the picture, the sources. The picture is the diagram's own module.
import { element } from "./controls.js";
import { recorded } from "./recorded.js";

const page = (location.pathname.split("/").pop() || "index.html").replace(/\.html$/, "");
const main = document.getElementById("main");

async function begin() {
  document.querySelector(".late").remove(); // scripts are run
  const answer = await fetch("catalog.json");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const catalog = await answer.json();
  navigation(catalog.diagrams);
  const diagram = catalog.diagrams.find((one) => one.name === page);
  if (diagram) await show(diagram);
  else (await import("./home.js")).draw(main, catalog);
  document.documentElement.dataset.ready = "yes";
}

function navigation(diagrams) {
  const link = (name, text) =>
    element("a", { href: `${name}.html`, "aria-current": name === page ? "page" : null }, text);
  const items = [["index", "Ladder"], ...diagrams.map((one) => [one.name, one.title.split(":")[0]])];
  document.getElementById("nav").replaceChildren(
    element("ul", {}, ...items.map((item) => element("li", {}, link(...item)))));
}

async function show(diagram) {
  document.title = `${diagram.title} · Firstlight`;
  const stage = element("section", { class: "stage", "aria-label": "The diagram" });
  main.replaceChildren(
    element("p", { class: "eyebrow" }, `Milestone ${diagram.milestone}`),
    element("h1", {}, diagram.title),
    element("p", { class: "lead" }, diagram.lead),
    recorded ? element("p", { class: "warning" }, `A recording: the engine’s own numbers, for some texts. ${diagram.recorded} “firstlight diagrams” on your machine answers for yours.`) : "",
    stage,
    element("section", { class: "notes" },
      element("h2", {}, "What you are seeing"),
      element("ul", {}, ...diagram.notes.map((note) => element("li", {}, note)))),
    element("section", { class: "sources" },
      element("h2", {}, "Where the numbers come from"),
      element("ul", { class: "files" }, ...diagram.files.map((file) =>
        element("li", {}, element("a", { href: `source/${file}` }, file)))),
      element("p", {}, "To read: ", diagram.sources.join(" · "), ".")),
  );
  const module = await import(`./${diagram.name}.js`);
  await module.draw(stage, diagram);
}

begin().catch((problem) => {
  main.append(element("p", { class: "problem", role: "alert" },
    `The page could not be drawn: ${problem.message}. Is the server still running? Start it again with "firstlight diagrams", then reload.`));
});
