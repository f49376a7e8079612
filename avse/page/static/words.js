// @ts-check
/** Small things that every part of the page says or draws: times, names, colours, elements. */

/** @typedef {import("./api.js").Person} Person */

export const COLOURS = 8;

/** How often peaks and voice activity are given, per second. */
export const PER_SECOND = 25;

/**
 * 75.3 -> "1:15", or "1:15.3" with tenths.
 * @param {number} seconds
 * @param {boolean} [tenths]
 */
export function clock(seconds, tenths = false) {
  const units = Math.max(0, tenths ? Math.floor(seconds * 10 + 1e-6) / 10 : Math.floor(seconds + 1e-6));
  const hours = Math.floor(units / 3600);
  const minutes = Math.floor((units % 3600) / 60);
  const rest = tenths ? (units % 60).toFixed(1).padStart(4, "0") : String(units % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** @param {number} seconds a length of time in words: "40 s", "12 min", "2 h 5 min" */
export function lengthInWords(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number} size in bytes */
export function sizeInWords(size) {
  if (size < 1e6) return `${Math.max(1, Math.round(size / 1e3))} kB`;
  return size < 1e9 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(2)} GB`;
}

/** @param {Person} person */
export function nameOf(person) {
  return person.name ?? `Person ${person.number}`;
}

/** @param {string} stem @param {Person[]} people */
export function nameOfStem(stem, people) {
  if (stem === "offscreen") return "Off-screen speech";
  if (stem === "rest") return "Everything else";
  const person = people.find((one) => String(one.id) === stem);
  return person ? nameOf(person) : stem;
}

/** @param {number | null} confidence how sure the lips and the voice go together, 0 to 1 */
export function confidenceInWords(confidence) {
  if (confidence === null) return "not known yet";
  if (confidence >= 0.8) return "good match";
  return confidence >= 0.5 ? "fair match" : "weak match";
}

/** @param {number} number which of the page's colours a person has: "1" to "8", as data-colour */
export function colourOf(number) {
  return String(((number - 1) % COLOURS) + 1);
}

/**
 * An element with properties (or attributes, where it has no such property) and children.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) Reflect.set(element, key, value);
    else element.setAttribute(key, String(value));
  }
  element.append(...children);
  return element;
}

/**
 * The element of the page with this id.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function part(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return element;
}

/**
 * A badge with a person's number in the person's colour.
 * @param {number} number
 */
export function badge(number) {
  return el("span", { className: "badge", "data-colour": colourOf(number) }, String(number));
}
