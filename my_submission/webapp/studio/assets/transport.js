// The transport, which stays visible: play, stop, loop, time, presets and the position in the song.
import { button, clock, element, icon, press, say, spoken } from "./dom.js";
import { drawWaveform } from "./waveform.js";

const SLIDER_SECONDS = 5;

const MESSAGES = {
  paused: "",
  playing: "",
  loading: "Loading…",
  waiting: "Waiting for the separation…",
  trouble: "The audio cannot be loaded. Trying again; if this continues, check the connection.",
  blocked: "The browser did not start playback. Press play again; if there is still no sound, check the audio device.",
};

/**
 * @typedef {object} TransportActions
 * @property {() => void} togglePlay
 * @property {() => void} stop
 * @property {() => void} toggleLoop
 * @property {(edge: "start" | "end") => void} setLoopEdge
 * @property {() => void} clearLoop
 * @property {(sample: number) => void} seek
 * @property {(seconds: number) => void} jump
 */

/** The bar at the top of the studio. */
export class Transport {
  #play;
  #loop;
  #now = element("span", { className: "now" }, "0:00.0");
  #total = element("span", { className: "total" });
  #message = element("span", { className: "message", role: "status" });
  #clips = element("span", { className: "clips", hidden: true }, "Clipping: lower a gain");
  #presets = element("div", { className: "presets", role: "group", "aria-label": "Presets" });
  #reset;
  #overview = element("canvas", { "aria-hidden": "true" });
  #window = element("div", { className: "window" });
  #region = element("div", { className: "loop-region", hidden: true });
  #playhead = element("div", { className: "playhead" });
  #position;
  #loopText = element("span", { className: "loop-text" });
  #loopRow;
  #mix;
  #actions;
  #samples = 1;
  #rate = 44100;

