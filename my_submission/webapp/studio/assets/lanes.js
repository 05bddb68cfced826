// Lanes: one per track, with its controls, waveform, spectrogram, playhead and loop.
import { button, element, press, say, title } from "./dom.js";
import { followGestures } from "./gestures.js";
import { Strip } from "./strip.js";
import { drawTimes, drawWaveform } from "./waveform.js";

const SILENT = 0.001; // -60 dBFS
const PICTURE_WIDTHS = [800, 1200, 1600, 2400];
const LOWEST_HZ = 30; // of the logarithmic axis, as the server draws it
const LABELS_HZ = { log: [100, 1000, 10_000], linear: [5000, 10_000, 15_000, 20_000] };

/**
 * @typedef {import("./song_watch.js").Result} Result
 * @typedef {import("./schedule.js").Region} Region
 * @typedef {{fits: boolean, axis: "" | "log" | "linear"}} Look whether each lane has its own scale; the spectrograms
 */

/** The part of a lane that shows time. */
class Stage {
  canvas = element("canvas", { role: "img" });
  #playhead = element("div", { className: "playhead" });
  #loop = element("div", { className: "loop-region", hidden: true });
  #badge = element("span", { className: "badge" });
  #picture = element("img", { className: "picture", hidden: true, draggable: false });
  #hertz = element("div", { className: "hertz", "aria-hidden": "true" });
  #frame = element("div", { className: "picture-frame", hidden: true }, this.#picture, this.#hertz);

  constructor() {
    const wave = element("div", { className: "wave" }, this.canvas, this.#badge);
    this.root = element("div", { className: "stage" }, wave, this.#frame, this.#loop, this.#playhead);
    this.#picture.addEventListener("load", () => this.#frame.classList.add("drawn"));
  }

  /** @param {string} text */
  setBadge(text) {
    say(this.#badge, text);
  }

  /** @param {number} share of the width; outside 0..1 it is hidden */
  setPlayhead(share) {
    this.#playhead.style.transform = `translateX(${(100 * share).toFixed(3)}%)`;
    this.#playhead.hidden = share < 0 || share > 1;
  }

  /**
   * @param {{start: number, end: number} | null} shares
   * @param {boolean} isOn
   */
  setLoop(shares, isOn) {
    this.#loop.hidden = !shares || shares.end <= 0 || shares.start >= 1;
    this.#loop.classList.toggle("on", isOn);
    if (!shares) return;
    this.#loop.style.left = `${100 * Math.max(0, shares.start)}%`;
    this.#loop.style.right = `${100 * Math.max(0, 1 - shares.end)}%`;
  }

  /**
   * Show a spectrogram of the whole song, of which the visible part fills the stage.
   * @param {string} address "" for none
   * @param {string} text for screen readers
   * @param {{axis: "" | "log" | "linear", highest: number}} frequencies axis, and its end in Hz
   */
  setPicture(address, text, { axis, highest }) {
    this.#frame.hidden = !address;
    this.#picture.hidden = !address;
    if (!address || !axis || this.#picture.getAttribute("src") === address) return;
    this.#frame.classList.remove("drawn");
    this.#picture.src = address;
    this.#picture.alt = text;
    this.#hertz.replaceChildren(...LABELS_HZ[axis].filter((hz) => hz < highest).map((hz) => {
      const label = element("span", {}, `${hz / 1000} kHz`);
      const share = axis === "log" ? Math.log(hz / LOWEST_HZ) / Math.log(highest / LOWEST_HZ) : hz / highest;
      label.style.bottom = `${100 * share}%`;
      return label;
    }));
  }

  /** @param {import("./viewport.js").Viewport} view */
  placePicture(view) {
    this.#picture.style.width = `${100 * view.zoom}%`;
    this.#picture.style.transform = `translateX(${((-100 * view.start) / view.samples).toFixed(4)}%)`;
  }
}

/** All lanes of a result, under a time axis. */
export class Lanes {
  root = element("section", { className: "lanes", "aria-label": "Lanes" });
  #times = element("canvas", { className: "times", "aria-hidden": "true" });
  #axis = element("div", { className: "stage axis" }, this.#times);
  /** @type {Map<string, {root: HTMLElement, stage: Stage, strip: Strip | null}>} */
  #lanes = new Map();
  #view;
  #mix;
  #meaning;
  #original;
  /** @type {Result | null} */
  #result = null;
  /** @type {Look} */
  #look = { fits: true, axis: "" };
  #observer;

  /**
   * @param {import("./viewport.js").Viewport} view
   * @param {import("./mix.js").Mix} mix
   * @param {import("./gestures.js").Meaning} meaning
   * @param {() => void} onResize
   */
  constructor(view, mix, meaning, onResize) {
    this.#view = view;
    this.#mix = mix;
    this.#meaning = meaning;
    this.#original = button("Listen", { className: "toggle original", title: "Switch between original song and your mix (O)",
      "aria-label": "Listen to the original song" }, () => mix.setOriginal(!mix.isOriginal));
    this.#observer = new ResizeObserver(onResize);
    this.#observer.observe(this.root);
    followGestures(this.#axis, meaning);
  }

