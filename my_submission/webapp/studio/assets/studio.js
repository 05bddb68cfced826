// The studio of one song: joins its parts.
import { Controls } from "./controls.js";
import { clock, element, say } from "./dom.js";
import { Drawing } from "./drawing.js";
import { makeHelp } from "./help.js";
import { Keyboard } from "./keyboard.js";
import { Lanes } from "./lanes.js";
import { Loop } from "./loop.js";
import { recall, remember } from "./memory.js";
import { Mix } from "./mix.js";
import { Player } from "./player.js";
import { ProgressPanel } from "./progress.js";
import { Scheme } from "./scheme.js";
import { isActive, SongWatch } from "./song_watch.js";
import { Downloads } from "./downloads.js";
import { Tools } from "./tools.js";
import { Transport } from "./transport.js";
import { Viewport } from "./viewport.js";

/**
 * @typedef {import("./song_watch.js").State} State
 * @typedef {import("./song_watch.js").Result} Result
 */

/** The studio of one song. */
export class Studio {
  root = element("div", { className: "studio-body" });
  /** @type {(state: string) => void} told when a job begins or ends */
  onJobState = () => {};
  #base;
  #watch;
  #mix = new Mix();
  #view = new Viewport();
  #loop = new Loop();
  #player = new Player((track) => this.#levelOf(track));
  #shownVersion = "";
  #lastState = "";
  /** @type {any} settings from before a reload, until they are restored */
  #recalled = null;

