// @ts-check
/**
 * Plays the mix and tells the time. The audio thread's sample counter is the only clock of the page:
 * the picture and the timeline follow `time`.
 *
 * Events: "change" (playing, running or waiting changed), "ended".
 */

import { Refusal } from "./api.js";

/** @typedef {import("./api.js").MediaFile} MediaFile */
/** @typedef {import("./mixer.js").Order} Order */
/** @typedef {import("./mixer.js").Report & {frame: number}} Report */

const WINDOW = 32768; // samples that the analysers keep

/** @param {number} meanSquare */
const decibels = (meanSquare) => (meanSquare > 1e-12 ? 10 * Math.log10(meanSquare) : -120);

export class Player extends EventTarget {
  /** @type {AudioContext} */
  #context;
  /** @type {MessagePort | null} */
  #port = null;
  /** @type {[Order, Transferable[]][]} */
  #queue = [];
  /** @type {Report | null} */
  #report = null;
  /** @type {AnalyserNode[]} */
  #analysers = [];
  #serial = 0;
  #goal = 0;
  #state = "";

  /** @param {MediaFile} file @param {number} chunkS */
  constructor(file, chunkS) {
    super();
    this.file = file;
    this.chunkS = chunkS;
    this.playing = false;
    this.original = false;
    /** What was loud since it was last asked for, by stem: mean squares after the faders. @type {Map<string, number>} */
    this.levels = new Map();
    this.peak = 0;
    try {
      this.#context = new AudioContext({ sampleRate: file.rate, latencyHint: "interactive" });
    } catch {
      throw new Refusal(`This browser cannot play sound at ${file.rate} Hz.`, "Try another browser.", 0);
    }
  }

  /** Load the mixer into the audio thread. Orders that came before are kept for it. */
  async start() {
    await this.#context.audioWorklet.addModule("/static/worklet.js");
    const { rate, channels, duration } = this.file;
    const node = new AudioWorkletNode(this.#context, "mixer", {
      numberOfInputs: 0,
      numberOfOutputs: 3,
      outputChannelCount: [channels, channels, channels],
      processorOptions: { rate, total: Math.round(duration * rate), chunk_s: this.chunkS },
    });
    node.connect(this.#context.destination, 0);
    for (let bus = 0; bus < 3; bus++) {
      const analyser = new AnalyserNode(this.#context, { fftSize: WINDOW });
      node.connect(analyser, bus);
      this.#analysers.push(analyser);
    }
    this.#port = node.port;
    this.#port.onmessage = (event) => this.#take(event.data);
    for (const [order, transfer] of this.#queue) this.#port.postMessage(order, transfer);
    this.#queue = [];
  }

  /** @param {Order} order @param {Transferable[]} [transfer] */
  order(order, transfer = []) {
    if (this.#port) this.#port.postMessage(order, transfer);
    else this.#queue.push([order, transfer]);
  }

  /** @param {Report} report */
  #take(report) {
    this.#report = report;
    for (const [stem, level] of Object.entries(report.levels)) {
      this.levels.set(stem, Math.max(level, this.levels.get(stem) ?? 0));
    }
    this.peak = Math.max(this.peak, report.peak);
    if (report.ended && this.playing && report.serial === this.#serial) {
      this.playing = false;
      this.dispatchEvent(new Event("ended"));
    }
    this.#tell();
  }

  #tell() {
    const state = `${this.playing} ${this.running} ${this.waiting}`;
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new Event("change"));
  }

  async play() {
    if (this.time >= this.file.duration - 0.05) this.seek(0);
    this.playing = true;
    this.order({ kind: "play" });
    this.#tell();
    await this.#context.resume();
  }

  pause() {
    this.playing = false;
    this.order({ kind: "pause" });
    this.#tell();
  }

  /** @param {number} time */
  seek(time) {
    this.#serial += 1;
    this.#goal = Math.min(Math.max(0, time), this.file.duration);
    this.order({ kind: "seek", position: this.#goal * this.file.rate, serial: this.#serial });
  }

  /** Listen to the original, or to the result. @param {boolean} on */
  setOriginal(on) {
    this.original = on;
    this.order({ kind: "original", on });
  }

  /** The report that belongs to the last seek, if it came. */
  get #current() {
    return this.#report && this.#report.serial === this.#serial ? this.#report : null;
  }

  /** Sound comes out. */
  get running() {
    return this.playing && (this.#current?.running ?? false);
  }

  /** Sound would come out if it was there. */
  get waiting() {
    return this.playing && (this.#current?.waiting ?? false);
  }

  /** Where the listener is, in seconds of the recording: what leaves the speakers now. */
  get time() {
    const report = this.#current;
    if (!report) return this.#goal;
    const { rate, duration } = this.file;
    if (!report.running) return Math.min(report.position / rate, duration);
    const time = report.position / rate + this.#heard() - report.frame / rate;
    return Math.min(Math.max(0, time), duration);
  }

  /** The context's time of the sound that leaves the speakers now. */
  #heard() {
    const now = this.#context.currentTime;
    const { contextTime, performanceTime } = this.#context.getOutputTimestamp();
    if (contextTime && performanceTime) {
      const heard = contextTime + (performance.now() - performanceTime) / 1000;
      if (Math.abs(heard - now) < 0.5) return heard;
    }
    return now - Math.min(0.5, this.#context.outputLatency || this.#context.baseLatency || 0);
  }

  /** RMS in dB over the last moments, as the graph gives it: what is heard, the result, the original. */
  busLevels() {
    const [heard, result, original] = this.#analysers.map((analyser) => {
      const samples = new Float32Array(8192);
      analyser.getFloatTimeDomainData(samples);
      return decibels(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
    });
    return { heard: heard ?? -120, result: result ?? -120, original: original ?? -120 };
  }

  /** RMS in dB of each stem after its fader, from the last report. @returns {Record<string, number>} */
  stemLevels() {
    const levels = Object.entries(this.#report?.levels ?? {});
    return Object.fromEntries(levels.map(([stem, level]) => [stem, decibels(level)]));
  }

  /** The last samples that were heard (for automation). @returns {Float32Array} */
  recent() {
    const samples = new Float32Array(WINDOW);
    this.#analysers[0]?.getFloatTimeDomainData(samples);
    return samples;
  }
}
