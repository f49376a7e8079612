// @ts-check
/** Main module of the page: opens the recording, runs the frames, handles the keys. */

import { follow, get, post } from "./api.js";
import { Boxes } from "./boxes.js";
import { Corrections } from "./correct.js";
import { Desk } from "./desk.js";
import { Exports } from "./export.js";
import { Mix } from "./mix.js";
import { Notices } from "./notices.js";
import { welcome } from "./open.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { Recording } from "./recording.js";
import { Sounds } from "./sounds.js";
import { Timeline } from "./timeline.js";
import { Transcript } from "./transcript.js";
import { Transport } from "./transport.js";
import { part } from "./words.js";

/** @typedef {import("./api.js").State} State */

const ASK_AGAIN_MS = 5000;

const notices = new Notices(part("notices", HTMLElement));

/**
 * All objects of an open recording.
 * @typedef {{recording: Recording, player: Player, picture: Picture, exports: Exports, transport: Transport}} Room
 */
/** @type {Room | null} */
let room = null;

/** Show a recording and connect its sound. @param {State} state with a file */
async function open(state) {
  const recording = new Recording(state);
  const { file } = recording;
  document.title = `${file.name} – avse`;
  part("file-name", HTMLElement).textContent = file.name;
  part("work", HTMLElement).hidden = false;
  part("tools", HTMLElement).hidden = false;
  const stage = part("stage", HTMLElement);
  stage.style.setProperty("--shape", `${file.width || 16} / ${file.height || 9}`);
  stage.style.setProperty("--shape-number", String((file.width || 16) / (file.height || 9)));
  const mix = new Mix();
  const player = new Player(file, state.chunk_s);
  const failed = (/** @type {unknown} */ error) => notices.problem(error);
  const picture = new Picture(part("video", HTMLVideoElement), recording, player, failed);
  const corrections = new Corrections(recording, notices, take);
  corrections.connectOffset(picture);
  const exports = new Exports(recording, mix, notices);
  const transport = new Transport(recording, player, mix);
  room = { recording, player, picture, exports, transport };
  const hint = part("hint", HTMLElement);
  const hintKnown = () => {
    hint.hidden = known = true;
  };
  let known = false;
  const showHint = () => {
    hint.hidden = known;
    const { people, progress } = recording.state;
    const looking = progress.faces.done_s < progress.faces.total_s;
    hint.textContent = people.length > 0 ? "Click a face to hear only that person"
      : looking ? "Looking for faces …" : "No face was found. The mixer has off-screen speech and everything else.";
  };
  for (const name of ["state", "progress"]) recording.addEventListener(name, showHint);
  showHint();
  const boxes = new Boxes(part("boxes", HTMLElement), recording, picture, mix, (stem) => {
    hintKnown();
    mix.only(stem);
    transport.tellServer();
  });
  const desk = new Desk(part("strips", HTMLElement), recording, mix, player, corrections, () => {
    hintKnown();
    transport.tellServer();
  });
  const timeline = new Timeline(recording, player, mix, (time) => transport.seek(time));
  const transcript = new Transcript(recording, player, (time) => transport.seek(time));
  transport.onseek = (time) => timeline.reveal(time);

  const showMix = () => {
    const gains = mix.factors(recording.state.stems);
    player.order({ kind: "gains", gains, others: mix.others });
  };
  mix.addEventListener("change", showMix);
  recording.addEventListener("state", () => mix.follow(recording.state));
  showMix();

  part("add-face", HTMLButtonElement).addEventListener("click", async () => {
    transport.pause();
    hintKnown();
    const box = await boxes.draw();
    if (box) await corrections.addFace(picture.time, box);
  });
  part("save", HTMLButtonElement).addEventListener("click", () => exports.open());

  document.addEventListener("keydown", (event) => {
    if (isTyping(event)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if ((event.ctrlKey || event.metaKey) && key === "z") void corrections.undo();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (key === " ") {
      if (event.target instanceof HTMLElement && event.target.matches("button, summary, a")) return;
      transport.toggle();
    } else if (key === "a") transport.toggleOriginal();
    else if (key === "m") [desk.focused ?? mix.soloed].flat().forEach((stem) => mix.toggleMute(stem));
    else if (key === "Escape") transport.all();
    else if (key >= "1" && key <= "9") {
      const person = recording.state.people.find(({ number }) => number === Number(key));
      if (!person) return;
      hintKnown();
      mix.only(String(person.id));
      transport.tellServer();
    } else if (key === "+" || key === "=") timeline.zoom(0.5);
    else if (key === "-") timeline.zoom(2);
    else if (key === "?") part("keys", HTMLDialogElement).showModal();
    else if (key === "ArrowLeft" || key === "ArrowRight") {
      if (event.target instanceof HTMLInputElement) return; // the arrows belong to a slider
      transport.seek(player.time + (key === "ArrowLeft" ? -5 : 5));
    } else return;
    event.preventDefault();
  });

  const sounds = new Sounds(recording, player, failed);
  const frame = () => {
    picture.follow();
    boxes.follow();
    desk.follow();
    timeline.follow();
    transcript.follow();
    transport.follow();
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  let asked = performance.now();
  setInterval(() => {
    recording.focus = player.time;
    sounds.tick();
    if (!player.waiting) asked = performance.now();
    else if (performance.now() - asked > ASK_AGAIN_MS) {
      asked = performance.now(); // an event may have overtaken an older answer
      void begin();
    }
  }, 250);
  sounds.tick();
  transport.tellServer();
  await player.start();
}

/** Whether the key belongs to a text field, a list of choices or a dialog. @param {KeyboardEvent} event */
function isTyping(event) {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return true;
  const { target } = event;
  if (target instanceof HTMLInputElement) return target.type !== "range";
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** Recent events of the server. @type {{kind: "faces" | "voices", chunk: number, version: number, at: number}[]} */
const news = [];

/** @param {"faces" | "voices"} kind @param {{chunk: number, version: number}} told */
function hear(kind, told) {
  news.push({ kind, ...told, at: performance.now() });
  if (news.length > 500) news.shift();
  room?.recording.takeNews(kind, told);
}

/**
 * @param {State} state
 * @param {number} [askedAt] for an answer: when it was requested; later events are newer
 */
function take(state, askedAt = Infinity) {
  for (const { kind, chunk, version, at } of news) {
    const ready = kind === "faces" ? state.faces_ready : state.voices_ready;
    if (at >= askedAt) ready[String(chunk)] = Math.max(version, ready[String(chunk)] ?? 0);
  }
  part("version", HTMLElement).textContent = `avse ${state.version}`;
  if (room) room.recording.take(state);
  else if (state.file) {
    part("welcome", HTMLElement).hidden = true;
    open(state).catch((error) => notices.problem(error));
  } else if (part("welcome", HTMLElement).hidden) welcome(take);
}

async function begin() {
  const askedAt = performance.now();
  try {
    take(await get("/api/state"), askedAt);
  } catch (error) {
    notices.problem(error);
  }
}

// After a click with the pointer, Space controls playback, not that button.
document.addEventListener("click", (event) => {
  const { target } = event;
  if (event.detail > 0 && target instanceof Element) {
    const button = target.closest("button");
    if (button && !button.closest("dialog, [role=menu]") && document.activeElement === button) button.blur();
  }
});
part("help", HTMLButtonElement).addEventListener("click", () => part("keys", HTMLDialogElement).showModal());

/**
 * For automation: output levels, measured in the audio graph, and the state of the page.
 * levels(): RMS in dB of each stem after its fader, and of the buses `result`, `original` (at the
 *   loudness of the result) and `heard`; state(): the state of the page; time(): seconds of the
 *   recording; seek(time): go there; drift_ms(): picture ahead of the sound; recent(): the last samples of the output.
 */
Reflect.set(window, "avse", {
  levels: () => (room ? { ...room.player.stemLevels(), ...room.player.busLevels() } : {}),
  state: () => ({
    ...room?.recording.state,
    playing: room?.player.playing ?? false,
    running: room?.player.running ?? false,
    waiting: room?.player.waiting ?? false,
    original: room?.player.original ?? false,
    proxy: Boolean(room?.picture.segments),
  }),
  time: () => room?.player.time ?? 0,
  seek: (/** @type {number} */ time) => room?.transport.seek(time),
  drift_ms: () => room?.picture.driftMs ?? 0,
  recent: () => room?.player.recent() ?? new Float32Array(0),
});

void begin().then(() => {
  follow(
    {
      state: take,
      progress: (progress) => room?.recording.takeProgress(progress),
      faces: (told) => hear("faces", told),
      voices: (told) => hear("voices", told),
      words: () => room?.recording.takeWords(),
      export: (one) => room?.exports.take(one),
      problem: ({ error, hint }) => notices.say(error, { hint: hint ?? "", problem: true }),
    },
    () => notices.say("The connection to avse is lost.", { key: "connection", problem: true,
      hint: "This page connects again by itself. If avse has ended, start it again in the terminal." }),
    (again) => {
      if (again) notices.say("Connected again.", { key: "connection", seconds: 4 });
      void begin();
    },
  );
});
