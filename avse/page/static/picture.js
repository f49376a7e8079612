// @ts-check
/**
 * The picture follows the sound: a muted video whose speed is changed where it is a little off, and
 * that jumps where it is far off. Shows the recording itself, or segments made by the server.
 */

import { Segments } from "./segments.js";

/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./player.js").Player} Player */

const CLOSE_S = 0.008; // nearer than this is in step
const FAR_S = 0.6; // farther than this is reached by a jump
const LAST_FRAME_S = 0.05; // there is no picture at the very end
const JUMP_EVERY_MS = 1500;
const SLOW_JUMP_MS = 4000;

export class Picture {
  /**
   * @param {HTMLVideoElement} video @param {Recording} recording @param {Player} player
   * @param {(refusal: import("./api.js").Refusal) => void} failed
   */
  constructor(video, recording, player, failed) {
    this.video = video;
    this.recording = recording;
    this.player = player;
    this.failed = failed;
    /** @type {Segments | null} */
    this.segments = null;
    /** Sound against picture in seconds while the slider moves; null: as the server knows it. @type {number | null} */
    this.trial = null;
    this.jumpedAt = -Infinity;
    this.jumpTakes = 0.1;
    video.muted = true;
    video.addEventListener("error", () => this.#useSegments());
    video.addEventListener("loadedmetadata", () => {
      if (video.videoWidth === 0) this.#useSegments(); // the browser decodes the sound only
    });
    video.addEventListener("seeked", () => {
      const took = (performance.now() - this.jumpedAt) / 1000;
      if (player.running && took < 1.5) this.jumpTakes = took;
    });
    const type = recording.file.media_type;
    if (type !== null && video.canPlayType(type) !== "") video.src = "/media";
    else this.#useSegments();
  }

  #useSegments() {
    if (this.segments) return;
    this.segments = new Segments(this.video, this.recording, this.failed);
  }

  /** The time of the picture that belongs to what is heard now. */
  get wanted() {
    const late = this.trial ?? this.recording.late;
    return Math.max(0, Math.min(this.player.time - late, this.recording.file.duration - LAST_FRAME_S));
  }

  /** The time of the picture that is shown. */
  get time() {
    return this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA ? this.video.currentTime : this.wanted;
  }

  /** By how much the picture is ahead of the sound, in milliseconds. */
  get driftMs() {
    return 1000 * (this.video.currentTime - this.wanted);
  }

  /** To be called for each frame that is drawn. */
  follow() {
    const { video, wanted } = this;
    this.segments?.around(wanted);
    if (video.readyState === HTMLMediaElement.HAVE_NOTHING) return;
    const off = video.currentTime - wanted;
    if (!this.player.running) {
      if (!video.paused) video.pause();
      if (Math.abs(off) > 0.02 && !video.seeking) video.currentTime = wanted;
      return;
    }
    if (video.paused && !video.ended) video.play().catch(() => {}); // it is muted: allowed; asked again
    // A jump to where segments were dropped meanwhile never ends: after a while jump again.
    const since = performance.now() - this.jumpedAt;
    if (video.seeking && since < (this.segments ? JUMP_EVERY_MS : SLOW_JUMP_MS)) return;
    if (Math.abs(off) > FAR_S && since > JUMP_EVERY_MS) {
      this.jumpedAt = performance.now();
      video.currentTime = Math.min(wanted + this.jumpTakes, this.recording.file.duration);
      return;
    }
    if (video.seeking) return;
    const rate = Math.abs(off) < CLOSE_S ? 1 : Math.min(1.6, Math.max(0.4, 1 - 2 * off));
    const rounded = Math.round(rate * 50) / 50;
    if (video.playbackRate !== rounded) video.playbackRate = rounded;
  }
}
