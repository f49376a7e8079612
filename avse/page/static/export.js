// @ts-check
/** Saves: what, of whom, as which kind of file; then progress and the files. */

import { post } from "./api.js";
import { badge, el, lengthInWords, nameOf, part, sizeInWords } from "./words.js";

/** @typedef {import("./api.js").Export} Export */
/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./mix.js").Mix} Mix */
/** @typedef {"voice" | "each" | "mix" | "video" | "tracks" | "subtitles" | "timeline"} What */

/** @type {Record<What, {who: boolean, formats: (recording: Recording) => string[]}>} */
const KINDS = {
  voice: { who: true, formats: ({ state }) => state.formats.sound },
  each: { who: true, formats: ({ state }) => state.formats.sound },
  mix: { who: false, formats: ({ state }) => state.formats.sound },
  video: { who: false, formats: ({ state }) => state.formats.video },
  tracks: { who: true, formats: ({ state }) => only(state.formats.video, ["mkv", "mov"]) },
  subtitles: { who: true, formats: ({ state }) => only(state.formats.text, ["srt", "vtt"]) },
  timeline: { who: true, formats: ({ state }) => only(state.formats.text, ["rttm", "otio", "edl"]) },
};

/** @type {Record<string, number[]>} */
const BITS = { wav: [16, 24, 32], flac: [16, 24] };

/** @type {Record<string, string>} */
const FORMAT_NAMES = {
  wav: "WAV", flac: "FLAC (no loss, half the size)", mp3: "MP3", m4a: "M4A (AAC)", opus: "Opus",
  mp4: "MP4", mkv: "Matroska (MKV)", mov: "QuickTime (MOV)", srt: "SubRip (SRT)", vtt: "WebVTT",
  rttm: "RTTM (who speaks when)", otio: "OpenTimelineIO", edl: "EDL (CMX 3600)",
};

/** @param {string[]} formats @param {string[]} allowed */
const only = (formats, allowed) => formats.filter((format) => allowed.includes(format));

/** Between downloads: browsers drop those that come at once. */
const PAUSE_MS = 600;

export class Exports {
  /** @param {Recording} recording @param {Mix} mix @param {import("./notices.js").Notices} notices */
  constructor(recording, mix, notices) {
    this.recording = recording;
    this.mix = mix;
    this.notices = notices;
    this.dialog = part("export", HTMLDialogElement);
    this.form = part("export-form", HTMLFormElement);
    this.format = part("export-format", HTMLSelectElement);
    this.bits = part("export-bits", HTMLSelectElement);
    this.people = part("export-people", HTMLElement);
    this.trouble = part("export-trouble", HTMLElement);
    this.go = part("export-go", HTMLButtonElement);
    this.list = part("export-list", HTMLElement);
    /** @type {Map<number, Export>} */
    this.known = new Map();
    /** What this tab has asked for. @type {Set<number>} */
    this.mine = new Set();
    this.form.addEventListener("change", () => this.#fit());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    part("export-close", HTMLButtonElement).addEventListener("click", () => this.dialog.close());
    recording.addEventListener("state", () => this.#takeAll());
    this.#takeAll();
  }

  /** @returns {What} */
  get what() {
    return /** @type {What} */ (new FormData(this.form).get("what") ?? "voice");
  }

  open() {
    const soloed = this.mix.soloed;
    const { people, transcriber } = this.recording.state;
    this.people.replaceChildren(...people.map((person) => {
      const checked = soloed.length === 0 || soloed.includes(String(person.id));
      const box = el("input", { type: "checkbox", name: "who", value: String(person.id), checked });
      return el("label", { className: "choice" }, box, badge(person.number), nameOf(person));
    }));
    part("export-subtitles-about", HTMLElement).textContent = transcriber
      ? `what each person says, by ${transcriber}` : "who speaks when; for words, start avse open with --transcribe";
    const first = soloed.length > 1 ? "mix" : soloed.length === 1 || people.length === 1 ? "voice" : "each";
    const radio = this.form.querySelector(`input[value="${first}"]`);
    if (radio instanceof HTMLInputElement) radio.checked = true;
    this.#fit();
    this.dialog.showModal();
  }

  /** Show the choices that belong to what is to be saved. */
  #fit() {
    const kind = KINDS[this.what];
    const formats = kind.formats(this.recording);
    const before = this.format.value;
    this.format.replaceChildren(...formats.map((format) =>
      el("option", { value: format }, FORMAT_NAMES[format] ?? format.toUpperCase())));
    if (formats.includes(before)) this.format.value = before;
    const bits = BITS[this.format.value] ?? [];
    const bitsBefore = this.bits.value;
    this.bits.replaceChildren(...bits.map((bit) =>
      el("option", { value: String(bit) }, bit === 32 ? "32 (float)" : String(bit))));
    if (bits.map(String).includes(bitsBefore)) this.bits.value = bitsBefore;
    part("export-bits-field", HTMLElement).hidden = bits.length === 0;
    part("export-who", HTMLElement).hidden = !kind.who;
    const nobody = kind.who && this.#who().length === 0;
    this.trouble.textContent = nobody ? "Choose at least one person." : formats.length === 0
      ? "This version of avse cannot write this kind of file." : "";
    this.go.disabled = nobody || formats.length === 0;
  }

  #who() {
    return new FormData(this.form).getAll("who").map(Number);
  }

