"use strict";
(() => {
  const all = (place, query) => [...place.querySelectorAll(query)];
  const recordingOf = (player) => player.closest("article");
  const originalOf = (player) => recordingOf(player).querySelector("[data-before]");
  const stemOf = new WeakMap(); // recording -> the stem that was heard last in it
  let heard = null; // the player that was heard last

  // The player to compare with, and the same instant in it.
  function counterpart(player) {
    const original = originalOf(player);
    if (!original) return null;
    const isOriginal = player === original;
    const stem = isOriginal ? stemOf.get(recordingOf(player)) : player;
    if (!stem) return null;
    const shift = Number(stem.dataset.shift);
    const other = isOriginal ? stem : original;
    return { other, time: Math.max(0, player.currentTime + (isOriginal ? -shift : shift)) };
  }

  const loaded = (player) => new Promise((done) => {
    if (player.readyState >= 1) return done();
    for (const end of ["loadedmetadata", "error"]) player.addEventListener(end, done, { once: true });
    player.preload = "auto";
    player.load();
  });

  // Servers that send no parts of a file leave a browser at its beginning: then all of it is read.
  async function makeSeekable(player) {
    await loaded(player);
    if (location.protocol === "file:" || (player.seekable.length && player.seekable.end(0) > 0)) return;
    player.src = URL.createObjectURL(await (await fetch(player.src)).blob());
    await loaded(player);
  }

  async function compare(player) {
    const found = counterpart(player);
    if (!found) return;
    if (player !== originalOf(player)) stemOf.set(recordingOf(player), player);
    player.pause();
    await makeSeekable(found.other);
    found.other.volume = player.volume;
    found.other.muted = player.muted;
    found.other.currentTime = found.time;
    found.other.play();
  }

  function label(recording) {
    for (const button of all(recording, "button.compare")) {
      const stem = recording.querySelector("#" + button.getAttribute("aria-controls"));
      const isBack = heard === originalOf(stem) && stemOf.get(recording) === stem;
      button.textContent = isBack ? "Back to this file" : "Compare with original";
    }
  }

  document.addEventListener("play", (event) => {
    const player = event.target, recording = recordingOf(player), previous = heard;
    for (const other of all(document, "audio, video")) if (other !== player) other.pause();
    for (const row of all(document, ".on")) row.classList.remove("on");
    player.closest(".sound").classList.add("on");
    heard = player;
    if (player !== originalOf(player)) stemOf.set(recording, player);
    const found = counterpart(player);
    if (found) found.other.preload = "auto"; // so that the change is quick
    label(recording);
    if (previous) label(recordingOf(previous));
  }, true);

  document.addEventListener("error", (event) => {
    const player = event.target;
    if (!player.matches || !player.matches("audio, video")) return;
    const text = document.createElement("p");
    text.className = "warn";
    text.setAttribute("role", "status");
    text.textContent = "This browser cannot play the file. It may be missing, or in a format that only a media player reads: open the link.";
    player.replaceWith(text);
  }, true);

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.compare");
    if (!button) return;
    const stem = document.getElementById(button.getAttribute("aria-controls"));
    const isBack = heard === originalOf(stem) && stemOf.get(recordingOf(stem)) === stem;
    compare(isBack ? heard : stem);
  });

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey;
    if (event.key.toLowerCase() !== "a" || isTyping || !heard) return;
    event.preventDefault();
    compare(heard);
  });

  const search = document.getElementById("search");
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    for (const row of all(document, "[data-name]")) {
      row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
    }
  });
  for (const element of all(document, "button.compare, #tools, .keys")) element.hidden = false;
})();
