"use strict";
// Players take turns at one position of the song, so that stems can be compared; a click into a plot moves there.
const tracks = [...document.querySelectorAll("section.track")]
  .map((section) => ({
    audio: section.querySelector("audio"),
    plot: section.querySelector(".plot"),
    playhead: section.querySelector(".playhead"),
  }))
  .filter((track) => track.audio);
let heard = null;

function show(seconds, duration) {
  for (const { playhead } of tracks) {
    playhead.hidden = false;
    playhead.style.left = `${100 * Math.min(1, seconds / duration)}%`;
  }
}

for (const { audio, plot } of tracks) {
  audio.addEventListener("play", () => {
    if (heard && heard !== audio) {
      const position = heard.currentTime;
      heard.pause();
      audio.currentTime = position;
    }
    heard = audio;
  });
  audio.addEventListener("timeupdate", () => {
    if (audio === heard && audio.duration) show(audio.currentTime, audio.duration);
  });
  audio.addEventListener("seeked", () => {
    if (audio === (heard ?? audio) && audio.duration) show(audio.currentTime, audio.duration);
  });
  plot.addEventListener("click", (event) => {
    const box = plot.getBoundingClientRect();
    const target = heard ?? audio;
    if (target.duration) target.currentTime = ((event.clientX - box.left) / box.width) * target.duration;
    heard = target;
  });
}