  async #send() {
    const { state } = this.recording;
    this.go.disabled = true;
    try {
      const started = await post("/api/export", {
        what: this.what,
        people: KINDS[this.what].who ? this.#who() : state.people.map((person) => person.id),
        gains: this.mix.factors(state.stems),
        format: this.format.value,
        bits: Number(this.bits.value || 16),
        report: part("export-report", HTMLInputElement).checked,
      });
      if (started) {
        const one = /** @type {Export} */ (started);
        this.mine.add(one.id);
        this.take(one);
      }
    } catch (error) {
      const hint = error instanceof Error && "hint" in error ? String(error.hint) : "";
      this.trouble.textContent = `${error instanceof Error ? error.message : error}. ${hint}`;
    } finally {
      this.go.disabled = false;
    }
  }

  #takeAll() {
    for (const one of this.recording.state.exports) this.take(one);
  }

  /** @param {Export} one is new, or went on */
  take(one) {
    const before = this.known.get(one.id);
    if (before && JSON.stringify(before) === JSON.stringify(one)) return;
    this.known.set(one.id, one);
    const row = this.#row(one);
    const old = this.list.querySelector(`[data-export="${one.id}"]`);
    if (old) old.replaceWith(row);
    else this.list.prepend(row);
    if (one.state === "done" && this.mine.delete(one.id)) fetchAll(row);
    part("export-title", HTMLElement).hidden = false;
    if (before && before.state !== one.state && !this.dialog.open) {
      const action = { label: "Show", run: () => this.open() };
      if (one.state === "done") this.notices.say(`${one.label} is saved.`, { key: `export ${one.id}`, action });
      if (one.state === "failed") {
        this.notices.say(one.error ?? `${one.label} could not be saved.`, { hint: one.hint ?? "", problem: true });
      }
    }
  }

  /** @param {Export} one */
  #row(one) {
    const row = el("li", { className: "saved", "data-export": String(one.id) });
    const status = el("span", { className: "about" });
    const head = el("div", { className: "saved-head" }, el("strong", {}, one.label), status);
    row.append(head);
    if (one.state === "waiting" || one.state === "running") {
      const left = one.left_s === null ? "" : `, about ${lengthInWords(one.left_s)} left`;
      status.textContent = one.state === "waiting" ? "waits" : `${Math.round(100 * one.done)} %${left}`;
      const bar = el("progress", { max: 1, value: one.done, "aria-label": one.label });
      const cancel = el("button", { type: "button" }, "Cancel");
      cancel.addEventListener("click", () => {
        cancel.disabled = true;
        post(`/api/export/${one.id}/cancel`, {}).catch((error) => this.notices.problem(error));
      });
      head.append(cancel);
      row.append(bar);
    } else if (one.state === "cancelled") status.textContent = "cancelled";
    else if (one.state === "failed") {
      status.textContent = "failed";
      row.append(el("p", { className: "trouble" }, `${one.error ?? ""} ${one.hint ?? ""}`));
    }
    for (const file of one.files) {
      const link = el("a", { href: safe(file.url), download: file.name }, file.name);
      row.append(el("p", { className: "file" }, link, ` ${sizeInWords(file.size)}`));
    }
    for (const warning of one.warnings) row.append(el("p", { className: "about" }, warning));
    return row;
  }
}

/** Download what was saved, one file after the other. @param {HTMLElement} row */
function fetchAll(row) {
  row.scrollIntoView({ block: "nearest" });
  [...row.querySelectorAll("a")].forEach((link, place) => setTimeout(() => link.click(), PAUSE_MS * place));
}

/** Only links to this server are followed. @param {string} url */
function safe(url) {
  const address = new URL(url, location.origin);
  return address.origin === location.origin ? address.href : "#";
}