  #title = element("h2");
  #facts = element("span", { className: "facts" });
  #live = element("div", { className: "announcer", role: "status", "aria-live": "polite" });
  #gone = element("p", { className: "message", role: "status", hidden: true });
  #help = makeHelp();
  #progress;
  #downloads;
  #transport;
  #controls = new Controls({
    player: this.#player,
    mix: this.#mix,
    view: this.#view,
    loop: this.#loop,
    rate: () => this.#result?.rate ?? null,
    showRegion: (region) => this.#drawing.showLoop(region, true),
    showHelp: () => this.#help.showModal(),
    announce: (text) => this.#announce(text),
  });
  #tools = new Tools(this.#view, () => this.#controls.playheadShare, () => this.#help.showModal());
  #lanes;
  #drawing;
  #scheme = new Scheme(this.root);
  #keyboard;
  #listeners = new AbortController();

  /** @param {string} base address of the song */
  constructor(base) {
    this.#base = base;
    this.#watch = new SongWatch(base);
    this.#progress = new ProgressPanel(() => this.#watch.stopJob(), (text) => this.#announce(text));
    this.#downloads = new Downloads(base, this.#mix, {
      onChange: () => this.#updateLanes(),
      onDelete: () => this.#watch.deleteSong(),
    });
    const { actions, meaning } = this.#controls;
    this.#transport = new Transport(this.#mix, actions);
    this.#lanes = new Lanes(this.#view, this.#mix, meaning, () => this.#drawing.redraw());
    this.#drawing = new Drawing(base, {
      root: this.root, player: this.#player, view: this.#view, loop: this.#loop,
      lanes: this.#lanes, transport: this.#transport, tools: this.#tools,
    });
    const heading = element("header", { className: "heading" }, this.#title, this.#facts);
    this.root.append(heading, this.#gone, ...this.#parts, this.#help, this.#live);
    this.#keyboard = new Keyboard(this.root, actions);
    this.#recalled = recall(this.#memoryKey);
    this.#mix.restore(this.#recalled?.strips);
    this.#listen();
    this.#showParts();
    this.#watch.refresh();
  }

  /** Release everything: sound, timers and listeners. */
  close() {
    this.#listeners.abort();
    for (const part of [this.#keyboard, this.#watch, this.#drawing, this.#lanes, this.#scheme, this.#controls, this.#player]) {
      part.close();
    }
    this.root.remove();
  }

  /** Draw again, at the place where the studio is now; the page around may have started another separation. */
  show() {
    this.#scheme.check();
    this.#drawing.redraw();
    if (this.#watch.state) this.#watch.refresh();
  }

  get #parts() {
    return [this.#progress, this.#downloads, this.#transport, this.#tools, this.#lanes].map(({ root }) => root);
  }

  get #memoryKey() {
    return `mdx-studio ${this.#base}`;
  }

  /** @returns {Result | null} the result, where it has stems */
  get #result() {
    const result = this.#watch.state?.result;
    return result?.is_separated ? result : null;
  }

  #listen() {
    const { signal } = this.#listeners;
    this.#watch.addEventListener("change", () => this.#onState());
    this.#watch.addEventListener("trouble", () => this.#progress.setConnection(true));
    this.#watch.addEventListener("deleted", () => this.#onDeleted());
    this.#mix.addEventListener("change", () => this.#onMix());
    this.#loop.addEventListener("change", () => this.#onLoop());
    this.#controls.addEventListener("change", () => this.#onPlayer());
    this.#controls.addEventListener("moved", () => this.#onMoved());
    this.#player.addEventListener("change", () => this.#onPlayer());
    this.#player.addEventListener("ended", () => this.#onPlayer());
    this.#player.addEventListener("gone", () => this.#watch.refresh());
    for (const part of [this.#view, this.#tools, this.#scheme]) part.addEventListener("change", () => this.#drawing.redraw());
    addEventListener("pagehide", () => this.#remember(), { signal });
  }

  /** @param {string} track */
  #levelOf(track) {
    if (!this.#mix.stems.includes(track)) return { factor: this.#mix.isOriginal ? 1 : 0, pan: 0 };
    return { factor: this.#mix.factor(track), pan: this.#mix.strip(track).pan };
  }

  #onState() {
    const state = /** @type {State} */ (this.#watch.state);
    const { song, job, result } = state;
    this.#progress.setConnection(false);
    this.#progress.update(state);
    this.#downloads.update(state);
    this.#tools.setSpectrograms(this.#downloads.isReady);
    say(this.#title, song.name);
    const facts = [song.seconds === null ? "" : clock(song.seconds), (result ?? job).system, result?.is_preview ? "preview" : ""];
    say(this.#facts, facts.filter(Boolean).join(" · "));
    if (this.#result) this.#takeResult(state, this.#result);
    this.#showParts();
    const present = isActive(job) ? "active" : `${job.state} ${result?.version}`; // the page around shows no progress
    if (this.#lastState && this.#lastState !== present) this.onJobState(job.state);
    this.#lastState = present;
    this.#onPlayer();
    this.#scheme.check();
  }

  /**
   * @param {State} state
   * @param {Result} result
   */
  #takeResult({ job }, result) {
    const address = `${this.#base}/${result.version}`;
    const tracks = result.tracks.map(({ name }) => name);
    if (this.#shownVersion && this.#shownVersion !== result.version) this.#announce(`Now by ${result.system}`);
    this.#shownVersion = result.version;
    this.#view.setSong(result.samples, result.rate);
    this.#transport.setSong(result.samples, result.rate);
    this.#loop.setSong(result.samples, result.rate);
    this.#mix.setStems(result.tracks.filter(({ is_stem: isStem }) => isStem).map(({ name }) => name));
    this.#player.setSong({
      version: result.version, tracks, rate: result.rate, samples: result.samples,
      end: isActive(job) ? result.samples : result.ready_samples, ready: result.ready_samples,
      stretchSamples: result.stretch_samples,
      address: (track, index) => `${address}/play/${encodeURIComponent(track)}/${index}.flac`,
    });
    this.#drawing.setResult(result);
    this.#updateLanes();
    this.#restorePlace();
    if (this.#controls.isArmed) this.#controls.play();
  }

  #updateLanes() {
    if (this.#result) this.#lanes.update(this.#result, (track) => this.#downloads.address(track));
    this.#drawing.redraw();
  }

  /** Show the parts that there is something for. */
  #showParts() {
    const { state } = this.#watch;
    const hasResult = this.#result !== null;
    this.#transport.root.hidden = !hasResult && !(state && isActive(state.job));
    for (const { root } of [this.#downloads, this.#tools, this.#lanes]) root.hidden = !hasResult;
  }

  #onDeleted() {
    this.#player.pause();
    for (const part of this.#parts) part.hidden = true;
    this.#gone.hidden = false;
    say(this.#gone, "This song was deleted from the server.");
    this.onJobState("deleted");
  }

  #onMix() {
    this.#player.applyLevels();
    this.#lanes.updateMix();
    this.#transport.updateMix();
    this.#downloads.updateMix();
    this.#drawing.redraw();
    this.#remember();
  }

  #onPlayer() {
    const { isArmed } = this.#controls;
    const isWanted = this.#player.isWanted || isArmed;
    const message = isArmed ? "Plays as soon as the first seconds are separated." : "";
    this.#transport.setStatus(this.#player.status, isWanted, message);
    this.#drawing.animate();
  }

  #onMoved() {
    this.#remember();
    this.#drawing.animate();
  }

  #onLoop() {
    this.#drawing.showLoop(this.#loop.region, this.#loop.isOn);
    this.#remember();
  }

  /** @param {string} text for screen readers */
  #announce(text) {
    say(this.#live, text);
  }

  #remember() {
    const { region, isOn } = this.#loop;
    remember(this.#memoryKey, { strips: this.#mix.saved, sample: this.#player.position, region, isOn });
  }

  /** Set playhead and loop as they were before a reload. */
  #restorePlace() {
    if (!this.#recalled) return;
    const { sample, region, isOn } = this.#recalled;
    this.#recalled = null;
    if (Number.isFinite(region?.start) && Number.isFinite(region?.end)) this.#loop.set(region, Boolean(isOn));
    if (Number.isFinite(sample)) this.#controls.seek(sample);
  }
}
