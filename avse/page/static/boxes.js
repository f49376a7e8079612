// @ts-check
/** Buttons that follow the faces, and drawing a box around a missed face. */

import { colourOf, el, nameOf } from "./words.js";

/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {import("./mix.js").Mix} Mix */
/** @typedef {[number, number, number, number]} Box x, y, width, height as fractions of the picture */

const SMALLEST_PX = 24; // smallest side of a click target
const KEY_STEP = 0.02;

export class Boxes {
  /**
   * @param {HTMLElement} layer @param {Recording} recording @param {Picture} picture @param {Mix} mix
   * @param {(stem: string) => void} chosen a face was clicked
   */
  constructor(layer, recording, picture, mix, chosen) {
    this.layer = layer;
    this.recording = recording;
    this.picture = picture;
    this.mix = mix;
    this.chosen = chosen;
    /** @type {Map<number, {button: HTMLButtonElement, label: HTMLElement, state: string}>} */
    this.buttons = new Map();
    this.area = { x: 0, y: 0, width: 0, height: 0 };
    new ResizeObserver(() => this.measure()).observe(layer);
    picture.video.addEventListener("resize", () => this.measure());
    recording.addEventListener("state", () => this.#people());
    this.measure();
    this.#people();
  }

  /** Position of the picture in its frame, whose aspect ratio may differ. */
  measure() {
    const { video } = this.picture;
    const { file } = this.recording;
    const [width, height] = [video.videoWidth || file.width, video.videoHeight || file.height];
    const { clientWidth, clientHeight } = this.layer;
    const scale = Math.min(clientWidth / width, clientHeight / height);
    this.area = {
      x: (clientWidth - width * scale) / 2,
      y: (clientHeight - height * scale) / 2,
      width: width * scale,
      height: height * scale,
    };
  }

  #people() {
    const { people } = this.recording.state;
    for (const [id, { button }] of this.buttons) {
      if (people.some((person) => person.id === id)) continue;
      button.remove();
      this.buttons.delete(id);
    }
    for (const person of people) {
      let entry = this.buttons.get(person.id);
      if (!entry) {
        const label = el("span", { className: "face-label" });
        const button = el("button", { type: "button", className: "face", hidden: true }, label);
        button.addEventListener("click", () => this.chosen(String(person.id)));
        this.layer.append(button);
        entry = { button, label, state: "" };
        this.buttons.set(person.id, entry);
      }
      entry.button.dataset.colour = colourOf(person.number);
      entry.button.dataset.person = String(person.id);
      entry.state = "";
    }
  }

  /** Update the buttons; called for each drawn frame. */
  follow() {
    const { time } = this.picture;
    const soloed = this.mix.soloed;
    const sound = time + (this.picture.trial ?? this.recording.late);
    const pending = this.recording.voicesVersion(this.recording.chunkAt(sound)) === null;
    for (const person of this.recording.state.people) {
      const entry = this.buttons.get(person.id);
      if (!entry) continue;
      const box = this.recording.faceAt(person.id, time);
      if (entry.button.hidden !== !box) entry.button.hidden = !box;
      if (!box) continue;
      this.#place(entry.button, box);
      const stem = String(person.id);
      const solo = soloed.includes(stem);
      const speaks = (this.recording.speakingAt(stem, sound) ?? 0) > 0.5;
      const state = `${solo} ${soloed.length > 0} ${this.mix.isMuted(stem)} ${pending} ${speaks}`;
      if (state === entry.state) continue;
      entry.state = state;
      const name = nameOf(person);
      const { button, label } = entry;
      button.classList.toggle("solo", solo);
      button.classList.toggle("dim", (soloed.length > 0 && !solo) || this.mix.isMuted(stem));
      button.classList.toggle("speaks", speaks);
      button.setAttribute("aria-pressed", String(solo));
      button.setAttribute("aria-label", solo ? `Hear all, not only ${name}` : `Hear only ${name}`);
      button.title = solo ? "Click again to hear all" : `Click to hear only ${name}`;
      const number = el("b", {}, String(person.number));
      label.replaceChildren(number, ...(person.name ? [el("span", {}, person.name)] : []));
      if (solo && pending) label.append(el("span", {}, "finding this voice …"));
    }
  }

  /** @param {HTMLElement} element @param {Box} box */
  #place(element, [x, y, width, height]) {
    const { area } = this;
    const w = Math.max(SMALLEST_PX, width * area.width);
    const h = Math.max(SMALLEST_PX, height * area.height);
    const left = area.x + (x + width / 2) * area.width - w / 2;
    const top = area.y + (y + height / 2) * area.height - h / 2;
    element.style.transform = `translate(${left.toFixed(1)}px, ${top.toFixed(1)}px)`;
    element.style.width = `${w.toFixed(1)}px`;
    element.style.height = `${h.toFixed(1)}px`;
    element.classList.toggle("low", top < 26);
  }

  /**
   * Let a box be drawn with the pointer, or moved by the arrow keys (with Shift: its size).
   * @returns {Promise<Box | null>} null: cancelled
   */
  draw() {
    return new Promise((resolve) => {
      const frame = el("div", { className: "drawn" });
      const help = el("p", {}, "Draw a box around the face. Arrow keys move the box, Shift and arrow keys " +
        "change its size, Enter confirms it. Esc cancels.");
      const layer = el("div", { className: "drawing", tabIndex: 0, role: "application",
        "aria-label": "Box around a face" }, frame, help);
      /** @type {Box} */
      let box = [0.4, 0.3, 0.2, 0.3];
      /** @type {[number, number] | null} */
      let corner = null;
      const finish = (/** @type {Box | null} */ result) => {
        layer.remove();
        resolve(result);
      };
      const at = (/** @type {PointerEvent} */ event) => {
        const bounds = layer.getBoundingClientRect();
        const x = (event.clientX - bounds.left - this.area.x) / this.area.width;
        const y = (event.clientY - bounds.top - this.area.y) / this.area.height;
        return /** @type {[number, number]} */ ([inside(x), inside(y)]);
      };
      layer.addEventListener("pointerdown", (event) => {
        corner = at(event);
        layer.setPointerCapture(event.pointerId);
      });
      layer.addEventListener("pointermove", (event) => {
        if (!corner) return;
        const [x, y] = at(event);
        box = [Math.min(x, corner[0]), Math.min(y, corner[1]), Math.abs(x - corner[0]), Math.abs(y - corner[1])];
        this.#place(frame, box);
      });
      layer.addEventListener("pointerup", () => {
        const drawn = corner !== null && box[2] > 0.01 && box[3] > 0.01;
        corner = null;
        if (drawn) finish(box);
      });
      layer.addEventListener("keydown", (event) => {
        event.stopPropagation();
        if (event.key === "Escape") return finish(null);
        if (event.key === "Enter") return finish(box);
        const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!step) return;
        event.preventDefault();
        const [dx, dy] = step.map((value) => value * KEY_STEP);
        const [x, y, w, h] = box;
        if (event.shiftKey) box = [x, y, Math.min(Math.max(0.02, w + dx), 1 - x), Math.min(Math.max(0.02, h + dy), 1 - y)];
        else box = [Math.min(inside(x + dx), 1 - w), Math.min(inside(y + dy), 1 - h), w, h];
        this.#place(frame, box);
      });
      this.layer.append(layer);
      this.#place(frame, box);
      layer.focus();
    });
  }
}

/** @param {number} value */
const inside = (value) => Math.min(1, Math.max(0, value));
