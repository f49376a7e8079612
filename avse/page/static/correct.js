// @ts-check
/** Corrections: names, merged people, false people, missed faces, A/V offset, undo. */

import { post } from "./api.js";
import { badge, el, nameOf, part } from "./words.js";

/** @typedef {import("./api.js").Person} Person */
/** @typedef {import("./api.js").State} State */
/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {import("./notices.js").Notices} Notices */

const OFFSET_WAIT_MS = 300;

export class Corrections {
  /**
   * @param {Recording} recording @param {Notices} notices
   * @param {(state: State, askedAt: number) => void} take what the server answers
   */
  constructor(recording, notices, take) {
    this.recording = recording;
    this.take = take;
    this.notices = notices;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.undoButton = part("undo", HTMLButtonElement);
    this.undoButton.addEventListener("click", () => void this.undo());
    recording.addEventListener("state", () => this.#showUndo());
    this.#showUndo();
  }

  #showUndo() {
    this.undoButton.disabled = !this.recording.state.can_undo;
  }

  /**
   * @param {string} path @param {unknown} body
   * @param {string} [done] what to say when it is done, with a way back
   */
  async #post(path, body, done) {
    const askedAt = performance.now();
    try {
      const state = await post(path, body);
      if (state) this.take(/** @type {State} */ (state), askedAt);
      if (done) {
        const action = { label: "Undo", run: () => void this.undo() };
        this.notices.say(done, { key: "corrected", seconds: 10, action });
      }
    } catch (error) {
      this.notices.problem(error);
    }
  }

  async undo() {
    if (!this.recording.state.can_undo) return;
    this.notices.remove("corrected");
    await this.#post("/api/undo", {});
  }

  /**
   * The name, as a button that becomes a field.
   * @param {Person} person @param {HTMLElement} place in which both are shown
   */
  nameButton(person, place) {
    const button = el("button", { type: "button", className: "rename", title: "Click to rename" }, nameOf(person));
    button.setAttribute("aria-label", `Rename ${nameOf(person)}`);
    button.addEventListener("click", () => this.#rename(person, place));
    return button;
  }

  /** @param {Person} person @param {HTMLElement} place */
  #rename(person, place) {
    const field = el("input", { type: "text", value: person.name ?? "", maxLength: 80,
      placeholder: `Person ${person.number}`, "aria-label": "Name", autocomplete: "off", spellcheck: false });
    let closed = false;
    const close = (/** @type {boolean} */ keep, focus = true) => {
      if (closed) return;
      closed = true;
      const name = field.value.trim() || null;
      const button = this.nameButton(person, place);
      place.replaceChildren(button);
      if (focus) button.focus();
      if (keep && name !== person.name) void this.#post(`/api/people/${person.id}`, { name });
    };
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault(); // the new button gets the focus; the key must not press it
      close(event.key === "Enter");
    });
    field.addEventListener("blur", () => close(true, false));
    place.replaceChildren(field);
    field.focus();
    field.select();
  }

  /** @param {number} id @returns {HTMLButtonElement} that opens the menu of a person */
  menuButton(id) {
    const button = el("button", { type: "button", className: "plain more", title: "Correct",
      "aria-haspopup": "menu", "aria-label": "Correct this person" }, "⋯");
    button.addEventListener("click", () => {
      const person = this.recording.state.people.find((one) => one.id === id);
      if (person) this.#openMenu(person, button);
    });
    return button;
  }

  /** @param {Person} person @param {HTMLButtonElement} button */
  #openMenu(person, button) {
    document.querySelector(".menu")?.remove();
    const alone = this.recording.state.people.length < 2;
    const place = button.closest(".strip")?.querySelector(".name");
    /** @type {[string, () => void, boolean][]} */
    const entries = [
      ["Rename", () => place instanceof HTMLElement && this.#rename(person, place), false],
      ["Same person as …", () => this.#merge(person), alone],
      ["Not a person", () => this.#remove(person), false],
    ];
    const menu = el("div", { className: "menu", role: "menu", "aria-label": `Correct ${nameOf(person)}` });
    const close = (focus = true) => {
      menu.remove();
      document.removeEventListener("pointerdown", outside, true);
      if (focus) button.focus();
    };
    const outside = (/** @type {Event} */ event) => {
      if (!(event.target instanceof Node) || !menu.contains(event.target)) close(false);
    };
    for (const [label, run, disabled] of entries) {
      const item = el("button", { type: "button", role: "menuitem", disabled }, label);
      item.addEventListener("click", () => {
        close();
        run();
      });
      menu.append(item);
    }
    menu.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape" || event.key === "Tab") close();
      const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!move) return;
      event.preventDefault();
      const items = [...menu.querySelectorAll("button:enabled")];
      const next = items[(items.indexOf(/** @type {Element} */ (document.activeElement)) + move + items.length) % items.length];
      if (next instanceof HTMLElement) next.focus();
    });
    document.addEventListener("pointerdown", outside, true);
    button.parentElement?.append(menu);
    menu.querySelector("button")?.focus();
  }

  /** @param {Person} person */
  #remove(person) {
    void this.#post(`/api/people/${person.id}/remove`, {}, `${nameOf(person)} was removed from the list.`);
  }

  /** @param {Person} person */
  #merge(person) {
    const dialog = part("merge", HTMLDialogElement);
    const others = this.recording.state.people.filter((one) => one.id !== person.id);
    part("merge-who", HTMLElement).textContent = `${nameOf(person)} is the same person as:`;
    const list = part("merge-list", HTMLElement);
    list.replaceChildren(...others.map((other, i) => {
      const radio = el("input", { type: "radio", name: "same", value: String(other.id), checked: i === 0 });
      const image = el("img", { className: "thumbnail", alt: "", width: 44, height: 44,
        src: `/api/people/${other.id}/face.jpg?v=${this.recording.state.revision}` });
      return el("label", { className: "choice" }, radio, image, badge(other.number), nameOf(other));
    }));
    dialog.returnValue = "";
    dialog.onclose = () => {
      const chosen = list.querySelector("input:checked");
      if (dialog.returnValue !== "merge" || !(chosen instanceof HTMLInputElement)) return;
      const other = others.find((one) => String(one.id) === chosen.value);
      if (!other) return;
      const ids = [person.id, other.id].sort((a, b) => a - b);
      void this.#post("/api/merge", { ids }, `${nameOf(person)} and ${nameOf(other)} are now one person.`);
    };
    dialog.showModal();
  }

  /** @param {number} time of the picture @param {[number, number, number, number]} box */
  async addFace(time, box) {
    await this.#post("/api/faces", { time, box: box.map((value) => Number(value.toFixed(4))) },
      "avse now tracks this face.");
  }

  /** The slider for the A/V offset. @param {Picture} picture */
  connectOffset(picture) {
    const slider = part("offset", HTMLInputElement);
    const value = part("offset-value", HTMLOutputElement);
    const about = part("offset-about", HTMLElement);
    const reset = part("offset-reset", HTMLButtonElement);
    const show = () => {
      const { measured_ms, sure, set_ms } = this.recording.state.offset;
      const shown = Math.round(1000 * (picture.trial ?? this.recording.late));
      slider.value = String(shown);
      const words = shown === 0 ? "in sync" : `sound ${Math.abs(shown)} ms ${shown > 0 ? "late" : "early"}`;
      value.textContent = words;
      slider.setAttribute("aria-valuetext", words);
      reset.disabled = set_ms === null && picture.trial === null;
      const apart = measured_ms !== null && Math.abs(measured_ms) > 40;
      const measured = measured_ms === null ? "not measured yet"
        : !apart ? "measured: in sync"
        : sure ? `measured ${Math.round(measured_ms)} ms`
        : `measured ${Math.round(measured_ms)} ms, unsure: not corrected`;
      about.textContent = set_ms !== null ? `set by hand; ${measured}`
        : apart && sure ? "corrected automatically" : measured;
      about.title = about.textContent;
    };
    const send = async (/** @type {number | null} */ ms) => {
      await this.#post("/api/offset", { ms });
      picture.trial = null;
      show();
    };
    slider.addEventListener("input", () => {
      picture.trial = Number(slider.value) / 1000;
      show();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void send(Number(slider.value)), OFFSET_WAIT_MS);
    });
    reset.addEventListener("click", () => {
      clearTimeout(this.timer);
      void send(null);
    });
    this.recording.addEventListener("state", () => {
      if (picture.trial === null) show();
    });
    show();
  }
}
