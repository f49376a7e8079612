// @ts-check
/** The mixer: a strip for each person, for off-screen speech and for everything else. */

import { HIGHEST_DB, LOWEST_DB } from "./mix.js";
import { badge, colourOf, confidenceInWords, el, lengthInWords, nameOf, nameOfStem } from "./words.js";

/** @typedef {import("./api.js").Person} Person */
/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./mix.js").Mix} Mix */
/** @typedef {import("./player.js").Player} Player */
/** @typedef {import("./correct.js").Corrections} Corrections */
/**
 * @typedef {{root: HTMLElement, solo: HTMLButtonElement, mute: HTMLButtonElement,
 *   fader: HTMLInputElement, value: HTMLOutputElement, level: HTMLElement, shown: number,
 *   about: HTMLElement, name: HTMLElement, thumbnail: HTMLImageElement | null}} Strip
 */

const METER_FLOOR_DB = -60;
const METER_FALL = 0.06; // fall of the meter per drawn frame

export class Desk {
  /**
   * @param {HTMLElement} list @param {Recording} recording @param {Mix} mix @param {Player} player
   * @param {Corrections} corrections @param {(stem: string) => void} soloChanged
   */
  constructor(list, recording, mix, player, corrections, soloChanged) {
    this.list = list;
    this.recording = recording;
    this.mix = mix;
    this.player = player;
    this.corrections = corrections;
    this.soloChanged = soloChanged;
    /** @type {Map<string, Strip>} */
    this.strips = new Map();
    recording.addEventListener("state", () => this.show());
    mix.addEventListener("change", () => this.#showMix());
    this.show();
  }

  /** @param {string} stem */
  #person(stem) {
    return this.recording.state.people.find((person) => String(person.id) === stem) ?? null;
  }

  /** Stem of the focused strip. */
  get focused() {
    const strip = document.activeElement?.closest("[data-stem]");
    return strip instanceof HTMLElement ? (strip.dataset.stem ?? null) : null;
  }

  /** Update the strips to the state. */
  show() {
    const { stems, people } = this.recording.state;
    for (const [stem, strip] of this.strips) {
      if (stems.includes(stem)) continue;
      strip.root.remove();
      this.strips.delete(stem);
    }
    stems.forEach((stem, i) => {
      let strip = this.strips.get(stem);
      if (!strip) {
        strip = this.#build(stem);
        this.strips.set(stem, strip);
      }
      if (this.list.children[i] !== strip.root) this.list.insertBefore(strip.root, this.list.children[i] ?? null);
      const person = this.#person(stem);
      if (person) this.#describe(strip, person);
      else strip.about.textContent = stem === "offscreen" ? "not in the picture" : "music, noise";
      const name = nameOfStem(stem, people);
      strip.solo.setAttribute("aria-label", `Solo ${name}`);
      strip.mute.setAttribute("aria-label", `Mute ${name}`);
      strip.fader.setAttribute("aria-label", `Gain of ${name}`);
      strip.root.setAttribute("aria-label", name);
    });
    this.#showMix();
  }

