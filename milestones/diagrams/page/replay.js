// An exported site has no engine. What it said to some requests lies in NAME.json; see milestones/diagrams/export.py.

const held = new Map();

/** A file of the site, read once: `read(answer)` makes of it what is kept. Throws in words if it cannot be had. */
export function kept(name, read) {
  if (!held.has(name)) {
    const coming = fetch(name).catch(() => null).then((answer) => {
      if (!answer?.ok) throw new Error(`${name} of this site could not be fetched: change something to try again`);
      return read(answer);
    });
    coming.catch(() => held.delete(name));
    held.set(name, coming);
  }
  return held.get(name);
}

/** A file of float32 numbers, little-endian as every browser has them. */
export const floats = (name) => kept(name, async (answer) => new Float32Array(await answer.arrayBuffer()));

/** The lines that the engine would answer. Throws in words if they were not recorded. */
export async function recorded(diagram, endpoint, request) {
  const { answers, data, computes } = await kept(`${diagram.name}.json`, (answer) => answer.json());
  const lines = answers[`${endpoint} ${JSON.stringify(request, Object.keys(request).sort())}`]
    ?? (computes ? await (await import(`./${diagram.name}_recorded.js`)).answer(data, endpoint, request) : null);
  if (!lines) throw new Error("this page is a recording, and of this there is none: “firstlight diagrams” on your machine answers everything");
  return lines;
}
