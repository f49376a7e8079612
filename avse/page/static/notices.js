// @ts-check
/** Says in words what happened and what to do next: a list of notices, the same one never twice. */

import { el } from "./words.js";

/**
 * @typedef {{key?: string, hint?: string, problem?: boolean, seconds?: number,
 *   action?: {label: string, run: () => void}}} Options
 *   seconds: it goes away by itself after so long
 */

export class Notices {
  /** @param {HTMLElement} list with role "status" or "log" */
  constructor(list) {
    this.list = list;
    /** @type {Map<string, HTMLElement>} */
    this.shown = new Map();
  }

  /** @param {string} text @param {Options} [options] */
  say(text, { key = text, hint = "", problem = false, seconds = 0, action } = {}) {
    this.remove(key);
    const words = el("p", {}, el("strong", {}, text), hint ? ` ${hint}` : "");
    const notice = el("div", { className: problem ? "notice problem" : "notice" }, words);
    if (problem) notice.setAttribute("role", "alert");
    if (action) {
      const button = el("button", { type: "button" }, action.label);
      button.addEventListener("click", () => {
        this.remove(key);
        action.run();
      });
      notice.append(button);
    }
    const close = el("button", { type: "button", className: "plain", "aria-label": "Close this message" }, "✕");
    close.addEventListener("click", () => this.remove(key));
    notice.append(close);
    this.list.append(notice);
    this.shown.set(key, notice);
    if (seconds > 0) {
      setTimeout(() => {
        if (this.shown.get(key) === notice) this.remove(key);
      }, seconds * 1000);
    }
  }

  /** @param {unknown} error what a request threw */
  problem(error) {
    const text = error instanceof Error ? error.message : String(error);
    const hint = error instanceof Error && "hint" in error ? String(error.hint) : "";
    this.say(text, { hint, problem: true });
  }

  /** @param {string} key */
  remove(key) {
    this.shown.get(key)?.remove();
    this.shown.delete(key);
  }
}
