// @ts-check
/**
 * The timeline: a lane for each stem, with when a person is in sight, when they speak, and the
 * waveform. Scroll, zoom, click to go there. The same as text stands beside it.
 */

import { Lanes } from "./lanes.js";
import { badge, clock, el, nameOf, nameOfStem, part } from "./words.js";

/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./player.js").Player} Player */
/** @typedef {import("./mix.js").Mix} Mix */

const FIRST_SPAN_S = 60;
const SHORTEST_SPAN_S = 1;
const ROWS_AS_TEXT = 300;
const REDRAW_MS = 250;

export class Timeline {
  /**
   * @param {Recording} recording @param {Player} player @param {Mix} mix
   * @param {(time: number) => void} seek
   */
  constructor(recording, player, mix, seek) {
    this.recording = recording;
    this.player = player;
    this.mix = mix;
    this.seek = seek;
    this.start = 0;
    this.span = Math.min(recording.file.duration, FIRST_SPAN_S);
    this.area = part("lanes", HTMLElement);
    this.canvas = part("lanes-canvas", HTMLCanvasElement);
    this.overview = part("overview", HTMLCanvasElement);
    this.head = part("playhead", HTMLElement);
    this.labels = part("lane-labels", HTMLElement);
    this.text = part("as-text", HTMLDialogElement);
    this.lanes = new Lanes(this.canvas, this.overview, recording, mix);
    this.dirty = true; // to be drawn with the next frame
    this.stale = false; // to be drawn soon
    this.drawnAt = 0;
    this.spoken = "";
    /** @type {Map<number, number>} */
    this.pointers = new Map();
    this.touchedAt = -Infinity;
    const soil = () => (this.dirty = true);
    for (const name of ["state", "faces", "voices", "words"]) recording.addEventListener(name, () => (this.stale = true));
    mix.addEventListener("change", soil);
    recording.addEventListener("state", () => this.#label());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.lanes.restyle();
      soil();
    });
    new ResizeObserver(soil).observe(this.area);
    this.#connect();
    this.#label();
  }

  #label() {
    const { stems, people } = this.recording.state;
    this.labels.replaceChildren(...stems.map((stem) => {
      const person = people.find((one) => String(one.id) === stem);
      const sign = person ? badge(person.number) : el("span", { className: `sign ${stem}`, "aria-hidden": "true" });
      return el("li", { title: nameOfStem(stem, people) }, sign, el("span", { className: "lane-name" }, nameOfStem(stem, people)));
    }));
    this.dirty = true;
  }

  get duration() {
    return this.recording.file.duration;
  }

  /** Show this stretch. @param {number} start @param {number} span */
  show(start, span) {
    this.span = Math.min(this.duration, Math.max(Math.min(SHORTEST_SPAN_S, this.duration), span));
    this.start = Math.min(Math.max(0, start), this.duration - this.span);
    this.dirty = true;
  }

  /** @param {number} factor below 1: closer @param {number} [time] that stays where it is */
  zoom(factor, time = this.player.time) {
    this.touchedAt = performance.now();
    if (time < this.start || time > this.start + this.span) time = this.start + this.span / 2;
    const before = this.span;
    const share = (time - this.start) / before;
    this.show(this.start, before * factor);
    this.show(time - share * this.span, this.span);
  }

  /** @param {number} x in pixels of the window */
  #timeAt(x) {
    const bounds = this.area.getBoundingClientRect();
    return this.start + ((x - bounds.left) / Math.max(1, bounds.width)) * this.span;
  }

  #connect() {
    this.area.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.touchedAt = performance.now();
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const pixels = event.deltaX || event.deltaY;
        this.show(this.start + (pixels / Math.max(1, this.area.clientWidth)) * this.span, this.span);
      } else this.zoom(Math.exp(Math.min(40, Math.max(-40, event.deltaY)) * 0.008), this.#timeAt(event.clientX));
    }, { passive: false });
    let moved = 0;
    this.area.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.area.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, event.clientX);
      if (this.pointers.size === 1) moved = 0;
    });
    this.area.addEventListener("pointermove", (event) => {
      const before = this.pointers.get(event.pointerId);
      if (before === undefined) return;
      this.touchedAt = performance.now();
      moved += Math.abs(event.clientX - before);
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other !== undefined) {
        const factor = Math.abs(before - other) / Math.max(1, Math.abs(event.clientX - other));
        this.zoom(factor, this.#timeAt((event.clientX + other) / 2));
        moved = Infinity;
      } else if (moved > 4) {
        this.show(this.start - ((event.clientX - before) / Math.max(1, this.area.clientWidth)) * this.span, this.span);
      }
      this.pointers.set(event.pointerId, event.clientX);
    });
    const up = (/** @type {PointerEvent} */ event) => {
      if (!this.pointers.delete(event.pointerId)) return;
      if (event.type === "pointerup" && moved <= 4) this.seek(this.#timeAt(event.clientX));
    };
    this.area.addEventListener("pointerup", up);
    this.area.addEventListener("pointercancel", up);
    this.area.addEventListener("keydown", (event) => {
      if (event.key === "Home") this.seek(0);
      else if (event.key === "End") this.seek(this.duration);
      else return;
      event.preventDefault();
    });
    this.overview.addEventListener("pointerdown", (event) => this.overview.setPointerCapture(event.pointerId));
    for (const name of /** @type {const} */ (["pointerdown", "pointermove"])) {
      this.overview.addEventListener(name, (event) => {
        if (event.buttons !== 1) return;
        this.touchedAt = performance.now();
        const share = event.offsetX / Math.max(1, this.overview.clientWidth);
        this.show(share * this.duration - this.span / 2, this.span);
      });
    }
    part("zoom-in", HTMLButtonElement).addEventListener("click", () => this.zoom(0.5));
    part("zoom-out", HTMLButtonElement).addEventListener("click", () => this.zoom(2));
    part("zoom-all", HTMLButtonElement).addEventListener("click", () => this.show(0, this.duration));
    part("as-text-open", HTMLButtonElement).addEventListener("click", () => {
      this.#writeText();
      this.text.showModal();
    });
  }

  /** To be called for each frame that is drawn. */
  follow() {
    const { time } = this.player;
    const idle = performance.now() - this.touchedAt > 3000 && this.pointers.size === 0;
    if (this.player.running && idle && (time > this.start + this.span || time < this.start)) {
      this.show(time - 0.05 * this.span, this.span);
    }
    if (this.dirty || (this.stale && performance.now() - this.drawnAt > REDRAW_MS)) {
      this.dirty = this.stale = false;
      this.drawnAt = performance.now();
      this.lanes.draw(this.start, this.span);
    }
    const share = (time - this.start) / this.span;
    this.head.hidden = share < 0 || share > 1;
    this.head.style.transform = `translateX(${(share * this.area.clientWidth).toFixed(1)}px)`;
    this.#speak(time);
  }

  /** Reveal a time to which somebody went. @param {number} time */
  reveal(time) {
    if (time < this.start || time > this.start + this.span) this.show(time - this.span / 4, this.span);
  }

  /** @param {number} time */
  #speak(time) {
    const speakers = this.recording.state.people.filter(
      ({ id }) => (this.recording.speakingAt(String(id), time) ?? 0) > 0.5,
    );
    const who = speakers.length > 0 ? `. ${speakers.map(nameOf).join(" and ")} speak${speakers.length > 1 ? "" : "s"}` : "";
    const spoken = `${clock(time)} of ${clock(this.duration)}${who}`;
    if (spoken === this.spoken) return;
    this.spoken = spoken;
    this.area.setAttribute("aria-valuenow", time.toFixed(0));
    this.area.setAttribute("aria-valuemax", this.duration.toFixed(0));
    this.area.setAttribute("aria-valuetext", spoken);
  }

  /** The lanes in words: when each person is in sight and speaks, each a way to go there. */
  #writeText() {
    const place = part("as-text-list", HTMLElement);
    place.replaceChildren();
    for (const person of this.recording.state.people) {
      const stem = String(person.id);
      for (const [label, stretches] of /** @type {[string, [number, number][]][]} */ ([
        ["in sight", this.lanes.inSight(person.id)],
        ["speaks", this.lanes.speaking(stem)],
        ["unsure whose voice it is", this.lanes.unsure(stem)],
      ])) {
        if (stretches.length === 0) continue;
        const list = el("ul", {}, ...stretches.slice(0, ROWS_AS_TEXT).map(([from, to]) => {
          const go = el("button", { type: "button" }, `${clock(from, true)} – ${clock(to, true)}`);
          go.addEventListener("click", () => {
            this.text.close();
            this.seek(from);
          });
          return el("li", {}, go);
        }));
        place.append(el("h3", {}, `${nameOf(person)} ${label}`), list);
        if (stretches.length > ROWS_AS_TEXT) place.append(el("p", {}, `and ${stretches.length - ROWS_AS_TEXT} more`));
      }
      const said = this.recording.words[stem] ?? [];
      if (said.length === 0) continue;
      place.append(el("h3", {}, `${nameOf(person)} says`), el("ul", { className: "says" }, ...said.map(({ start, text }) => {
        const go = el("button", { type: "button" }, `${clock(start, true)} `, el("span", { dir: "auto" }, text));
        go.addEventListener("click", () => {
          this.text.close();
          this.seek(start);
        });
        return el("li", {}, go);
      })));
    }
    if (!place.hasChildNodes()) place.append(el("p", {}, "There are no results yet. Close this and open it again later."));
  }
}
