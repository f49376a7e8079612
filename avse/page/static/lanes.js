// @ts-check
/** Draws the lanes of the timeline, and finds stretches in what is known. */

import { COLOURS, PER_SECOND, clock, colourOf } from "./words.js";

/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {[number, number]} Stretch from and to, in seconds */

export const RULER_PX = 20;
export const LANE_PX = 34; // as --lane in style.css
const SIGHT_PX = 4;
const SPEAKS = 128; // of 255
const JOIN_S = 0.5;
const WORDS_PX = 13; // height of a line of words
const READABLE = 24; // pixels for a second, from which on words are shown
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];

/** Stretches that lie closer than JOIN_S become one. @param {Stretch[]} stretches in order @param {number} [join] */
function joined(stretches, join = JOIN_S) {
  /** @type {Stretch[]} */
  const result = [];
  for (const [from, to] of stretches) {
    const last = result[result.length - 1];
    if (last && from - last[1] <= join) last[1] = Math.max(last[1], to);
    else result.push([from, to]);
  }
  return result;
}

export class Lanes {
  /**
   * @param {HTMLCanvasElement} canvas @param {HTMLCanvasElement} overview
   * @param {Recording} recording @param {import("./mix.js").Mix} mix
   */
  constructor(canvas, overview, recording, mix) {
    this.canvas = canvas;
    this.overview = overview;
    this.recording = recording;
    this.mix = mix;
    this.look = look();
  }

  /** Take the colours of the page again. */
  restyle() {
    this.look = look();
  }

