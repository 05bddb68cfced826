// The studio of one song: joins its parts.
import { clock, element, say } from "./dom.js";
import { makeHelp } from "./help.js";
import { Keyboard } from "./keyboard.js";
import { Lanes } from "./lanes.js";
import { Loop } from "./loop.js";
import { recall, remember } from "./memory.js";
import { Mix } from "./mix.js";
import { PeakLoader } from "./peaks.js";
import { Player } from "./player.js";
import { ProgressPanel } from "./progress.js";
import { Scheme } from "./scheme.js";
import { isActive, SongWatch } from "./song_watch.js";
import { TakeAway } from "./takeaway.js";
import { Tools } from "./tools.js";
import { Transport } from "./transport.js";
import { Viewport } from "./viewport.js";

const PLAYING = "mdx-playing"; // one playback at a time on a page

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
  /** @type {PeakLoader | null} */
  #peaks = null;
  #shownVersion = "";
  #lastState = "";
  #isArmed = false;
  #frame = 0;
  #isDrawn = true;
  /** @type {any} settings from before a reload, until they are restored */
  #recalled = null;

  #title = element("h2");
  #facts = element("span", { className: "facts" });
  #live = element("div", { className: "announcer", role: "status", "aria-live": "polite" });
  #gone = element("p", { className: "message", role: "status", hidden: true });
  #help = makeHelp();
  #progress;
  #takeaway;
  #transport;
  #tools = new Tools(this.#view, () => this.#playheadShare, () => this.#help.showModal());
  #lanes;
  #scheme = new Scheme(this.root);
  #keyboard;
  #listeners = new AbortController();

  /** @param {string} base address of the song */
  constructor(base) {
    this.#base = base;
    this.#watch = new SongWatch(base);
    this.#progress = new ProgressPanel(() => this.#watch.stopJob(), (text) => this.#announce(text));
    this.#takeaway = new TakeAway(base, this.#mix, {
      onChange: () => this.#updateLanes(),
      onDelete: () => this.#watch.deleteSong(),
    });
    const actions = this.#actions();
    this.#transport = new Transport(this.#mix, actions);
    this.#lanes = new Lanes(this.#view, this.#mix, this.#meaning(), () => this.#redraw());
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
    cancelAnimationFrame(this.#frame);
    this.#listeners.abort();
    for (const part of [this.#keyboard, this.#watch, this.#peaks, this.#lanes, this.#scheme, this.#player]) part?.close();
    this.root.remove();
  }

  /** Draw again, at the place where the studio is now; the page around may have started another separation. */
  show() {
    this.#scheme.check();
    this.#redraw();
    if (this.#watch.state) this.#watch.refresh();
  }

  get #parts() {
    return [this.#progress, this.#takeaway, this.#transport, this.#tools, this.#lanes].map(({ root }) => root);
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
    this.#player.addEventListener("change", () => this.#onPlayer());
    this.#player.addEventListener("ended", () => this.#onPlayer());
    this.#player.addEventListener("gone", () => this.#watch.refresh());
    for (const part of [this.#view, this.#tools, this.#scheme]) part.addEventListener("change", () => this.#redraw());
    document.addEventListener(PLAYING, (event) => {
      if (/** @type {CustomEvent} */ (event).detail !== this) this.#player.pause();
    }, { signal });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && this.#player.isWanted) this.#player.play();
    }, { signal });
    addEventListener("pagehide", () => this.#remember(), { signal });
  }

  /** @returns {import("./gestures.js").Meaning} */
  #meaning() {
    return {
      tap: (share) => this.#seek(this.#view.sampleAt(share)),
      select: (from, to, isOver) => {
        const region = this.#loop.between(this.#view.sampleAt(from), this.#view.sampleAt(to));
        if (isOver) this.#loop.set(region, true);
        else this.#showLoop(region, true);
      },
      zoom: (factor, share) => this.#view.zoomBy(factor, share),
      scroll: (share) => this.#view.scrollBy(share),
      canScroll: () => !this.#view.isWhole,
    };
  }

  /** @returns {import("./keyboard.js").Actions & import("./transport.js").TransportActions} */
  #actions() {
    const change = (number, setting, words) => {
      const name = this.#mix.stems[number - 1];
      if (!name) return;
      const isOn = !this.#mix.strip(name)[setting];
      this.#mix.set(name, { [setting]: isOn });
      this.#announce(`${name} ${isOn ? words[0] : words[1]}`);
    };
    return {
      togglePlay: () => this.#togglePlay(),
      stop: () => this.#stop(),
      seek: (sample) => this.#seek(sample),
      jump: (seconds) => this.#jump(seconds),
      toBeginning: () => this.#seek(0),
      toggleLoop: () => {
        this.#loop.toggle();
        this.#announce(this.#loop.isOn ? "Loop on" : "Loop off");
      },
      setLoopEdge: (edge) => this.#loop.setEdge(edge, this.#player.position),
      clearLoop: () => this.#loop.set(null, false),
      mute: (number) => change(number, "isMuted", ["muted", "not muted"]),
      solo: (number) => change(number, "isSolo", ["solo", "not solo"]),
      toggleOriginal: () => {
        this.#mix.setOriginal(!this.#mix.isOriginal);
        this.#announce(this.#mix.isOriginal ? "Original song" : "Your mix");
      },
      zoom: (factor) => this.#view.zoomBy(factor, this.#playheadShare),
      showAll: () => this.#view.showAll(),
      showHelp: () => this.#help.showModal(),
      announce: (text) => this.#announce(text),
    };
  }

  /** @returns {number} where the playhead is, or the middle if it is not visible */
  get #playheadShare() {
    const share = this.#view.shareOf(this.#player.position);
    return share >= 0 && share <= 1 ? share : 0.5;
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
    this.#takeaway.update(state);
    this.#tools.setSpectrograms(this.#takeaway.isReady);
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
    const n_bins = Math.ceil(result.samples / result.peak_samples);
    if (this.#shownVersion !== result.version) this.#showVersion(result, address, n_bins);
    this.#view.setSong(result.samples, result.rate);
    this.#transport.setSong(result.samples, result.rate);
    this.#loop.setSong(result.samples, result.rate);
    this.#mix.setStems(result.tracks.filter(({ is_stem: isStem }) => isStem).map(({ name }) => name));
    const isWhole = result.ready_samples >= result.samples;
    this.#player.setSong({
      version: result.version, tracks, rate: result.rate, samples: result.samples,
      end: isActive(job) ? result.samples : result.ready_samples, ready: result.ready_samples,
      stretchSamples: result.stretch_samples,
      address: (track, index) => `${address}/play/${encodeURIComponent(track)}/${index}.flac`,
    });
    const n_ready = isWhole ? n_bins : Math.floor(result.ready_samples / result.peak_samples);
    for (const { name, is_stem: isStem } of result.tracks) this.#peaks?.load(name, isStem ? n_ready : n_bins);
    this.#updateLanes();
    this.#restorePlace();
    if (this.#isArmed) this.#play();
  }

  /**
   * @param {Result} result
   * @param {string} address of its version
   * @param {number} n_bins of its peaks
   */
  #showVersion(result, address, n_bins) {
    this.#peaks?.close();
    this.#peaks = new PeakLoader((track, from) => `${address}/peaks/${encodeURIComponent(track)}?from=${from}`, n_bins);
    this.#peaks.addEventListener("change", () => this.#redraw());
    if (this.#shownVersion) this.#announce(`Now by ${result.system}`);
    this.#shownVersion = result.version;
  }

  #updateLanes() {
    if (this.#result) this.#lanes.update(this.#result, (track) => this.#takeaway.address(track));
    this.#redraw();
  }

  /** Show the parts that there is something for. */
  #showParts() {
    const { state } = this.#watch;
    const hasResult = this.#result !== null;
    this.#transport.root.hidden = !hasResult && !(state && isActive(state.job));
    for (const { root } of [this.#takeaway, this.#tools, this.#lanes]) root.hidden = !hasResult;
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
    this.#takeaway.updateMix();
    this.#redraw();
    this.#remember();
  }

  #onPlayer() {
    const isWanted = this.#player.isWanted || this.#isArmed;
    const message = this.#isArmed ? "Plays as soon as the first seconds are separated." : "";
    this.#transport.setStatus(this.#player.status, isWanted, message);
    this.#animate();
  }

  #togglePlay() {
    if (this.#player.isWanted && this.#player.status !== "blocked") {
      this.#player.pause();
      this.#remember();
    } else if (this.#isArmed) {
      this.#isArmed = false;
      this.#onPlayer();
    } else {
      this.#play();
    }
  }

  #play() {
    this.#isArmed = this.#result === null;
    if (!this.#isArmed) {
      document.dispatchEvent(new CustomEvent(PLAYING, { detail: this }));
      this.#player.play();
    }
    this.#onPlayer();
  }

  #stop() {
    this.#isArmed = false;
    this.#player.pause();
    this.#seek(0);
  }

  /** @param {number} sample */
  #seek(sample) {
    this.#player.seek(sample);
    this.#view.follow(sample);
    this.#remember();
    this.#animate();
  }

  /** @param {number} seconds */
  #jump(seconds) {
    if (this.#result) this.#seek(this.#player.position + seconds * this.#result.rate);
  }

  /** Repeat the chosen region, from its start where the playhead is outside. */
  #onLoop() {
    const { region, isOn, repeated } = this.#loop;
    this.#player.setLoop(repeated);
    const { position } = this.#player;
    if (isOn && region && (position < region.start || position >= region.end)) this.#seek(region.start);
    this.#showLoop(region, isOn);
    this.#remember();
  }

  /**
   * @param {import("./schedule.js").Region | null} region
   * @param {boolean} isOn
   */
  #showLoop(region, isOn) {
    this.#lanes.setLoop(region, isOn);
    this.#transport.setLoop(region, isOn);
  }

  #redraw() {
    this.#isDrawn = false;
    this.#animate();
  }

  /** Draw at the next frame, and go on as long as something plays. */
  #animate() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#onFrame());
  }

  #onFrame() {
    this.#frame = 0;
    const { position, status } = this.#player;
    if (status === "playing") this.#view.follow(position);
    if (!this.#isDrawn) this.#draw();
    this.#lanes.setPlayhead(position);
    this.#transport.setPosition(position);
    this.#lanes.setLevels((track) => this.#player.level(track));
    this.#transport.setLevel(this.#player.level());
    if (this.#player.isWanted) this.#animate();
  }

  #draw() {
    this.#isDrawn = true;
    const result = this.#result;
    if (!result || !this.#peaks) return;
    const theme = this.root.dataset.scheme ?? "light";
    this.#lanes.draw(this.#peaks, this.#tools.look, (track, axis, width) => (
      `${this.#base}/${result.version}/picture/${axis}/${encodeURIComponent(track)}.png?theme=${theme}&width=${width}`));
    const whole = result.tracks.find(({ is_stem: isStem }) => !isStem) ?? result.tracks[0];
    this.#transport.draw(this.#peaks.of(whole.name), result.peak_samples, this.#view);
    this.#showLoop(this.#loop.region, this.#loop.isOn);
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
    if (Number.isFinite(sample)) this.#seek(sample);
  }
}