  close() {
    this.#observer.disconnect();
  }

  /** @param {import("./song_watch.js").Track[]} tracks in the order of the lanes */
  #build(tracks) {
    this.#lanes.clear();
    let number = 0;
    for (const { name, is_stem: isStem } of tracks) {
      const stage = new Stage();
      followGestures(stage.root, this.#meaning);
      if (isStem) number += 1;
      const strip = isStem ? new Strip(name, number, this.#mix) : null;
      const head = strip?.root ?? element("div", { className: "strip whole" },
        element("span", { className: "number", "aria-hidden": "true" }, "O"),
        element("h3", {}, "Original"), this.#original);
      const root = element("div", { className: "lane", role: "group", "aria-label": title(name) }, head, stage.root);
      root.dataset.track = name;
      this.#lanes.set(name, { root, stage, strip });
    }
    const corner = element("div", { className: "strip corner" });
    this.root.replaceChildren(element("div", { className: "lane time" }, corner, this.#axis),
      ...[...this.#lanes.values()].map(({ root }) => root));
  }

  /**
   * Show a result.
   * @param {Result} result
   * @param {(track: string) => string} download address of a stem's file, "" while there is none
   */
  update(result, download) {
    const names = result.tracks.map(({ name }) => name).join();
    if (names !== [...this.#lanes.keys()].join()) this.#build(result.tracks);
    this.#result = result;
    for (const track of result.tracks) {
      const lane = this.#lanes.get(track.name);
      lane?.root.style.setProperty("--light", track.colour_light);
      lane?.root.style.setProperty("--dark", track.colour_dark);
      lane?.strip?.setDownload(download(track.name));
    }
    this.updateMix();
  }

  /** Show mutes, solos, gains and pans. */
  updateMix() {
    press(this.#original, this.#mix.isOriginal);
    for (const [name, { root, strip }] of this.#lanes) {
      strip?.update();
      const isHeard = strip ? !this.#mix.isOriginal && this.#mix.isHeard(name) : this.#mix.isOriginal;
      root.classList.toggle("unheard", !isHeard);
    }
  }

  /**
   * Draw waveforms and times.
   * @param {import("./peaks.js").PeakLoader} peaks
   * @param {Look} look
   * @param {(track: string, axis: string, width: number) => string} picture address of a spectrogram
   */
  draw(peaks, look, picture) {
    if (!this.#result) return;
    this.#look = look;
    drawTimes(this.#times, this.#view, this.#result.rate);
    for (const track of this.#result.tracks) this.#drawLane(track, peaks.of(track.name), picture);
  }

  /**
   * @param {import("./song_watch.js").Track} track
   * @param {import("./peaks.js").Peaks | undefined} peaks
   * @param {(track: string, axis: string, width: number) => string} picture
   */
  #drawLane(track, peaks, picture) {
    const lane = this.#lanes.get(track.name);
    if (!lane || !this.#result) return;
    const { stage } = lane;
    const magnification = this.#look.fits ? peaks?.magnification ?? 1 : 1;
    drawWaveform(stage.canvas, peaks, this.#view, { binSamples: this.#result.peak_samples, magnification });
    const isSilent = peaks !== undefined && peaks.n_bins > 0 && peaks.highest < SILENT;
    const clipped = track.clipped ? `${track.clipped} clipped samples` : "";
    const scale = isSilent ? "silent" : magnification > 1 ? `× ${magnification}` : "";
    stage.setBadge([clipped, scale].filter(Boolean).join(" · "));
    const scaleText = magnification > 1 ? `, magnified ${magnification} times` : "";
    stage.canvas.setAttribute("aria-label", `Waveform of ${track.name}${isSilent ? ", silent" : scaleText}`);
    const { axis } = this.#look;
    const pixels = stage.root.clientWidth * Math.min(2, devicePixelRatio || 1);
    const width = PICTURE_WIDTHS.find((one) => one >= pixels) ?? PICTURE_WIDTHS[PICTURE_WIDTHS.length - 1];
    stage.setPicture(axis && pixels ? picture(track.name, axis, width) : "", `Spectrogram of ${track.name}, ${axis}`,
      { axis, highest: this.#result.rate / 2 });
    stage.placePicture(this.#view);
  }

  /** @param {number} sample */
  setPlayhead(sample) {
    const share = this.#view.shareOf(sample);
    for (const { stage } of this.#lanes.values()) stage.setPlayhead(share);
  }

  /**
   * @param {Region | null} region
   * @param {boolean} isOn
   */
  setLoop(region, isOn) {
    const shares = region && { start: this.#view.shareOf(region.start), end: this.#view.shareOf(region.end) };
    for (const { stage } of this.#lanes.values()) stage.setLoop(shares, isOn);
  }

  /** @param {(track: string) => number} level */
  setLevels(level) {
    for (const [name, { strip }] of this.#lanes) strip?.setLevel(level(name));
  }
}
