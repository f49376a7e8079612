// @ts-check
/** Without a recording: a place where one is dropped or chosen. */

import { Refusal } from "./api.js";
import { part, sizeInWords } from "./words.js";

/** @param {(state: import("./api.js").State) => void} opened */
export function welcome(opened) {
  const page = part("welcome", HTMLElement);
  const drop = part("drop", HTMLElement);
  const choose = part("choose", HTMLInputElement);
  const bar = part("upload", HTMLProgressElement);
  const about = part("upload-about", HTMLElement);
  page.hidden = false;
  let busy = false;

  const send = async (/** @type {File} */ file) => {
    if (busy) return;
    busy = true;
    bar.hidden = false;
    about.classList.remove("trouble");
    about.textContent = `Reading ${file.name} (${sizeInWords(file.size)}). It stays on this computer.`;
    try {
      const state = await upload(file, (done) => (bar.value = done));
      page.hidden = true;
      opened(state);
    } catch (error) {
      about.classList.add("trouble");
      const hint = error instanceof Refusal ? ` ${error.hint}` : "";
      about.textContent = `${error instanceof Error ? error.message : error}${hint}`;
    } finally {
      busy = false;
      bar.hidden = true;
    }
  };

  choose.addEventListener("change", () => {
    const file = choose.files?.[0];
    if (file) void send(file);
    choose.value = "";
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    page.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
    });
  }
  page.addEventListener("drop", (event) => {
    const file = event.dataTransfer?.files[0];
    if (file) void send(file);
  });
}

/**
 * fetch() tells no progress of what it sends: XMLHttpRequest does.
 * @param {File} file @param {(done: number) => void} progress
 * @returns {Promise<import("./api.js").State>}
 */
function upload(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/open?name=${encodeURIComponent(file.name)}`);
    request.upload.onprogress = (event) => progress(event.loaded / Math.max(1, event.total));
    request.onerror = () => reject(new Refusal("avse does not answer.", "Check its terminal.", 0));
    request.onload = () => {
      let answer;
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        answer = { error: `The server answered ${request.status}.`, hint: "" };
      }
      if (request.status === 200) resolve(answer);
      else reject(new Refusal(answer.error ?? "The file could not be opened.", answer.hint ?? "", request.status));
    };
    request.send(file);
  });
}
