// @ts-check
/** What each person says, as a list: click on a sentence to go there, search, follow the playhead. */

import { badge, clock, el, nameOf, part } from "./words.js";

/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./api.js").Person} Person */
/** @typedef {import("./api.js").Sentence} Sentence */
/** @typedef {{start: number, stop: number, text: string, row: HTMLLIElement, button: HTMLButtonElement, place: HTMLElement}} Line */

const HANDS_OFF_MS = 4000; // after somebody scrolled, the list stays where it is

export class Transcript {
  /**
   * @param {Recording} recording @param {import("./player.js").Player} player
   * @param {(time: number) => void} seek
   */
  constructor(recording, player, seek) {
    this.recording = recording;
    this.player = player;
    this.seek = seek;
    this.section = part("transcript", HTMLElement);
    this.list = part("transcript-list", HTMLOListElement);
    this.search = part("transcript-search", HTMLInputElement);
    this.found = part("transcript-found", HTMLOutputElement);
    this.about = part("transcript-about", HTMLElement);
    /** @type {Map<string, Line>} */
    this.known = new Map();
    /** @type {Line[]} */
    this.lines = [];
    this.time = -1;
    this.touchedAt = -Infinity;
    for (const name of ["state", "words"]) recording.addEventListener(name, () => this.#write());
    this.search.addEventListener("input", () => this.#filter());
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#goOn(event.shiftKey);
    });
    for (const name of ["wheel", "pointerdown", "touchmove"]) {
      this.list.addEventListener(name, () => (this.touchedAt = performance.now()), { passive: true });
    }
    this.#write();
  }

  #write() {
    const { people, transcriber } = this.recording.state;
    this.section.hidden = !transcriber && this.lines.length === 0;
    const before = this.known;
    this.known = new Map();
    for (const person of people) {
      for (const sentence of this.recording.words[String(person.id)] ?? []) {
        const key = JSON.stringify([person.id, nameOf(person), sentence]);
        this.known.set(key, before.get(key) ?? this.#line(person, sentence));
      }
    }
    this.lines = [...this.known.values()].sort((a, b) => a.start - b.start);
    // What is there stays where it is, with the focus.
    let at = this.list.firstElementChild;
    for (const { row } of this.lines) {
      if (row === at) at = at.nextElementSibling;
      else this.list.insertBefore(row, at);
    }
    while (at) {
      const next = at.nextElementSibling;
      at.remove();
      at = next;
    }
    this.about.hidden = this.lines.length > 0;
    this.about.textContent = `${transcriber ?? "The recogniser"} has no words yet. Words appear after voices are separated.`;
    this.time = -1;
    this.#filter();
  }

  /** @param {Person} person @param {Sentence} sentence @returns {Line} */
  #line(person, { start, stop, text }) {
    const place = el("span", { className: "text", dir: "auto" }, text);
    const sign = badge(person.number);
    sign.title = nameOf(person);
    const button = el("button", { type: "button", className: "sentence", "aria-label": `${nameOf(person)} at ${clock(start)}: ${text}` },
      sign, el("span", { className: "at" }, clock(start)), place);
    button.addEventListener("click", () => this.seek(start));
    return { start, stop, text, row: el("li", {}, button), button, place };
  }

  /** Show the sentences with what is searched for, and mark it. */
  #filter() {
    const wanted = this.search.value.trim().toLowerCase();
    let count = 0;
    for (const { row, place, text } of this.lines) {
      const at = wanted ? text.toLowerCase().indexOf(wanted) : -1;
      row.hidden = wanted !== "" && at < 0;
      if (!row.hidden) count++;
      if (at < 0) {
        if (place.childElementCount > 0) place.replaceChildren(text);
      } else {
        const end = at + wanted.length;
        place.replaceChildren(text.slice(0, at), el("mark", {}, text.slice(at, end)), text.slice(end));
      }
    }
    this.found.textContent = wanted ? `${count} of ${this.lines.length}` : "";
  }

  /** Go to the next sentence that is shown, or the one before; round from the end. @param {boolean} back */
  #goOn(back) {
    const shown = this.lines.filter(({ row }) => !row.hidden);
    const { time } = this.player;
    const next = back ? shown.findLast(({ start }) => start < time - 0.1) ?? shown.at(-1)
      : shown.find(({ start }) => start > time + 0.1) ?? shown[0];
    if (next) this.seek(next.start);
  }

  /** To be called for each frame that is drawn: mark what is said now. */
  follow() {
    const { time } = this.player;
    if (this.section.hidden || Math.abs(time - this.time) < 0.05) return;
    this.time = time;
    /** @type {Line | null} */
    let first = null;
    for (const line of this.lines) {
      const now = line.start <= time && time < line.stop;
      if (now !== line.button.hasAttribute("aria-current")) {
        if (now) line.button.setAttribute("aria-current", "true");
        else line.button.removeAttribute("aria-current");
      }
      if (now && !line.row.hidden) first ??= line;
    }
    if (!first || performance.now() - this.touchedAt < HANDS_OFF_MS) return;
    const { offsetTop, offsetHeight } = first.row;
    const { scrollTop, clientHeight } = this.list;
    if (offsetTop < scrollTop || offsetTop + offsetHeight > scrollTop + clientHeight) {
      this.list.scrollTop = offsetTop - clientHeight / 3;
    }
  }
}
