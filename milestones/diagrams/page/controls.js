// What the diagrams share: making elements, asking the engine, controls with labels, and redrawing without losing the focus.

import { recorded } from "./recorded.js";

/** An element. Attributes: `on` holds listeners, null and false leave one out; children are nodes or texts. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, heard] of Object.entries(value)) made.addEventListener(event, heard);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Say a change to those who do not see it; several in a short time are said as one, the last. */
let saying;
export function announce(words) {
  clearTimeout(saying);
  saying = setTimeout(() => { document.getElementById("announcer").textContent = words; }, 400);
}

/** Replace a parent's children by one for each item, keeping the elements (and so the focus) of keys that are still there. */
export function keyed(parent, items, key, make, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const kept = items.map((item, index) => {
    const name = String(key(item, index));
    const child = old.get(name) ?? make(item, index);
    child.dataset.key = name;
    old.delete(name);
    update?.(child, item, index);
    return child;
  });
  for (const gone of old.values()) gone.remove();
  kept.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}

const LARGEST = 1 << 21; // characters of a request that is sent at all: of more the server would not read the end
const PAGE = Math.random().toString(36).slice(2);

/** One way to ask the engine: `ask(endpoint, request, heard)`. A newer question of the same endpoint takes an older one's place.
 *  Answers undefined when it was replaced or went wrong; what was refused stands in `place` until that endpoint's next good answer. */
export function engine(diagram, place) {
  const open = new Map();
  const line = element("p", { class: "problem", role: "alert", hidden: true });
  const busy = element("p", { class: "busy", role: "status" });
  place.append(line, busy);
  let refused = null; // the endpoint that said what stands there; null if it was nobody
  const say = (words, by = null) => { refused = by; line.hidden = !words; if (line.textContent !== words) line.textContent = words; };
  const good = (endpoint) => { if (refused === null || refused === endpoint) say(""); };

  /** The same in an exported site. */
  async function replayed(endpoint, request, heard, signal) {
    const answers = await recorded(diagram, endpoint, request).catch((problem) => { throw new Refused(problem.message); });
    if (signal.aborted) return undefined;
    if (heard) answers.forEach(heard);
    good(endpoint);
    return answers.at(-1);
  }

  return async function ask(endpoint, request, heard = null) {
    open.get(endpoint)?.abort();
    const abort = new AbortController();
    open.set(endpoint, abort);
    const waiting = setTimeout(() => { busy.textContent = "The engine is at work …"; }, 500);
    try {
      const body = JSON.stringify(request);
      if (recorded) return await replayed(endpoint, request, heard, abort.signal);
      if (body.length > LARGEST) throw new Refused("the text is far too long: shorten it");
      const answer = await fetch(`api/${diagram.name}/${endpoint}`, {
        method: "POST", signal: abort.signal, body,
        headers: { "Content-Type": "application/json", "X-Page": PAGE },
      });
      if (answer.status === 409) return undefined;
      if (!answer.ok) throw new Refused((await answer.json().catch(() => ({}))).error ?? `the server answered ${answer.status}`);
      const given = heard ? await lines(answer, heard) : await answer.json();
      good(endpoint);
      return given;
    } catch (problem) {
      if (problem.name === "AbortError") return undefined;
      if (problem instanceof Refused) say(sentence(problem.message), endpoint);
      else say("The server does not answer. Start it again with “firstlight diagrams”, then change something here.");
      return undefined;
    } finally {
      clearTimeout(waiting);
      if (open.get(endpoint) === abort) { open.delete(endpoint); if (!open.size) busy.textContent = ""; }
    }
  };
}

class Refused extends Error {}

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;

/** Lines of JSON as they come; the last one is handed back. */
async function lines(answer, heard) {
  let rest = "", last;
  const decoder = new TextDecoder();
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    rest += decoder.decode(value, { stream: !done });
    const whole = rest.split("\n");
    rest = whole.pop();
    for (const one of whole) {
      last = JSON.parse(one);
      if (last.error) throw new Refused(last.error);
      heard(last);
    }
    if (done) return last;
  }
}

