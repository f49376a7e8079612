// @ts-check
/** The mix: the gain of each stem, and the soloed and muted stems. */

/** @typedef {import("./api.js").State} State */

export const LOWEST_DB = -40; // the lowest position of a fader is silence
export const HIGHEST_DB = 12;

export class Mix extends EventTarget {
  /** @type {Map<string, number>} */
  #gains = new Map();
  /** @type {Set<string>} */
  #muted = new Set();
  /** @type {Set<string>} */
  #soloed = new Set();

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** @param {string} stem */
  gainDb(stem) {
    return this.#gains.get(stem) ?? 0;
  }

  /** @param {string} stem @param {number} gainDb */
  setGain(stem, gainDb) {
    this.#gains.set(stem, gainDb);
    this.#changed();
  }

  /** @param {string} stem */
  isMuted(stem) {
    return this.#muted.has(stem);
  }

  /** @param {string} stem */
  isSoloed(stem) {
    return this.#soloed.has(stem);
  }

  get soloed() {
    return [...this.#soloed];
  }

  /** @param {string} stem */
  toggleMute(stem) {
    if (!this.#muted.delete(stem)) this.#muted.add(stem);
    this.#changed();
  }

  /** Toggle solo of this stem, beside others. @param {string} stem */
  toggleSolo(stem) {
    if (!this.#soloed.delete(stem)) this.#soloed.add(stem);
    this.#changed();
  }

  /** Solo only this stem; if it was the only one, end solo. @param {string} stem */
  only(stem) {
    const again = this.#soloed.size === 1 && this.#soloed.has(stem);
    this.#soloed = new Set(again ? [] : [stem]);
    this.#changed();
  }

  /** End solo. */
  all() {
    this.#soloed.clear();
    this.#changed();
  }

  /** Linear gain of this stem, with solo and mute. @param {string} stem */
  factor(stem) {
    if (this.#soloed.size > 0 && !this.#soloed.has(stem)) return 0;
    if (this.#muted.has(stem)) return 0;
    const gainDb = this.gainDb(stem);
    return gainDb <= LOWEST_DB ? 0 : 10 ** (gainDb / 20);
  }

  /** @param {string[]} stems @returns {Record<string, number>} */
  factors(stems) {
    return Object.fromEntries(stems.map((stem) => [stem, this.factor(stem)]));
  }

  /** Linear gain of stems that do not exist yet, for people who appear later. */
  get others() {
    return this.#soloed.size > 0 ? 0 : 1;
  }

  /** The result is the original. @param {string[]} stems */
  isPlain(stems) {
    return this.#soloed.size === 0 && stems.every((stem) => this.factor(stem) === 1);
  }

  /** Drop people who were merged or removed. Solo stays for all others. @param {State} state */
  follow(state) {
    const known = new Set(state.stems);
    for (const stem of this.soloed.filter((one) => !known.has(one))) {
      this.#soloed.delete(stem);
      const heir = state.people.find((person) => person.merged.map(String).includes(stem));
      if (heir) this.#soloed.add(String(heir.id));
    }
    for (const stem of [...this.#muted].filter((one) => !known.has(one))) this.#muted.delete(stem);
    for (const stem of [...this.#gains.keys()].filter((one) => !known.has(one))) this.#gains.delete(stem);
    this.#changed();
  }
}