  /**
   * @param {import("./mix.js").Mix} mix
   * @param {TransportActions} actions
   */
  constructor(mix, actions) {
    this.#mix = mix;
    this.#actions = actions;
    this.#play = button(icon("play"), { className: "play", "aria-label": "Play" }, actions.togglePlay);
    const stop = button(icon("stop"), { className: "square", "aria-label": "Stop and go to the beginning" }, actions.stop);
    this.#loop = button(icon("loop"), { className: "square loop", "aria-label": "Loop", title: "Loop (L)" }, actions.toggleLoop);
    this.#reset = button("Reset", { className: "quiet", title: "All gains to 0 dB, pans to the middle" }, () => mix.reset());
    const time = element("div", { className: "clock", role: "timer", "aria-label": "Time" }, this.#now, this.#total);
    this.#position = this.#slider();
    this.#loopRow = element("div", { className: "loop-row", hidden: true }, this.#loopText,
      button("Start here", { title: "Set the start of the loop to the playhead ([)" }, () => actions.setLoopEdge("start")),
      button("End here", { title: "Set the end of the loop to the playhead (])" }, () => actions.setLoopEdge("end")),
      button("Clear", { "aria-label": "Clear the loop" }, actions.clearLoop));
    this.root = element("section", { className: "transport", "aria-label": "Transport" },
      element("div", { className: "bar" }, this.#play, stop, this.#loop, time, this.#presets, this.#reset),
      element("div", { className: "told" }, this.#message, this.#clips),
      this.#position, this.#loopRow);
    this.updateMix();
  }

  #slider() {
    const slider = element("div", { className: "overview", role: "slider", tabIndex: 0, "aria-label": "Position",
      "aria-valuemin": 0 }, this.#overview, this.#region, this.#window, this.#playhead);
    const seek = (event) => {
      const { left, width } = slider.getBoundingClientRect();
      this.#actions.seek(Math.min(1, Math.max(0, (event.clientX - left) / width)) * this.#samples);
    };
    slider.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      slider.setPointerCapture(event.pointerId);
      seek(event);
    });
    slider.addEventListener("pointermove", (event) => { if (slider.hasPointerCapture(event.pointerId)) seek(event); });
    slider.addEventListener("keydown", (event) => this.#onSliderKey(event));
    return slider;
  }

  /** @param {KeyboardEvent} event */
  #onSliderKey(event) {
    const { key, shiftKey } = event;
    const seconds = shiftKey ? 1 : SLIDER_SECONDS;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowLeft: () => this.#actions.jump(-seconds),
      ArrowDown: () => this.#actions.jump(-seconds),
      ArrowRight: () => this.#actions.jump(seconds),
      ArrowUp: () => this.#actions.jump(seconds),
      PageDown: () => this.#actions.jump(-30),
      PageUp: () => this.#actions.jump(30),
      Home: () => this.#actions.seek(0),
      End: () => this.#actions.seek(this.#samples),
    };
    if (!keys[key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[key]();
  }

  /**
   * @param {number} samples length of the song
   * @param {number} rate
   */
  setSong(samples, rate) {
    [this.#samples, this.#rate] = [samples, rate];
    say(this.#total, ` / ${clock(samples / rate)}`);
    this.#position.setAttribute("aria-valuemax", String(Math.floor(samples / rate)));
  }

  /** Show the presets that the stems allow, and which one is heard. */
  updateMix() {
    const { presets, preset, isOriginal } = this.#mix;
    if ([...this.#presets.children].map((child) => child.textContent).join() !== presets.map((p) => p.label).join()) {
      this.#presets.replaceChildren(...presets.map((one) => {
        const made = button(one.label, { className: "preset" }, () => this.#mix.apply(one));
        made.dataset.preset = one.name;
        return made;
      }));
    }
    this.#presets.hidden = presets.length < 2;
    for (const child of this.#presets.children) press(child, !isOriginal && child.dataset.preset === preset);
    this.#reset.hidden = this.#mix.isFlat;
  }

  /**
   * @param {import("./player.js").Status} status
   * @param {boolean} isWanted whether playback was asked for
   * @param {string} [message] in place of the status' own
   */
  setStatus(status, isWanted, message = "") {
    if (this.#play.dataset.wanted !== String(isWanted)) {
      this.#play.dataset.wanted = String(isWanted);
      this.#play.setAttribute("aria-label", isWanted ? "Pause" : "Play");
      this.#play.title = isWanted ? "Pause (Space)" : "Play (Space)";
      this.#play.replaceChildren(icon(isWanted ? "pause" : "play"));
    }
    this.root.dataset.status = status;
    say(this.#message, message || MESSAGES[status]);
  }

  /** @param {number} sample */
  setPosition(sample) {
    const seconds = sample / this.#rate;
    say(this.#now, clock(seconds, { tenths: true }));
    this.#playhead.style.transform = `translateX(${((100 * sample) / this.#samples).toFixed(3)}%)`;
    const whole = Math.floor(seconds);
    if (this.#position.getAttribute("aria-valuenow") === String(whole)) return;
    this.#position.setAttribute("aria-valuenow", String(whole));
    this.#position.setAttribute("aria-valuetext", `${spoken(seconds)} of ${spoken(this.#samples / this.#rate)}`);
  }

  /**
   * @param {import("./schedule.js").Region | null} region
   * @param {boolean} isOn
   */
  setLoop(region, isOn) {
    press(this.#loop, isOn);
    this.#region.hidden = !region;
    this.#region.classList.toggle("on", isOn);
    this.#loopRow.hidden = !isOn && !region;
    if (region) {
      this.#region.style.left = `${(100 * region.start) / this.#samples}%`;
      this.#region.style.right = `${100 - (100 * region.end) / this.#samples}%`;
    }
    const [start, end] = [region?.start ?? 0, region?.end ?? this.#samples].map((sample) => sample / this.#rate);
    say(this.#loopText, `Loop ${clock(start, { tenths: true })} – ${clock(end, { tenths: true })}`);
  }

  /** @param {number} amplitude of the mix */
  setLevel(amplitude) {
    if (amplitude > 1) this.#clips.hidden = false;
    else if (amplitude === 0) this.#clips.hidden = true;
  }

  /**
   * Draw the whole song small, and the part of it that the lanes show.
   * @param {import("./peaks.js").Peaks | undefined} peaks of the mixture
   * @param {number} binSamples
   * @param {import("./viewport.js").Viewport} view
   */
  draw(peaks, binSamples, view) {
    const all = { start: 0, length: view.samples };
    drawWaveform(this.#overview, peaks, all, { binSamples, magnification: peaks?.magnification ?? 1 });
    this.#window.hidden = view.isWhole;
    this.#window.style.left = `${(100 * view.start) / view.samples}%`;
    this.#window.style.width = `${(100 * view.length) / view.samples}%`;
  }
}
