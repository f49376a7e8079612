// @ts-check
/**
 * Mixes the stems sample by sample in the audio thread; independent of the browser, so testable alone.
 *
 * One counter of samples, `position`, is the only clock: each stem of each chunk has fixed samples on
 * the timeline, so stems cannot drift apart. At a missing chunk the counter waits; it never skips.
 *
 * @typedef {Float32Array[]} Channels
 * @typedef {{start: number, length: number, original: Channels | null,
 *   stems: Record<string, Channels> | null}} Chunk
 * @typedef {{now: number, next: number, target: number}} Gain
 * @typedef {{position: number, serial: number, running: boolean, waiting: boolean, ended: boolean,
 *   peak: number, levels: Record<string, number>}} Report
 * @typedef {{kind: "put", chunk: number, start: number, length: number, original?: Channels,
 *     stems?: Record<string, Channels>}
 *   | {kind: "drop", chunk: number} | {kind: "play"} | {kind: "pause"}
 *   | {kind: "seek", position: number, serial: number}
 *   | {kind: "gains", gains: Record<string, number>, others: number}
 *   | {kind: "original", on: boolean}} Order
 */

const FADE_S = 0.01; // between original and result
const RUN_S = 0.005; // at play, pause, seek and wait
const GAIN_S = 0.004; // time constant of a fader
const LOUDNESS_S = 1.5;
const MOST_MATCH = 4; // 12 dB
const SILENCE = 1e-6; // mean square: -60 dB

/** @param {number} value @param {number} low @param {number} high */
const limit = (value, low, high) => Math.min(high, Math.max(low, value));

/** @param {Channels} channels mean square over all channels */
function meanSquare(channels) {
  let sum = 0;
  for (const channel of channels) for (let i = 0; i < channel.length; i++) sum += channel[i] ** 2;
  return sum / (channels.length * channels[0].length);
}

export class Mixer {
  /** @param {{rate: number, total: number, chunk_s: number}} options total: samples of the recording */
  constructor({ rate, total, chunk_s }) {
    this.rate = rate;
    this.total = total;
    this.chunkLength = chunk_s * rate;
    this.position = 0;
    this.serial = 0;
    this.playing = false;
    this.ended = false;
    this.original = false;
    /** @type {Map<number, Chunk>} */
    this.chunks = new Map();
    /** @type {Map<string, Gain>} */
    this.gains = new Map();
    this.others = 1;
    this.run = 0;
    this.ab = 0;
    this.match = 1;
    /** @type {number | null} */
    this.goal = null;
    /** @type {{chunk: number, old: Chunk, left: number} | null} */
    this.replaced = null;
    /** Dropped chunks that are still fading out. @type {Set<number>} */
    this.leaving = new Set();
    this.loudness = { result: 0, original: 0, blocks: 0 };
    /** @type {Record<string, number>} */
    this.sums = {};
    this.frames = 0;
    this.peak = 0;
    /** @type {Channels} */
    this.spare = [];
  }

  /** @param {Order} order */
  obey(order) {
    if (order.kind === "put") this.#put(order);
    else if (order.kind === "drop") this.#drop(order.chunk);
    else if (order.kind === "play") {
      this.playing = true;
      this.ended = false;
    } else if (order.kind === "pause") this.playing = false;
    else if (order.kind === "seek") {
      this.goal = limit(Math.round(order.position), 0, this.total);
      this.serial = order.serial;
      this.ended = false;
    } else if (order.kind === "original") this.original = order.on;
    else if (order.kind === "gains") {
      this.others = order.others;
      for (const stem of this.gains.keys()) if (!(stem in order.gains)) this.gains.delete(stem);
      for (const [stem, target] of Object.entries(order.gains)) {
        const gain = this.gains.get(stem);
        if (gain) gain.target = target;
        else this.gains.set(stem, { now: target, next: target, target });
      }
      this.loudness.blocks = 0;
    }
  }