  /** @param {string} stem @returns {Strip} */
  #build(stem) {
    const person = this.#person(stem);
    const toggle = (/** @type {string} */ label, /** @type {string} */ title) =>
      el("button", { type: "button", className: "toggle", title, "aria-pressed": "false" }, label);
    const solo = toggle("Solo", "Hear only this voice and other soloed voices");
    const mute = toggle("Mute", "Silence this voice");
    solo.addEventListener("click", () => {
      this.mix.toggleSolo(stem);
      this.soloChanged(stem);
    });
    mute.addEventListener("click", () => this.mix.toggleMute(stem));
    const fader = el("input", { type: "range", className: "fader", min: String(LOWEST_DB),
      max: String(HIGHEST_DB), step: "0.5", value: "0", title: "Double-click to reset to 0 dB" });
    const value = el("output", { className: "decibels" });
    fader.addEventListener("input", () => this.mix.setGain(stem, snap(Number(fader.value))));
    fader.addEventListener("dblclick", () => this.mix.setGain(stem, 0));
    const level = el("span", { className: "level" });
    const about = el("p", { className: "about" });
    const name = el("div", { className: "name" });
    const side = el("div", { className: "side" });
    /** @type {HTMLImageElement | null} */
    let thumbnail = null;
    if (person) {
      const image = el("img", { className: "thumbnail", alt: "", width: 44, height: 44 });
      image.addEventListener("error", () => image.classList.add("missing"));
      image.addEventListener("load", () => image.classList.remove("missing"));
      thumbnail = image;
      side.append(image, badge(person.number));
    } else {
      side.append(el("span", { className: `sign ${stem}`, "aria-hidden": "true" }));
      name.textContent = nameOfStem(stem, []);
    }
    const buttons = el("div", { className: "buttons" }, solo, mute);
    if (person) buttons.append(this.corrections.menuButton(person.id));
    const root = el("li", { className: "strip", "data-stem": stem }, side,
      name, buttons, about,
      el("div", { className: "slide" }, fader, el("div", { className: "meter", "aria-hidden": "true" }, level)), value);
    return { root, solo, mute, fader, value, level, shown: 0, about, name, thumbnail };
  }

  /** @param {Strip} strip @param {Person} person */
  #describe(strip, person) {
    strip.root.dataset.colour = colourOf(person.number);
    strip.root.querySelector(".badge")?.replaceWith(badge(person.number));
    if (!strip.name.querySelector("input")) {
      strip.name.replaceChildren(this.corrections.nameButton(person, strip.name));
    }
    const share = Math.round(100 * (person.confidence ?? 0));
    const words = confidenceInWords(person.confidence);
    const bar = el("span", { className: "confidence", "aria-hidden": "true" }, el("span", {}));
    if (bar.firstElementChild instanceof HTMLElement) bar.firstElementChild.style.width = `${share}%`;
    strip.about.replaceChildren(...(person.still ? ["still picture"] : [bar, words]));
    const sure = person.confidence === null ? "not known yet" : `${words} (${share} %)`;
    strip.about.title = `Agreement of lips and voice: ${sure}. In sight for ${lengthInWords(person.seen_s)}, ` +
      `speaks for ${lengthInWords(person.speaking_s)} so far.`;
    const source = `/api/people/${person.id}/face.jpg?v=${this.recording.state.revision}`;
    if (strip.thumbnail && strip.thumbnail.getAttribute("src") !== source) strip.thumbnail.src = source;
  }

  #showMix() {
    for (const [stem, strip] of this.strips) {
      const { mix } = this;
      strip.solo.setAttribute("aria-pressed", String(mix.isSoloed(stem)));
      strip.mute.setAttribute("aria-pressed", String(mix.isMuted(stem)));
      strip.root.classList.toggle("silent", mix.factor(stem) === 0);
      const gainDb = mix.gainDb(stem);
      const words = gainDb <= LOWEST_DB ? "−∞" : `${gainDb > 0 ? "+" : ""}${gainDb.toFixed(1).replace("-", "−")}`;
      strip.fader.value = String(gainDb);
      strip.value.textContent = words;
      strip.fader.setAttribute("aria-valuetext", gainDb <= LOWEST_DB ? "silent" : `${gainDb.toFixed(1)} dB`);
    }
  }

  /** Move the meters. To be called for each frame that is drawn. */
  follow() {
    for (const [stem, strip] of this.strips) {
      const meanSquare = this.player.running ? (this.player.levels.get(stem) ?? 0) : 0;
      const height = Math.max(0, 1 - (10 * Math.log10(meanSquare + 1e-12)) / METER_FLOOR_DB);
      strip.shown = Math.max(height, strip.shown - METER_FALL);
      strip.level.style.transform = `scaleX(${Math.min(1, strip.shown).toFixed(3)})`;
    }
    this.player.levels.clear();
  }
}

/** Near 0 dB it is 0 dB. @param {number} gainDb */
const snap = (gainDb) => (Math.abs(gainDb) < 0.75 ? 0 : gainDb);