  /** The known chunks in order, from `first` to `last`. @param {number} first @param {number} last */
  #voices(first, last) {
    const found = [];
    for (let k = first; k <= last; k++) {
      const voices = this.recording.voices.get(k);
      if (voices) found.push({ k, at: k * this.recording.state.chunk_s, voices });
    }
    return found;
  }

  get last() {
    return this.recording.file.chunks - 1;
  }

  /** @param {number} person @param {number} [first] @param {number} [last] chunks @returns {Stretch[]} */
  inSight(person, first = 0, last = this.last) {
    /** @type {Stretch[]} */
    const found = [];
    for (let k = first; k <= last; k++) {
      for (const track of this.recording.faces.get(k)?.tracks ?? []) {
        if (track.person !== person) continue;
        let from = 0;
        const { times } = track;
        for (let i = 1; i <= times.length; i++) {
          if (i < times.length && times[i] - times[i - 1] < JOIN_S) continue;
          found.push([times[from], times[i - 1] + 0.04]);
          from = i;
        }
      }
    }
    return joined(found.sort((a, b) => a[0] - b[0]));
  }

  /** @param {string} stem @param {number} [first] @param {number} [last] chunks @returns {Stretch[]} */
  speaking(stem, first = 0, last = this.last) {
    /** @type {Stretch[]} */
    const found = [];
    for (const { at, voices } of this.#voices(first, last)) {
      const speaking = voices.stems.get(stem)?.speaking;
      if (!speaking) continue;
      for (let i = 0; i < speaking.length; i++) {
        if (speaking[i] >= SPEAKS) found.push([at + i / PER_SECOND, at + (i + 1) / PER_SECOND]);
      }
    }
    return joined(found, 0.2);
  }

  /** @param {string} stem @param {number} [first] @param {number} [last] chunks @returns {Stretch[]} */
  unsure(stem, first = 0, last = this.last) {
    /** @type {Stretch[]} */
    const found = [];
    for (const { voices } of this.#voices(first, last)) found.push(...(voices.stems.get(stem)?.unsure ?? []));
    return joined(found, 0.01);
  }

  /** @param {number} start @param {number} span of the view, in seconds */
  draw(start, span) {
    const { stems } = this.recording.state;
    const width = this.canvas.parentElement?.clientWidth ?? 0;
    const pen = prepare(this.canvas, width, RULER_PX + stems.length * LANE_PX);
    if (!pen || width === 0) return;
    const scale = width / span;
    const x = (/** @type {number} */ time) => (time - start) * scale;
    const first = Math.max(0, this.recording.chunkAt(start) - 1);
    const last = this.recording.chunkAt(start + span);
    this.#ruler(pen, start, span, width);
    const speaking = new Map(stems.map((stem) => [stem, this.speaking(stem, first, last)]));
    stems.forEach((stem, i) => {
      const top = RULER_PX + i * LANE_PX;
      pen.fillStyle = this.look.colours.lane;
      pen.fillRect(0, top + 1, width, LANE_PX - 2);
      this.#lane(pen, stem, top, x, first, last, speaking);
      if (scale >= READABLE) this.#words(pen, stem, top + LANE_PX - 2 - SIGHT_PX - WORDS_PX, x, width);
    });
    this.#pending(pen, x, first, last, stems.length);
    this.#drawOverview(start, span);
  }

  /** @param {CanvasRenderingContext2D} pen @param {number} start @param {number} span @param {number} width */
  #ruler(pen, start, span, width) {
    const step = STEPS_S.find((one) => (one / span) * width > 64) ?? 7200;
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    for (let i = Math.ceil(start / step); i * step <= start + span; i++) {
      const x = Math.round(((i * step - start) / span) * width);
      pen.fillStyle = this.look.colours.line;
      pen.fillRect(x, 13, 1, RULER_PX - 13);
      pen.fillStyle = this.look.colours.quiet;
      pen.textAlign = x < 12 ? "left" : x > width - 24 ? "right" : "center";
      pen.fillText(clock(i * step, step < 1), x + (x < 12 ? 5 : 0), 7);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} pen @param {string} stem @param {number} top
   * @param {(time: number) => number} x @param {number} first @param {number} last
   * @param {Map<string, Stretch[]>} speaking
   */
  #lane(pen, stem, top, x, first, last, speaking) {
    const person = this.recording.state.people.find(({ id }) => String(id) === stem);
    const colour = person ? this.look.people[Number(colourOf(person.number)) - 1] : this.look.colours.neutral;
    const bottom = top + LANE_PX - 1;
    const body = LANE_PX - 4 - SIGHT_PX;
    const own = speaking.get(stem) ?? [];
    pen.fillStyle = colour;
    if (person) {
      for (const [from, to] of this.inSight(person.id, first, last)) {
        pen.fillRect(x(from), bottom - SIGHT_PX, Math.max(1, x(to) - x(from)), SIGHT_PX - 1);
      }
      pen.globalAlpha = 0.24;
      for (const [from, to] of own) pen.fillRect(x(from), top + 2, Math.max(1, x(to) - x(from)), body);
    }
    pen.globalAlpha = this.mix.factor(stem) === 0 ? 0.35 : 1;
    this.#wave(pen, stem, top + 2 + body / 2, body / 2, x, first, last);
    pen.globalAlpha = 0.55;
    if (person) {
      pen.fillStyle = this.look.hatch;
      for (const [other, stretches] of speaking) {
        if (other === stem) continue;
        for (const [from, to] of common(own, stretches)) pen.fillRect(x(from), top + 2, x(to) - x(from), body);
      }
    }
    pen.fillStyle = this.look.dots;
    for (const [from, to] of this.unsure(stem, first, last)) pen.fillRect(x(from), top + 2, x(to) - x(from), body);
    pen.globalAlpha = 1;
  }

  /**
   * Sentences, each as far as it can be read until the next begins.
   * @param {CanvasRenderingContext2D} pen @param {string} stem @param {number} top
   * @param {(time: number) => number} x @param {number} width
   */
  #words(pen, stem, top, x, width) {
    const said = this.recording.words[stem] ?? [];
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "left";
    said.forEach(({ start, stop, text }, i) => {
      const left = Math.max(0, x(start)) + 1; // what began before the view is read at its edge
      const right = Math.min(width, x(Math.max(stop, Math.min(said[i + 1]?.start ?? Infinity, stop + 2)))) - 3;
      if (x(stop) < 0 || left > width) return;
      const shown = fitting(pen, text, right - left - 6);
      if (!shown) return;
      pen.globalAlpha = 0.86;
      pen.fillStyle = this.look.colours.panel;
      pen.fillRect(left, top, pen.measureText(shown).width + 6, WORDS_PX);
      pen.globalAlpha = 1;
      pen.fillStyle = this.look.colours.text;
      pen.fillText(shown, left + 3, top + WORDS_PX / 2 + 0.5);
    });
  }

  /**
   * @param {CanvasRenderingContext2D} pen @param {string} stem @param {number} middle @param {number} half
   * @param {(time: number) => number} x @param {number} first @param {number} last
   */
  #wave(pen, stem, middle, half, x, first, last) {
    const columns = new Float32Array(Math.ceil(this.canvas.clientWidth) + 1);
    for (const { at, voices } of this.#voices(first, last)) {
      const peaks = voices.stems.get(stem)?.peaks;
      if (!peaks) continue;
      for (let i = 0; i < peaks.length; i++) {
        const height = Math.sqrt(peaks[i] / 255); // quiet speech is to be seen too
        const left = Math.max(0, Math.round(x(at + i / PER_SECOND)));
        const right = Math.min(columns.length, Math.max(left + 1, Math.round(x(at + (i + 1) / PER_SECOND))));
        for (let column = left; column < right; column++) columns[column] = Math.max(columns[column], height);
      }
    }
    columns.forEach((height, column) => {
      if (height > 0) pen.fillRect(column, middle - height * half, 1, Math.max(1, 2 * height * half));
    });
  }

  /**
   * What is not computed yet is shown as such.
   * @param {CanvasRenderingContext2D} pen @param {(time: number) => number} x
   * @param {number} first @param {number} last @param {number} count of lanes
   */
  #pending(pen, x, first, last, count) {
    const { chunk_s } = this.recording.state;
    const { duration } = this.recording.file;
    /** @type {Stretch[]} */
    const missing = [];
    for (let k = first; k <= last; k++) {
      if (this.recording.voicesVersion(k) === null) missing.push([k * chunk_s, Math.min(duration, (k + 1) * chunk_s)]);
    }
    const height = count * LANE_PX - 2;
    for (const [from, to] of joined(missing, 0.01)) {
      const left = Math.max(0, x(from));
      const width = Math.min(this.canvas.clientWidth, x(to)) - left;
      pen.fillStyle = this.look.stripes;
      for (let lane = 0; lane < count; lane++) {
        pen.fillRect(left, RULER_PX + lane * LANE_PX + 1, width, LANE_PX - 4 - SIGHT_PX);
      }
      const words = "voices not computed yet";
      if (width < 160) continue;
      const textWidth = pen.measureText(words).width + 16;
      pen.fillStyle = this.look.colours.pending;
      pen.fillRect(left + width / 2 - textWidth / 2, RULER_PX + height / 2 - 10, textWidth, 20);
      pen.fillStyle = this.look.colours.quiet;
      pen.textAlign = "center";
      pen.fillText(words, left + width / 2, RULER_PX + height / 2);
    }
  }

  /** The whole recording: what is computed, and what of it is in view. @param {number} start @param {number} span */
  #drawOverview(start, span) {
    const { state, file } = this.recording;
    const width = this.overview.parentElement?.clientWidth ?? 0;
    const pen = prepare(this.overview, width, 18);
    if (!pen) return;
    const scale = width / file.duration;
    pen.fillStyle = this.look.colours.lane;
    pen.fillRect(0, 3, width, 12);
    for (const [ready, top, colour] of /** @type {[Record<string, number>, number, string][]} */ ([
      [state.faces_ready, 4, this.look.colours.quiet],
      [state.voices_ready, 10, this.look.colours.accent],
    ])) {
      pen.fillStyle = colour;
      for (const key of Object.keys(ready)) {
        const from = Number(key) * state.chunk_s;
        pen.fillRect(from * scale, top, (Math.min(file.duration, from + state.chunk_s) - from) * scale + 0.5, 4);
      }
    }
    pen.strokeStyle = this.look.colours.text;
    pen.lineWidth = 2;
    pen.strokeRect(start * scale + 1, 1, Math.max(4, span * scale - 2), 16);
  }
}

