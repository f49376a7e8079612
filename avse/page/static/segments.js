// @ts-check
/** A picture that the browser cannot decode, made by the server in segments of one chunk each. */

import { Refusal, bytes } from "./api.js";

/** @typedef {import("./recording.js").Recording} Recording */

const HEIGHT = 480;
const AHEAD = 3; // segments
const BEHIND_S = 12;
const KEEP_AHEAD_S = 40;
const ATTEMPTS = 3;

export class Segments {
  /**
   * @param {HTMLVideoElement} video @param {Recording} recording
   * @param {(refusal: Refusal) => void} failed the picture cannot be shown
   */
  constructor(video, recording, failed) {
    this.video = video;
    this.recording = recording;
    this.failed = failed;
    /** @type {SourceBuffer | null} */
    this.buffer = null;
    /** @type {{chunk: number, control: AbortController} | null} */
    this.fetching = null;
    this.attempts = 0;
    this.restAt = 0;
    const { proxy_type: type, duration } = recording.file;
    if (!("MediaSource" in window) || !MediaSource.isTypeSupported(type)) {
      failed(new Refusal("This browser cannot show the picture.", "The sound plays. Try Chromium or Firefox.", 0));
      return;
    }
    const source = new MediaSource();
    source.addEventListener("sourceopen", () => {
      URL.revokeObjectURL(video.src);
      this.buffer = source.addSourceBuffer(type);
      source.duration = duration;
    }, { once: true });
    video.src = URL.createObjectURL(source);
  }

  /** Fetch the next segment around this time. @param {number} time */
  around(time) {
    if (!this.buffer || this.buffer.updating || this.attempts >= ATTEMPTS) return;
    const here = this.recording.chunkAt(time);
    if (this.fetching) {
      const { chunk, control } = this.fetching;
      if (chunk < here || chunk > here + AHEAD) control.abort();
      return;
    }
    if (performance.now() < this.restAt || this.#forget(time)) return;
    const last = Math.min(here + AHEAD, this.recording.file.chunks - 1);
    for (let k = here; k <= last; k++) {
      if (!this.#has(k)) return void this.#fetch(k);
    }
  }

  /** @param {number} k */
  #has(k) {
    const { state, file } = this.recording;
    const from = k * state.chunk_s;
    const middle = (from + Math.min(from + state.chunk_s, file.duration)) / 2;
    const { buffered } = this.video;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= middle && buffered.end(i) > middle) return true;
    }
    return false;
  }

  /** Free what is far away. @param {number} time @returns {boolean} the buffer is busy with it */
  #forget(time) {
    const { buffer } = this;
    if (!buffer) return false;
    for (let i = 0; i < buffer.buffered.length; i++) {
      const [start, end] = [buffer.buffered.start(i), buffer.buffered.end(i)];
      const [first, last] = [time - BEHIND_S, time + KEEP_AHEAD_S];
      if (start < first - 4) buffer.remove(start, Math.min(end, first));
      else if (end > last + 4) buffer.remove(Math.max(start, last), end);
      else continue;
      return true;
    }
    return false;
  }

  /** @param {number} k */
  async #fetch(k) {
    const control = new AbortController();
    this.fetching = { chunk: k, control };
    try {
      const segment = await bytes(`/proxy/${k}.mp4?height=${HEIGHT}`, control.signal);
      this.buffer?.appendBuffer(segment);
      this.attempts = 0;
    } catch (error) {
      if (control.signal.aborted) return;
      this.attempts += 1;
      this.restAt = performance.now() + 1000;
      if (this.attempts < ATTEMPTS) return;
      const hint = "The sound plays without it.";
      const words = error instanceof Refusal ? error.message : "The picture cannot be shown.";
      this.failed(new Refusal(words, (error instanceof Refusal && error.hint) || hint, 0));
      setTimeout(() => (this.attempts = 0), 10_000);
    } finally {
      this.fetching = null;
    }
  }
}
