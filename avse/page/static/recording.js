// @ts-check
/**
 * What the server knows about the recording, kept here: its state, and for each chunk that is
 * computed the faces and the lanes. They are fetched one after the other, nearest to `focus` first.
 *
 * Events: "state", "progress", "faces", "voices", "words".
 */

import { get } from "./api.js";
import { PER_SECOND } from "./words.js";

/** @typedef {import("./api.js").State} State */
/** @typedef {import("./api.js").Faces} Faces */
/** @typedef {import("./api.js").Voices} Voices */
/**
 * @typedef {{version: number, cuts: number[],
 *   tracks: {person: number, times: Float64Array, boxes: Float32Array}[]}} KnownFaces
 * @typedef {{version: number, stems: Map<string, KnownLane>}} KnownVoices
 * @typedef {{peaks: Uint8Array, speaking: Uint8Array | null, unsure: [number, number][]}} KnownLane
 *   peaks and speaking: 0 to 255, PER_SECOND of them a second
 */

const AT_ONCE = 2;
const SAME_MOVE_S = 0.3; // two sights of a face that are closer belong to one movement
const HOLD_S = 0.1;
const AGAIN_MS = 1500;
const WORDS_AFTER_MS = 300; // news of words come in rows

/** @param {number | null} value */
const byte = (value) => Math.round(255 * Math.min(1, Math.max(0, value ?? 0)));

export class Recording extends EventTarget {
  /** @param {State} state a state with a file */
  constructor(state) {
    super();
    this.state = state;
    /** @type {Map<number, KnownFaces>} */
    this.faces = new Map();
    /** @type {Map<number, KnownVoices>} */
    this.voices = new Map();
    /** @type {import("./api.js").Words} */
    this.words = {};
    this.wordsDue = false;
    this.focus = 0;
    this.busy = 0;
    /** @type {Set<string>} */
    this.asked = new Set();
    this.fill();
    this.takeWords();
  }

  get file() {
    if (!this.state.file) throw new Error("there is no recording");
    return this.state.file;
  }

  /** By how much the sound is taken to be late, in seconds: as set, or as measured where that is sure. */
  get late() {
    const { set_ms, measured_ms, sure } = this.state.offset;
    return (set_ms ?? (sure ? (measured_ms ?? 0) : 0)) / 1000;
  }

  /** @param {number} time */
  chunkAt(time) {
    const k = Math.floor(time / this.state.chunk_s);
    return Math.max(0, Math.min(this.file.chunks - 1, k));
  }

  /** @param {State} state */
  take(state) {
    if (state.revision < this.state.revision) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
    this.fill();
    this.takeWords();
  }

  /** @param {import("./api.js").Progress} progress */
  takeProgress(progress) {
    this.state.progress = progress;
    this.dispatchEvent(new Event("progress"));
  }

  /** @param {"faces" | "voices"} kind @param {{chunk: number, version: number}} news */
  takeNews(kind, { chunk, version }) {
    const ready = kind === "faces" ? this.state.faces_ready : this.state.voices_ready;
    ready[String(chunk)] = version;
    this.fill();
    this.dispatchEvent(new CustomEvent(`${kind}-ready`, { detail: chunk }));
  }

  /** Fetch the words soon, if there are any. */
  takeWords() {
    if (this.wordsDue || !this.state.transcriber) return;
    this.wordsDue = true;
    setTimeout(async () => {
      this.wordsDue = false;
      try {
        this.words = await get("/api/words");
        this.dispatchEvent(new Event("words"));
      } catch {
        // The connection is lost, which is said; the next state asks again.
      }
    }, WORDS_AFTER_MS);
  }

  /** @param {number} chunk @returns {number | null} the version of its voices, if they are computed */
  voicesVersion(chunk) {
    return this.state.voices_ready[String(chunk)] ?? null;
  }

  /** Fetch what is computed and not known here. */
  fill() {
    while (this.busy < AT_ONCE) {
      const next = this.#nearest();
      if (!next) return;
      void this.#fetch(next.kind, next.chunk, next.version);
    }
  }

