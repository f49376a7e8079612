// @ts-check
/**
 * Keeps the sound around the listener in the mixer: from 8 s behind to 24 s ahead, nearest first.
 * The original comes at once; the stems of a chunk when its voices are computed, and again when they
 * were computed anew. What is farther away is dropped, so that memory does not grow.
 */

import { Refusal, get, sound } from "./api.js";

/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./player.js").Player} Player */

const BEHIND_S = 8;
const AHEAD_S = 24;
const MOST_BYTES = 64e6; // with many people less far behind and ahead
const LEAST = 0.4;
const AT_ONCE = 2; // chunks; a browser opens six connections to a server
const AGAIN_MS = 1000;

/**
 * What of a chunk lies in the mixer, or is on its way there.
 * @typedef {{original: boolean, version: number | null, loading: AbortController | null,
 *   blockedUntil: number}} Held
 */

export class Sounds {
  /** @param {Recording} recording @param {Player} player @param {(refusal: Refusal) => void} failed */
  constructor(recording, player, failed) {
    this.recording = recording;
    this.player = player;
    this.failed = failed;
    /** @type {Map<number, Held>} */
    this.held = new Map();
    recording.addEventListener("state", () => this.tick());
    recording.addEventListener("voices-ready", () => this.tick());
  }

  /** The chunks to be held, the most urgent first. */
  #wanted() {
    const { state, file } = this.recording;
    const time = this.player.time;
    const here = this.recording.chunkAt(time);
    const bytes = (BEHIND_S + AHEAD_S) * file.rate * file.channels * 4 * (state.stems.length + 1);
    const reach = Math.max(LEAST, Math.min(1, MOST_BYTES / bytes));
    const last = Math.min(file.chunks - 1, Math.floor((time + reach * AHEAD_S) / state.chunk_s));
    const first = Math.max(0, Math.floor((time - reach * BEHIND_S) / state.chunk_s));
    const wanted = [];
    for (let k = here; k <= last; k++) wanted.push(k);
    for (let k = here - 1; k >= first; k--) wanted.push(k);
    return wanted;
  }

  /** To be called whenever time has passed or something has changed. */
  tick() {
    const wanted = this.#wanted();
    for (const [k, held] of this.held) {
      if (wanted.includes(k)) continue;
      held.loading?.abort();
      this.held.delete(k);
      this.player.order({ kind: "drop", chunk: k });
    }
    let loading = [...this.held.values()].filter((held) => held.loading).length;
    const now = performance.now();
    for (const k of wanted) {
      if (loading >= AT_ONCE) return;
      const held = this.held.get(k) ?? { original: false, version: null, loading: null, blockedUntil: 0 };
      this.held.set(k, held);
      const version = this.recording.voicesVersion(k);
      const complete = held.original && (version === null || held.version === version);
      if (complete || held.loading || held.blockedUntil > now) continue;
      void this.#load(k, held, version);
      loading += 1;
    }
  }

  /** @param {number} k @param {Held} held @param {number | null} version */
  async #load(k, held, version) {
    held.loading = new AbortController();
    const { signal } = held.loading;
    try {
      if (!held.original) {
        const { start, length, channels, buffer } = await sound(k, "original", 0, signal);
        this.player.order({ kind: "put", chunk: k, start, length, original: channels }, [buffer]);
        held.original = true;
      }
      if (version !== null) await this.#loadStems(k, held, version, signal);
    } catch (error) {
      held.blockedUntil = performance.now() + AGAIN_MS;
      const expected = error instanceof Refusal && error.status === 404; // computed anew just now
      if (error instanceof Refusal && !expected && error.status !== 0) this.failed(error);
    } finally {
      held.loading = null;
      if (this.held.get(k) === held) this.tick();
    }
  }

  /** @param {number} k @param {Held} held @param {number} version @param {AbortSignal} signal */
  async #loadStems(k, held, version, signal) {
    /** @type {import("./api.js").Voices} */
    const voices = await get(`/api/voices/${k}?v=${version}`, signal);
    const names = Object.keys(voices.stems).filter((stem) => stem !== "original");
    const sounds = await Promise.all(names.map((stem) => sound(k, stem, version, signal)));
    /** @type {Record<string, Float32Array[]>} */
    const stems = {};
    names.forEach((stem, i) => (stems[stem] = sounds[i].channels));
    if (sounds.length > 0) {
      const { start, length } = sounds[0];
      const transfer = sounds.map(({ buffer }) => buffer);
      this.player.order({ kind: "put", chunk: k, start, length, stems }, transfer);
    }
    held.version = version;
  }
}
