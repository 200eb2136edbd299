// An exported site has no engine. What it said to some requests lies in NAME.json; see milestones/diagrams/export.py.

const held = new Map();

const got = (name) => {
  if (!held.has(name)) held.set(name, fetch(`${name}.json`).then((answer) => answer.json()));
  return held.get(name);
};

/** The lines that the engine would answer. Throws in words if they were not recorded. */
export async function recorded(diagram, endpoint, request) {
  const { answers, data, computes } = await got(diagram.name);
  const lines = answers[`${endpoint} ${JSON.stringify(request, Object.keys(request).sort())}`]
    ?? (computes ? await (await import(`./${diagram.name}_recorded.js`)).answer(data, endpoint, request) : null);
  if (!lines) throw new Error("this page is a recording, and of this there is none: “firstlight diagrams” on your machine answers everything");
  return lines;
}