  #nearest() {
    const here = this.chunkAt(this.focus);
    let best = null;
    let distance = Infinity;
    for (const kind of /** @type {const} */ (["faces", "voices"])) {
      const ready = kind === "faces" ? this.state.faces_ready : this.state.voices_ready;
      const known = kind === "faces" ? this.faces : this.voices;
      for (const [key, version] of Object.entries(ready)) {
        const chunk = Number(key);
        if (known.get(chunk)?.version === version || this.asked.has(`${kind} ${key}`)) continue;
        const away = Math.abs(chunk - here) + (chunk < here ? 0.5 : 0);
        if (away < distance) {
          best = { kind, chunk, version };
          distance = away;
        }
      }
    }
    return best;
  }

  /** @param {"faces" | "voices"} kind @param {number} chunk @param {number} version */
  async #fetch(kind, chunk, version) {
    const key = `${kind} ${chunk}`;
    this.asked.add(key);
    this.busy += 1;
    try {
      const path = `/api/${kind}/${chunk}?v=${version}`;
      if (kind === "faces") this.faces.set(chunk, compactFaces(await get(path), version));
      else this.voices.set(chunk, compactVoices(await get(path), version));
      this.asked.delete(key);
      this.dispatchEvent(new CustomEvent(kind, { detail: chunk }));
    } catch {
      // Not there yet, or computed anew at this moment, or the connection is lost: ask again.
      setTimeout(() => {
        this.asked.delete(key);
        this.fill();
      }, AGAIN_MS);
    } finally {
      this.busy -= 1;
      this.fill();
    }
  }

  /**
   * Where this person's face is in the picture at this time, as fractions of it.
   * @param {number} person @param {number} time
   * @returns {[number, number, number, number] | null} x, y, width, height
   */
  faceAt(person, time) {
    const k = this.chunkAt(time);
    /** @type {[number, number[]] | null} */
    let before = null;
    /** @type {[number, number[]] | null} */
    let after = null;
    for (const chunk of [k - 1, k, k + 1]) {
      for (const track of this.faces.get(chunk)?.tracks ?? []) {
        if (track.person !== person) continue;
        const { times, boxes } = track;
        const i = upperBound(times, time);
        if (i > 0 && (!before || times[i - 1] > before[0])) {
          before = [times[i - 1], Array.from(boxes.subarray(4 * i - 4, 4 * i))];
        }
        if (i < times.length && (!after || times[i] < after[0])) {
          after = [times[i], Array.from(boxes.subarray(4 * i, 4 * i + 4))];
        }
      }
    }
    if (before && this.#isCut(before[0], time)) before = null;
    if (after && this.#isCut(time, after[0])) after = null;
    /** @type {number[] | null} */
    let box = null;
    if (before && after && after[0] - before[0] < SAME_MOVE_S) {
      const share = (time - before[0]) / Math.max(1e-6, after[0] - before[0]);
      const [from, to] = [before[1], after[1]];
      box = from.map((value, i) => value + share * (to[i] - value));
    } else if (before && time - before[0] < HOLD_S) box = before[1];
    else if (after && after[0] - time < HOLD_S) box = after[1];
    return box ? [box[0], box[1], box[2], box[3]] : null;
  }

  /** The shot changes after `from` and not later than `to`. @param {number} from @param {number} to */
  #isCut(from, to) {
    for (const chunk of new Set([this.chunkAt(from), this.chunkAt(to)])) {
      for (const cut of this.faces.get(chunk)?.cuts ?? []) if (cut > from && cut <= to) return true;
    }
    return false;
  }

  /** How probable it is that this person speaks, 0 to 1; null: not known. @param {string} stem @param {number} time */
  speakingAt(stem, time) {
    const k = this.chunkAt(time);
    const speaking = this.voices.get(k)?.stems.get(stem)?.speaking;
    if (!speaking) return null;
    return (speaking[Math.floor((time - k * this.state.chunk_s) * PER_SECOND)] ?? 0) / 255;
  }
}

/** @param {Float64Array} times ascending @param {number} time @returns {number} how many are not later */
function upperBound(times, time) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {Faces} faces @param {number} version @returns {KnownFaces} */
function compactFaces(faces, version) {
  const tracks = faces.tracks.map(({ person, times, boxes }) => ({
    person,
    times: Float64Array.from(times),
    boxes: Float32Array.from(boxes.flat()),
  }));
  return { version, cuts: faces.cuts, tracks };
}

/** @param {Voices} voices @param {number} version @returns {KnownVoices} */
function compactVoices(voices, version) {
  const stems = new Map();
  for (const [stem, lane] of Object.entries(voices.stems)) {
    stems.set(stem, {
      peaks: Uint8Array.from(lane.peaks, byte),
      speaking: lane.speaking ? Uint8Array.from(lane.speaking, byte) : null,
      unsure: lane.unsure,
    });
  }
  return { version, stems };
}
