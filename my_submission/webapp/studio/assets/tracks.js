// Cards of the mixture and the stems; a player that starts stops all others.
const PLAYING = "mdx-playing";

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const card = (track, data) => {
  const audio = element("audio", { controls: true, preload: "metadata", src: track.audio });
  const playhead = element("div", { className: "playhead", hidden: true });
  const image = element("img", { alt: `waveform and spectrogram of ${track.name}`, draggable: false });
  const picture = element("div", { className: "picture" }, image, playhead);
  const warning = element("span", { className: "warning", textContent: track.warning });
  const header = element(
    "header", {},
    element("h3", { textContent: track.name }),
    element("span", { className: "levels", textContent: track.levels }), warning, audio,
  );
  const link = element("a", { className: "download", textContent: "Download" });
  if (track.download) header.append(link);
  const section = element("section", { className: "track" }, header, picture);
  section.dataset.track = track.name;
  section.style.setProperty("--track", track.colour);

  const movePlayhead = () => {
    const share = Math.min(1, audio.currentTime / data.seconds);
    playhead.style.left = `${100 * (data.left + share * (data.right - data.left))}%`;
    playhead.hidden = audio.paused && audio.currentTime === 0;
  };
  let frame = 0;
  const follow = () => { movePlayhead(); frame = audio.paused ? 0 : requestAnimationFrame(follow); };
  audio.addEventListener("play", () => {
    document.dispatchEvent(new CustomEvent(PLAYING, { detail: audio }));
    if (!frame) follow();
  });
  audio.addEventListener("seeked", movePlayhead);
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width - data.left) / (data.right - data.left);
    audio.currentTime = Math.min(1, Math.max(0, share)) * data.seconds;
    movePlayhead();
  });
  const update = (now) => {
    if (image.getAttribute("src") !== now.picture) image.src = now.picture;
    link.href = now.download;
    link.setAttribute("download", "");
  };
  update(track);
  return { section, audio, update };
};

export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".tracks");
  if (!root.cards || root.dataset.song !== data.song) {
    root.dataset.song = data.song;
    root.cards = data.tracks.map((track) => card(track, data));
    root.all = element("a", { className: "download all", textContent: "Download all stems (ZIP)" });
    root.replaceChildren(...root.cards.map(({ section }) => section), element("footer", {}, root.all));
  }
  data.tracks.forEach((track, index) => root.cards[index].update(track));
  root.all.href = data.all;
  root.all.setAttribute("download", "");

  const stopOthers = (event) => {
    root.cards.forEach(({ audio }) => { if (audio !== event.detail) audio.pause(); });
  };
  document.addEventListener(PLAYING, stopOthers);
  return () => {
    document.removeEventListener(PLAYING, stopOthers);
    root.cards.forEach(({ audio }) => audio.pause());
  };
}
