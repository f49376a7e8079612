// @ts-check
/** Play, pause, seek, original or result; says what is waited for, and how far the work is. */

import { post } from "./api.js";
import { clock, lengthInWords, nameOfStem, part } from "./words.js";

/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./player.js").Player} Player */
/** @typedef {import("./mix.js").Mix} Mix */

const TELL_EVERY_MS = 1000;

export class Transport {
  /** @param {Recording} recording @param {Player} player @param {Mix} mix */
  constructor(recording, player, mix) {
    this.recording = recording;
    this.player = player;
    this.mix = mix;
    /** @type {(time: number) => void} */
    this.onseek = () => {};
    this.playButton = part("play", HTMLButtonElement);
    this.resultButton = part("hear-result", HTMLButtonElement);
    this.originalButton = part("hear-original", HTMLButtonElement);
    this.allButton = part("all", HTMLButtonElement);
    this.timeText = part("time", HTMLElement);
    this.wait = part("wait", HTMLElement);
    this.over = part("over", HTMLElement);
    this.shown = "";
    this.waitSince = 0;
    this.overUntil = 0;
    this.toldAt = 0;
    /** How long the voices of a chunk took of late, in seconds. @type {number | null} */
    this.chunkTakes = null;
    this.lastVoices = performance.now();
    this.playButton.addEventListener("click", () => this.toggle());
    part("back", HTMLButtonElement).addEventListener("click", () => this.seek(player.time - 5));
    part("forward", HTMLButtonElement).addEventListener("click", () => this.seek(player.time + 5));
    this.resultButton.addEventListener("click", () => this.#hearOriginal(false));
    this.originalButton.addEventListener("click", () => this.#hearOriginal(true));
    this.allButton.addEventListener("click", () => this.all());
    part("stage", HTMLElement).addEventListener("click", (event) => {
      if (event.target instanceof Element && !event.target.closest("button, .drawing")) this.toggle();
    });
    player.addEventListener("change", () => this.#show());
    player.addEventListener("ended", () => this.tellServer());
    mix.addEventListener("change", () => this.#show());
    recording.addEventListener("progress", () => this.#showProgress());
    recording.addEventListener("state", () => {
      this.#show();
      this.#showProgress();
    });
    recording.addEventListener("voices-ready", () => {
      const now = performance.now();
      const took = (now - this.lastVoices) / 1000;
      if (took < 60) this.chunkTakes = this.chunkTakes === null ? took : 0.6 * this.chunkTakes + 0.4 * took;
      this.lastVoices = now;
    });
    setInterval(() => {
      if (player.playing) this.tellServer();
    }, TELL_EVERY_MS);
    this.#show();
    this.#showProgress();
  }

  toggle() {
    if (this.player.playing) this.pause();
    else {
      void this.player.play();
      this.tellServer();
    }
  }

  pause() {
    if (!this.player.playing) return;
    this.player.pause();
    this.tellServer();
  }

  /** @param {number} time */
  seek(time) {
    this.player.seek(time);
    this.recording.focus = this.player.time;
    this.onseek(this.player.time);
    this.tellServer();
  }

  /** Nobody is soloed, and the result is heard. */
  all() {
    this.#hearOriginal(false);
    this.mix.all();
    this.tellServer();
  }

  toggleOriginal() {
    this.#hearOriginal(!this.player.original);
  }

  /** @param {boolean} on */
  #hearOriginal(on) {
    this.player.setOriginal(on);
    this.#show();
  }

  /** Say where the listener is: that place is computed first. */
  tellServer() {
    const wanted = this.mix.soloed.map(Number).filter((id) => Number.isInteger(id));
    const time = Number(this.player.time.toFixed(3));
    // A lost connection is told by the events, not once a second by this.
    post("/api/playhead", { time, playing: this.player.playing, wanted }).catch(() => {});
  }

  #show() {
    const { player, mix } = this;
    this.playButton.setAttribute("aria-label", player.playing ? "Pause" : "Play");
    this.playButton.classList.toggle("playing", player.playing);
    this.resultButton.setAttribute("aria-pressed", String(!player.original));
    this.originalButton.setAttribute("aria-pressed", String(player.original));
    const { soloed } = mix;
    const { people } = this.recording.state;
    this.allButton.hidden = soloed.length === 0;
    const names = (/** @type {string[]} */ list) => list.map((stem) => nameOfStem(stem, people)).join(" and ");
    const muted = this.recording.state.stems.filter((stem) => mix.isMuted(stem));
    const all = muted.length > 0 ? `All but ${names(muted)}` : "All voices";
    part("who", HTMLElement).textContent = player.original ? "The original"
      : soloed.length > 0 ? `Only ${names(soloed)}` : all;
  }

  #showProgress() {
    const { progress } = this.recording.state;
    for (const kind of /** @type {const} */ (["faces", "voices"])) {
      const { done_s, total_s, left_s } = progress[kind];
      const share = total_s > 0 ? Math.min(1, done_s / total_s) : 0;
      const done = share >= 0.9999;
      part(`${kind}-bar`, HTMLProgressElement).value = share;
      const left = left_s === null ? "" : ` · ${lengthInWords(left_s)} left`;
      part(`${kind}-text`, HTMLElement).textContent = done ? "done" : `${Math.floor(100 * share)} %${left}`;
      part(`${kind}-progress`, HTMLElement).classList.toggle("done", done);
    }
    part("doing", HTMLElement).textContent = progress.doing;
  }

  /** What is waited for at the playhead, in words; "" if nothing. */
  #waitingFor() {
    const { player, recording, mix } = this;
    const { soloed } = mix;
    const chunk = recording.chunkAt(player.time + 0.05);
    const missing = recording.voicesVersion(chunk) === null;
    const asked = soloed.length > 0 || !mix.isPlain(recording.state.stems);
    if (player.playing ? !player.waiting : !(missing && asked)) return "";
    if (!missing || (player.original && !player.waiting)) return player.waiting ? "Loading the sound …" : "";
    const what = soloed.length === 1 ? "this voice" : "the voices";
    const left = this.chunkTakes === null ? null : this.chunkTakes - (performance.now() - this.lastVoices) / 1000;
    const about = left === null || left < 0.5 ? "" : ` about ${lengthInWords(left)}`;
    return `Finding ${what} at ${clock(player.time + 0.05)} …${about}`;
  }

  /** To be called for each frame that is drawn. */
  follow() {
    const { player } = this;
    const time = `${clock(player.time, true)} / ${clock(player.file.duration)}`;
    if (this.shown !== time) this.timeText.textContent = this.shown = time;
    const words = this.#waitingFor();
    const now = performance.now();
    if (words === "") this.waitSince = now;
    const visible = words !== "" && now - this.waitSince > 150;
    if (this.wait.hidden === visible) this.wait.hidden = !visible;
    const text = part("wait-text", HTMLElement);
    if (visible && text.textContent !== words) text.textContent = words;
    if (player.peak > 1) this.overUntil = now + 1500;
    player.peak = 0;
    if (this.over.hidden === now < this.overUntil) this.over.hidden = now >= this.overUntil;
  }
}