  /** @param {Extract<Order, {kind: "put"}>} order */
  #put({ chunk: k, start, length, original, stems }) {
    const old = this.chunks.get(k);
    this.leaving.delete(k);
    this.chunks.set(k, {
      start,
      length,
      original: original ?? old?.original ?? null,
      stems: stems ?? old?.stems ?? null,
    });
    if (old?.stems && stems && this.run > 0 && k === this.chunkAt(this.position)) {
      this.replaced = { chunk: k, old, left: RUN_S * this.rate };
    }
  }

  /** @param {number} k */
  #drop(k) {
    const last = this.chunkAt(this.position + 2 * RUN_S * this.rate + 128);
    const sounds = this.run > 0 && k >= this.chunkAt(this.position) && k <= last;
    if (sounds) this.leaving.add(k);
    else this.chunks.delete(k);
  }

  /** Whether all gains are, or will be, 1, so that the result is the original. */
  #aimsPlain() {
    if (this.others !== 1) return false;
    for (const gain of this.gains.values()) if (gain.target !== 1) return false;
    return true;
  }

  #isPlain() {
    if (!this.#aimsPlain()) return false;
    for (const gain of this.gains.values()) if (gain.now !== 1) return false;
    return true;
  }

  /** @param {number} position @returns {number} the chunk that holds this sample */
  chunkAt(position) {
    return Math.floor((position + 0.5) / this.chunkLength);
  }

  /** Whether the sound for this sample is loaded. @param {number} position */
  isReady(position) {
    if (position >= this.total) return true;
    const chunk = this.chunks.get(this.chunkAt(position));
    if (!chunk || !chunk.original) return false;
    if (this.original || chunk.stems) return true;
    return this.#aimsPlain();
  }

  /**
   * One block: what is heard, and the two buses it is made of.
   * @param {Channels} heard @param {Channels} result @param {Channels} original filled, all of one length
   */
  render(heard, result, original) {
    const length = heard[0].length;
    for (const bus of [heard, result, original]) for (const channel of bus) channel.fill(0);
    if (this.goal !== null && this.run === 0) {
      this.position = this.goal;
      this.goal = null;
      this.replaced = null;
      this.loudness.blocks = 0;
      for (const k of this.leaving) this.chunks.delete(k);
      this.leaving.clear();
    }
    this.#moveGains(length);
    if (this.playing && this.goal === null && this.position >= this.total) {
      this.playing = false;
      this.ended = true;
      this.run = 0;
    }
    const go = this.#mayRun();
    this.frames += length;
    if (!go && this.run === 0) return;
    this.#fill(result, original, length);
    if (this.#isPlain()) {
      this.match += 0.1 * (1 - this.match);
      this.loudness.blocks = 0;
    } else this.#listen(meanSquare(result), meanSquare(original), length);
    this.#blend(heard, result, original, length, go);
    for (const gain of this.gains.values()) gain.now = gain.next;
  }

  #mayRun() {
    const ahead = this.position + 2 * RUN_S * this.rate + 128;
    return (
      this.playing && this.goal === null && this.position < this.total &&
      this.isReady(this.position) && this.isReady(ahead)
    );
  }

  /** @param {number} length */
  #moveGains(length) {
    const keep = Math.exp(-length / (GAIN_S * this.rate));
    for (const gain of this.gains.values()) {
      const next = gain.target + (gain.now - gain.target) * keep;
      gain.next = Math.abs(next - gain.target) < 1e-4 ? gain.target : next;
      if (this.run === 0) gain.now = gain.next = gain.target;
    }
  }

  /** @param {Channels} result @param {Channels} original @param {number} length */
  #fill(result, original, length) {
    let done = 0;
    while (done < length && this.position < this.total) {
      const k = this.chunkAt(this.position);
      const chunk = this.chunks.get(k);
      if (!chunk || !chunk.original) return;
      const from = this.position - chunk.start;
      const count = Math.min(length - done, chunk.length - from);
      if (count <= 0) {
        this.position = this.total; // the end was rounded in another way
        return;
      }
      for (let c = 0; c < original.length; c++) {
        const source = chunk.original[Math.min(c, chunk.original.length - 1)];
        original[c].set(source.subarray(from, from + count), done);
      }
      this.#mix(chunk, from, done, count, result, original, length);
      if (this.replaced && this.replaced.chunk === k) {
        this.#fromOld(this.replaced, from, done, count, result, original, length);
      }
      this.position += count;
      done += count;
    }
  }

  /**
   * @param {Chunk} chunk @param {number} from @param {number} at @param {number} count
   * @param {Channels} result @param {Channels} original @param {number} length
   */
  #mix(chunk, from, at, count, result, original, length) {
    const asIs = this.#isPlain() || (!chunk.stems && !this.original);
    if (asIs) {
      for (let c = 0; c < result.length; c++) {
        result[c].set(original[c].subarray(at, at + count), at);
      }
    }
    for (const [stem, channels] of Object.entries(chunk.stems ?? {})) {
      let gain = this.gains.get(stem);
      if (!gain) {
        gain = { now: this.others, next: this.others, target: this.others };
        this.gains.set(stem, gain);
      }
      const step = (gain.next - gain.now) / length;
      let sum = 0;
      for (let c = 0; c < result.length; c++) {
        const source = channels[Math.min(c, channels.length - 1)];
        const sink = result[c];
        let factor = gain.now + step * at;
        for (let i = 0; i < count; i++) {
          const value = source[from + i] * factor;
          factor += step;
          sum += value * value;
          if (!asIs) sink[at + i] += value;
        }
      }
      this.sums[stem] = (this.sums[stem] ?? 0) + sum / result.length;
    }
  }

  /**
   * A chunk was computed anew while it plays: cross over from what was there.
   * @param {{chunk: number, old: Chunk, left: number}} replaced
   * @param {number} from @param {number} at @param {number} count
   * @param {Channels} result @param {Channels} original @param {number} length
   */
  #fromOld(replaced, from, at, count, result, original, length) {
    this.spare = result.map((channel) => new Float32Array(channel.length));
    this.#mix(replaced.old, from, at, count, this.spare, original, length);
    const whole = RUN_S * this.rate;
    for (let c = 0; c < result.length; c++) {
      for (let i = at; i < at + count; i++) {
        const share = Math.max(0, replaced.left - (i - at)) / whole;
        result[c][i] += share * (this.spare[c][i] - result[c][i]);
      }
    }
    replaced.left -= count;
    if (replaced.left <= 0) this.replaced = null;
  }

  /**
   * The original is made as loud as the result, over the last seconds in which both have sound.
   * @param {number} result @param {number} original mean squares @param {number} length
   */
  #listen(result, original, length) {
    const { loudness } = this;
    if (original > SILENCE && result > SILENCE && result > original * 1e-3) {
      loudness.blocks = Math.min(loudness.blocks + 1, (LOUDNESS_S * this.rate) / length);
      loudness.result += (result - loudness.result) / loudness.blocks;
      loudness.original += (original - loudness.original) / loudness.blocks;
    }
    if (loudness.blocks < 4) return;
    const wanted = Math.sqrt(loudness.result / loudness.original);
    this.match += 0.1 * (limit(wanted, 1 / MOST_MATCH, MOST_MATCH) - this.match);
  }

  /** @param {Channels} heard @param {Channels} result @param {Channels} original @param {number} length @param {boolean} go */
  #blend(heard, result, original, length, go) {
    const runStep = (go ? 1 : -1) / (RUN_S * this.rate);
    const abStep = (this.original ? 1 : -1) / (FADE_S * this.rate);
    let { run, ab } = this;
    for (let i = 0; i < length; i++) {
      run = limit(run + runStep, 0, 1);
      ab = limit(ab + abStep, 0, 1);
      for (let c = 0; c < heard.length; c++) {
        result[c][i] *= run;
        original[c][i] *= run * this.match;
        const value = result[c][i] * (1 - ab) + original[c][i] * ab;
        heard[c][i] = value;
        if (Math.abs(value) > this.peak) this.peak = Math.abs(value);
      }
    }
    this.run = run;
    this.ab = ab;
  }

  /** What happened since the last report; levels are mean squares after the faders. @returns {Report} */
  report() {
    /** @type {Record<string, number>} */
    const levels = {};
    for (const [stem, sum] of Object.entries(this.sums)) levels[stem] = sum / Math.max(1, this.frames);
    const report = {
      position: this.position,
      serial: this.goal === null ? this.serial : -1,
      running: this.run > 0 && this.#mayRun(),
      waiting: this.playing && this.goal === null && !this.#mayRun(),
      ended: this.ended,
      peak: this.peak,
      levels,
    };
    this.sums = {};
    this.frames = 0;
    this.peak = 0;
    return report;
  }
}