/** As many whole words as fit, at least one; else nothing. @param {CanvasRenderingContext2D} pen @param {string} text @param {number} width */
function fitting(pen, text, width) {
  if (width <= 0) return "";
  if (pen.measureText(text).width <= width) return text;
  const words = text.split(" ");
  let shown = "";
  for (let count = 1; count < words.length; count++) {
    const more = `${words.slice(0, count).join(" ")} …`;
    if (pen.measureText(more).width > width) break;
    shown = more;
  }
  return shown;
}

/** What two lists of stretches have in common. @param {Stretch[]} a @param {Stretch[]} b */
function common(a, b) {
  /** @type {Stretch[]} */
  const found = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const from = Math.max(a[i][0], b[j][0]);
    const to = Math.min(a[i][1], b[j][1]);
    if (to > from) found.push([from, to]);
    if (a[i][1] < b[j][1]) i++;
    else j++;
  }
  return found;
}

/** @param {HTMLCanvasElement} canvas @param {number} width @param {number} height in CSS pixels */
function prepare(canvas, width, height) {
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen?.scale(density, density);
  return pen;
}

/** The colours and patterns of the page, light or dark. */
function look() {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const [text, line] = [colour("--text"), colour("--line")];
  return {
    colours: { text, line, quiet: colour("--quiet"), panel: colour("--panel"), lane: colour("--lane-back"),
      pending: colour("--pending"), neutral: colour("--neutral"), accent: colour("--accent") },
    people: Array.from({ length: COLOURS }, (_, i) => colour(`--p${i + 1}`)),
    hatch: pattern(text, (pen) => {
      for (const x of [-8, 0, 8]) {
        pen.moveTo(x, 8);
        pen.lineTo(x + 8, 0);
      }
      pen.stroke();
    }),
    dots: pattern(text, (pen) => {
      for (const at of [1, 5]) pen.fillRect(at, at, 2, 2);
    }),
    stripes: pattern(line, (pen) => pen.fillRect(0, 0, 1, 8)),
  };
}

/** @param {string} colour @param {(pen: CanvasRenderingContext2D) => void} draw on 8 by 8 pixels */
function pattern(colour, draw) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  if (!pen) return colour;
  pen.fillStyle = pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  pen.beginPath();
  draw(pen);
  return pen.createPattern(tile, "repeat") ?? colour;
}