let numbered = 0;
const next = () => `control-${(numbered += 1)}`;

/** Label, control, and what it is set to. */
function field(label, control, shown = null, hint = null) {
  control.id = next();
  const words = hint && element("span", { class: "hint", id: `${control.id}-hint` }, hint);
  if (hint) control.setAttribute("aria-describedby", words.id);
  return element("div", { class: "field" }, element("label", { for: control.id }, label), shown, control, words);
}

/** A slider; `read(value)` is how its value is said. Has .node, .value, .set(value). */
export function slider({ label, min, max, step, value, read = String, hint, changed }) {
  const input = element("input", { type: "range", min, max, step, value });
  const shown = element("output", { class: "value" });
  const tell = () => { shown.textContent = read(Number(input.value)); input.setAttribute("aria-valuetext", shown.textContent); };
  input.addEventListener("input", () => { tell(); changed(Number(input.value)); });
  tell();
  const node = field(label, input, shown, hint);
  shown.setAttribute("for", input.id);
  return { node, input, get value() { return Number(input.value); }, set(to) { input.value = to; tell(); } };
}

/** A whole number typed in; `changed` hears it as it stands, null where it is none. */
export function number({ label, min, max, value, hint, changed }) {
  const input = element("input", { type: "number", min, max, step: 1, value, inputmode: "numeric" });
  input.addEventListener("input", () => changed());
  const node = field(label, input, null, hint);
  return { node, input, get value() { return input.value === "" ? null : Number(input.value); } };
}

/** A choice of a few: [value, text] pairs. */
export function choice({ label, options, value, hint, changed }) {
  const input = element("select", {}, ...options.map(([name, text]) => element("option", { value: name, selected: name === value }, text)));
  input.addEventListener("change", () => changed(input.value));
  return { node: field(label, input, null, hint), input, get value() { return input.value; }, set(to) { input.value = to; } };
}

/** A switch. */
export function toggle({ label, value, hint, changed }) {
  const input = element("input", { type: "checkbox", role: "switch", checked: value });
  input.addEventListener("change", () => changed(input.checked));
  const node = field(label, input, null, hint);
  node.classList.add("switch");
  return { node, input, get value() { return input.checked; }, set(to) { input.checked = to; } };
}

/** A text to type; `changed` is called a moment after the last key. */
export function text({ label, value, rows = 2, hint, changed, wait = 120 }) {
  const input = element("textarea", { rows, spellcheck: "false", autocapitalize: "off", autocomplete: "off" });
  input.value = value;
  let timer;
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => changed(input.value), wait); });
  return { node: field(label, input, null, hint), input, get value() { return input.value; }, set(to) { input.value = to; } };
}

export function button(words, clicked, attributes = {}) {
  return element("button", { type: "button", ...attributes,
    on: { click: (event) => { if (event.currentTarget.getAttribute("aria-disabled") !== "true") clicked(event); } } }, words);
}

/** A button for each of a diagram's examples; `chosen(words)` hears its text. */
export const examples = (diagram, chosen) => element("div", { class: "row", role: "group", "aria-label": "Examples" },
  ...diagram.examples.map(([name, words]) => button(name, () => chosen(words), { class: "quiet" })));

/** Whether a button does anything now. One that does not keeps the focus: `disabled` would drop it from under the fingers. */
export function enable(made, on) {
  made.setAttribute("aria-disabled", !on);
}

/** A token's piece for the eye: spaces and line ends visible. Bytes that are no whole character come as \xNN from the server. */
export function visible(piece) {
  return piece.replaceAll(" ", "·").replaceAll("\n", "⏎").replaceAll("\t", "→").replaceAll("\r", "␍");
}

export const percent = (p) => (p === 0 ? "0 %" : p < 0.0001 ? "< 0.01 %" : `${(100 * p).toFixed(p < 0.01 ? 2 : 1)} %`);
export const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
