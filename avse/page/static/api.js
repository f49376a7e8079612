// @ts-check
/**
 * Requests to the server: JSON, sound and server-sent events, with the types of its answers.
 *
 * @typedef {{id: number, number: number, name: string | null, seen_s: number, speaking_s: number,
 *   confidence: number | null, still: boolean, merged: number[]}} Person
 * @typedef {{done_s: number, total_s: number, left_s: number | null, here: boolean}} Pass
 * @typedef {{faces: Pass, voices: Pass, doing: string}} Progress
 * @typedef {{name: string, duration: number, width: number, height: number, fps: number,
 *   rate: number, channels: number, media_type: string | null, proxy_type: string,
 *   chunks: number}} MediaFile
 * @typedef {{id: number, label: string, state: "waiting" | "running" | "done" | "failed" | "cancelled",
 *   done: number, left_s: number | null, files: {name: string, size: number, url: string}[],
 *   error: string | null, hint: string | null, warnings: string[]}} Export
 * @typedef {{version: string, file: MediaFile | null, chunk_s: number, revision: number,
 *   people: Person[], stems: string[], faces_ready: Record<string, number>,
 *   voices_ready: Record<string, number>,
 *   offset: {measured_ms: number | null, sure: boolean, set_ms: number | null}, can_undo: boolean,
 *   progress: Progress, exports: Export[],
 *   formats: {sound: string[], video: string[], text: string[]}, transcriber: string | null}} State
 * @typedef {{person: number, times: number[], boxes: number[][]}} Track
 * @typedef {{start: number, stop: number, tracks: Track[], cuts: number[]}} Faces
 * @typedef {{peaks: number[], speaking: (number | null)[] | null, unsure: [number, number][],
 *   level_db: number}} Lane
 * @typedef {{start: number, stop: number, rate: number, channels: number, samples: number,
 *   stems: Record<string, Lane>}} Voices
 * @typedef {{start: number, stop: number, text: string}} Sentence
 * @typedef {Record<string, Sentence[]>} Words what each person says, by the stem
 */

/** The server refused or did not answer: the error, the next step, and the HTTP status (0: none). */
export class Refusal extends Error {
  /** @param {string} message @param {string} hint @param {number} status */
  constructor(message, hint, status) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal("avse does not answer.", "Look at the terminal in which it was started.", 0);
  }
  if (answer.ok) return answer;
  if (answer.status === 403) {
    throw new Refusal(
      "avse does not accept this page any more.",
      "Open the address that avse printed in the terminal.",
      403,
    );
  }
  const told = await answer.json().catch(() => ({}));
  const words = typeof told.error === "string" ? told.error : `The server answered ${answer.status}.`;
  throw new Refusal(words, typeof told.hint === "string" ? told.hint : "", answer.status);
}

/**
 * @template T
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export async function get(path, signal) {
  return (await ask(path, signal ? { signal } : {})).json();
}

/**
 * Post JSON and return the JSON of the answer, or null if it is empty.
 * @template T
 * @param {string} path
 * @param {unknown} body
 * @returns {Promise<T | null>}
 */
export async function post(path, body) {
  const answer = await ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer.status === 204 ? null : answer.json();
}

/**
 * Fetch the bytes of a video segment.
 * @param {string} path
 * @param {AbortSignal} signal
 */
export async function bytes(path, signal) {
  return (await ask(path, { signal })).arrayBuffer();
}

/**
 * Fetch the samples of one stem of one chunk, and their first sample on the timeline.
 * @param {number} chunk
 * @param {string} stem
 * @param {number} version
 * @param {AbortSignal} signal
 * @returns {Promise<{start: number, length: number, channels: Float32Array[], buffer: ArrayBuffer}>}
 *   the channels are views on the one buffer
 */
export async function sound(chunk, stem, version, signal) {
  const answer = await ask(`/api/sound/${chunk}/${encodeURIComponent(stem)}?v=${version}`, { signal });
  const count = Number(answer.headers.get("X-Channels"));
  const length = Number(answer.headers.get("X-Samples"));
  const start = Number(answer.headers.get("X-Start-Sample"));
  const buffer = await answer.arrayBuffer();
  const samples = new Float32Array(buffer);
  if (!(count > 0) || samples.length !== count * length) {
    throw new Refusal("The server sent sound of an unexpected length.", "", answer.status);
  }
  const channels = [];
  for (let c = 0; c < count; c++) channels.push(samples.subarray(c * length, (c + 1) * length));
  return { start, length, channels, buffer };
}

/**
 * Follow the server's events until the page closes, and reconnect after lost connections.
 * @param {Record<string, (data: any) => void>} handlers by the name of the event
 * @param {() => void} lost is called when the connection breaks
 * @param {(again: boolean) => void} connected is called after each connection, the first one
 *   (false) and later ones (true); earlier events were not sent
 */
export function follow(handlers, lost, connected) {
  let broken = false;
  const connect = () => {
    const source = new EventSource("/api/events");
    for (const [name, handler] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        handler(JSON.parse(/** @type {MessageEvent<string>} */ (event).data));
      });
    }
    source.onopen = () => {
      connected(broken);
      broken = false;
    };
    source.onerror = () => {
      if (!broken) lost();
      broken = true;
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
    };
  };
  connect();
}
