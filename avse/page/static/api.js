// @ts-check
/**
 * Talk with the server: JSON, sound and server-sent events. The types are the answers it gives.
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

/** The server said no, or nothing: what is wrong, what to do next, and the HTTP status (0: none). */
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
 * Post JSON; gives the JSON of the answer, or null where it is empty.
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
 * Bytes of a part of the picture.
 * @param {string} path
 * @param {AbortSignal} signal
 */
export async function bytes(path, signal) {
  return (await ask(path, { signal })).arrayBuffer();
}

/**
 * The samples of one stem of one chunk, and the sample of the time line at which they start.
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
    throw new Refusal("The server sent sound of another length than it said.", "", answer.status);
  }
  const channels = [];
  for (let c = 0; c < count; c++) channels.push(samples.subarray(c * length, (c + 1) * length));
  return { start, length, channels, buffer };
}

/**
 * Follow the server's events for as long as the page lives, over lost connections.
 * @param {Record<string, (data: any) => void>} handlers by the name of the event
 * @param {() => void} lost is called when the connection breaks
 * @param {(again: boolean) => void} connected is called when it stands, at first and again: what
 *   happened before was not told
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
