// The mixer: one file has all stems as pairs of channels, so that they stay in sync.
const PLAYING = "mdx-playing";
const LOWEST_DB = -40;

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

const toggle = (label, name, what) => {
  const button = element("button", { type: "button", className: what, textContent: label });
  button.setAttribute("aria-label", `${what} ${name}`);
  button.setAttribute("aria-pressed", "false");
  return button;
};

const isOn = (button) => button.getAttribute("aria-pressed") === "true";

const makeStrip = ({ name, colour }) => {
  const mute = toggle("M", name, "mute");
  const solo = toggle("S", name, "solo");
  const gain = element("input", { type: "range", min: LOWEST_DB, max: 6, step: 0.5, value: 0 });
  gain.setAttribute("aria-label", `gain ${name}`);
  const shown = element("output", { textContent: "0.0 dB" });
  const fill = element("div", { className: "fill" });
  const meter = element("div", { className: "meter" }, fill);
  const row = element("div", { className: "strip" }, element("span", { className: "name", textContent: name }), mute, solo, gain, shown, meter);
  row.style.setProperty("--track", colour);
  row.dataset.strip = name;
  row.dataset.level = "0";
  return { row, mute, solo, gain, shown, fill };
};

const connect = (audio, strips) => {
  const context = new AudioContext();
  const source = context.createMediaElementSource(audio);
  const splitter = context.createChannelSplitter(2 * strips.length);
  source.connect(splitter);
  for (const [index, strip] of strips.entries()) {
    const pair = context.createChannelMerger(2);
    splitter.connect(pair, 2 * index, 0);
    splitter.connect(pair, 2 * index + 1, 1);
    strip.node = context.createGain();
    strip.analyser = context.createAnalyser();
    strip.analyser.fftSize = 2048;
    pair.connect(strip.node);
    strip.node.connect(strip.analyser);
    strip.node.connect(context.destination);
  }
  return context;
};

const build = (root, data) => {
  const audio = element("audio", { preload: "none", src: data.address });
  const play = element("button", { type: "button", className: "play", textContent: "▶" });
  play.setAttribute("aria-label", "play the mix");
  const position = element("input", { type: "range", className: "position", min: 0, max: data.seconds, step: 0.01, value: 0 });
  position.setAttribute("aria-label", "position");
  const time = element("output", { className: "time" });
  const reset = element("button", { type: "button", className: "reset", textContent: "Reset" });
  const strips = data.strips.map(makeStrip);
  root.replaceChildren(
    element("div", { className: "transport" }, play, position, time, reset),
    ...strips.map(({ row }) => row), audio,
  );

  let context = null;
  const apply = () => {
    const isAnySolo = strips.some(({ solo }) => isOn(solo));
    for (const strip of strips) {
      const db = Number(strip.gain.value);
      const isAudible = !isOn(strip.mute) && (!isAnySolo || isOn(strip.solo)) && db > LOWEST_DB;
      strip.shown.textContent = db > LOWEST_DB ? `${db > 0 ? "+" : ""}${db.toFixed(1).replace("-", "−")} dB` : "off";
      strip.row.classList.toggle("silent", !isAudible);
      if (context) strip.node.gain.setTargetAtTime(isAudible ? 10 ** (db / 20) : 0, context.currentTime, 0.015);
    }
  };
  const show = () => {
    time.textContent = `${clock(audio.currentTime)} / ${clock(data.seconds)}`;
    if (!root.isSeeking) position.value = audio.currentTime;
  };
  const samples = new Float32Array(2048);
  let frame = 0;
  const follow = () => {
    show();
    for (const { row, analyser, fill } of strips) {
      analyser.getFloatTimeDomainData(samples);
      const peak = audio.paused ? 0 : samples.reduce((highest, value) => Math.max(highest, Math.abs(value)), 0);
      row.dataset.level = peak.toFixed(5);
      fill.style.width = `${100 * Math.max(0, 1 + (20 * Math.log10(peak + 1e-9)) / 60)}%`;
    }
    frame = audio.paused ? 0 : requestAnimationFrame(follow);
  };
  const isPlayingShown = () => {
    play.textContent = audio.paused ? "▶" : "❚❚";
    play.setAttribute("aria-label", audio.paused ? "play the mix" : "pause the mix");
  };

  play.addEventListener("click", async () => {
    context = context || connect(audio, strips);
    apply();
    if (!audio.paused) { audio.pause(); return; }
    await context.resume();
    await audio.play();
  });
  audio.addEventListener("play", () => {
    document.dispatchEvent(new CustomEvent(PLAYING, { detail: audio }));
    isPlayingShown();
    if (!frame) follow();
  });
  for (const event of ["pause", "ended"]) audio.addEventListener(event, isPlayingShown);
  audio.addEventListener("seeked", show);
  position.addEventListener("input", () => { root.isSeeking = true; });
  position.addEventListener("change", () => { audio.currentTime = Number(position.value); root.isSeeking = false; });
  for (const { mute, solo, gain } of strips) {
    for (const button of [mute, solo]) {
      button.addEventListener("click", () => { button.setAttribute("aria-pressed", String(!isOn(button))); apply(); });
    }
    gain.addEventListener("input", apply);
    gain.addEventListener("dblclick", () => { gain.value = 0; apply(); });
  }
  reset.addEventListener("click", () => {
    for (const { mute, solo, gain } of strips) {
      mute.setAttribute("aria-pressed", "false");
      solo.setAttribute("aria-pressed", "false");
      gain.value = 0;
    }
    apply();
  });
  apply();
  show();
  return { audio, close: () => { audio.pause(); if (context) context.close(); } };
};

export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".mixer");
  if (!root.mixer || root.dataset.song !== data.song) {
    if (root.mixer) root.mixer.close();
    root.dataset.song = data.song;
    root.mixer = build(root, data);
  }
  const stop = (event) => { if (event.detail !== root.mixer.audio) root.mixer.audio.pause(); };
  document.addEventListener(PLAYING, stop);
  return () => {
    document.removeEventListener(PLAYING, stop);
    root.mixer.close();
    root.mixer = null;
  };
}
