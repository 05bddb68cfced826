// The studio of one song: joins its parts, and gives Streamlit the function that mounts it.
import { button, clock, element, press, say } from "./dom.js";
import { makeHelp } from "./help.js";
import { Keyboard } from "./keyboard.js";
import { Lanes } from "./lanes.js";
import { recall, remember } from "./memory.js";
import { Mix } from "./mix.js";
import { PeakLoader } from "./peaks.js";
import { Player } from "./player.js";
import { ProgressPanel } from "./progress.js";
import { isActive, SongWatch } from "./song_watch.js";
import { TakeAway } from "./takeaway.js";
import { Transport } from "./transport.js";
import { Viewport } from "./viewport.js";

const PLAYING = "mdx-playing"; // one playback at a time on a page
const SHORTEST_LOOP_SECONDS = 0.05;
const REMOUNT_MS = 1000;
const ZOOM_STEP = 2;

/**
 * @typedef {import("./song_watch.js").State} State
 * @typedef {{data: {base: string, assets: string}, parentElement: HTMLElement | ShadowRoot,
 *   setTriggerValue: (name: string, value: unknown) => void}} Component
 */

/** The studio of one song. */
export class Studio {
  root = element("div", { className: "studio-body" });
  #base;
  #watch;
  #mix = new Mix();
  #view = new Viewport();
  #player;
  /** @type {PeakLoader | null} */
  #peaks = null;
  #shownVersion = "";
  #isArmed = false;
  #loop = { region: /** @type {import("./schedule.js").Region | null} */ (null), isOn: false };
  #look = { fits: true, axis: /** @type {"" | "log" | "linear"} */ ("") };
  #scheme = "";
  #frame = 0;
  #isDrawn = true;
  #lastState = "";
  /** @type {(state: string) => void} */
  onJobState = () => {};

  #title = element("h2");
  #facts = element("span", { className: "facts" });
  #live = element("div", { className: "announcer", role: "status", "aria-live": "polite" });
  #gone = element("p", { className: "message", role: "status", hidden: true });
  #help = makeHelp();
  #progress;
  #takeaway;
  #transport;
  #lanes;
  #tools;
  #fits;
  #axes = /** @type {Map<string, HTMLButtonElement>} */ (new Map());
  #keyboard;
  #listeners = new AbortController();

  /** @param {string} base address of the song */
  constructor(base) {
    this.#base = base;
    this.#watch = new SongWatch(base);
    this.#player = new Player((track) => this.#levelOf(track));
    this.#progress = new ProgressPanel(() => this.#watch.stopJob(), (text) => this.#announce(text));
    this.#takeaway = new TakeAway(base, this.#mix, {
      onChange: () => this.#updateLanes(),
      onDelete: () => this.#watch.deleteSong(),
    });
    this.#transport = new Transport(this.#mix, {
      togglePlay: () => this.#togglePlay(),
      stop: () => this.#stop(),
      toggleLoop: () => this.#toggleLoop(),
      setLoopEdge: (edge) => this.#setLoopEdge(edge),
      clearLoop: () => this.#setLoop(null, false),
      seek: (sample) => this.#seek(sample),
      jump: (seconds) => this.#jump(seconds),
      showHelp: () => this.#help.showModal(),
    });
    this.#lanes = new Lanes(this.#view, this.#mix, this.#meaning(), () => this.#redraw());
    this.#fits = button("Fit each lane", { className: "toggle", title: "Magnify quiet stems; × tells how much" }, () => {
      this.#look = { ...this.#look, fits: !this.#look.fits };
      this.#showLook();
    });
    this.#tools = this.#makeTools();
    const heading = element("header", { className: "heading" }, this.#title, this.#facts);
    this.root.append(heading, this.#gone, this.#progress.root, this.#takeaway.root, this.#transport.root, this.#tools,
      this.#lanes.root, this.#help, this.#live);
    this.#keyboard = new Keyboard(this.root, this.#actions());
    this.#recall();
    this.#listen();
    this.#showLook();
    this.#setSongShown(false);
    this.#watch.refresh();
  }

  /** Release everything: sound, timers and listeners. */
  close() {
    cancelAnimationFrame(this.#frame);
    this.#listeners.abort();
    this.#keyboard.close();
    this.#watch.close();
    this.#peaks?.close();
    this.#lanes.close();
    this.#player.close();
    this.root.remove();
  }

  /** Draw again after a change of place. */
  onShown() {
    this.#redraw();
  }

  #listen() {
    const { signal } = this.#listeners;
    this.#watch.addEventListener("change", () => this.#onState());
    this.#watch.addEventListener("trouble", () => this.#progress.setConnection(true));
    this.#watch.addEventListener("deleted", () => this.#onDeleted());
    this.#mix.addEventListener("change", () => this.#onMix());
    this.#view.addEventListener("change", () => this.#redraw());
    this.#player.addEventListener("change", () => this.#onPlayer());
    this.#player.addEventListener("ended", () => this.#onPlayer());
    this.#player.addEventListener("gone", () => this.#watch.refresh());
    document.addEventListener(PLAYING, (event) => {
      if (/** @type {CustomEvent} */ (event).detail !== this) this.#player.pause();
    }, { signal });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && this.#player.isWanted) this.#player.play();
    }, { signal });
    addEventListener("pagehide", () => this.#remember(), { signal });
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
      matchMedia(query).addEventListener("change", () => setTimeout(() => this.#checkScheme(), 200), { signal });
    }
  }

  #makeTools() {
    const zoom = (label, factor) => button(label, { className: "square", "aria-label": factor > 1 ? "Zoom in" : "Zoom out" },
      () => this.#view.zoomBy(factor, this.#playheadShare));
    for (const [axis, text] of [["", "Off"], ["log", "Log"], ["linear", "Linear"]]) {
      this.#axes.set(axis, button(text, { className: "toggle" }, () => {
        this.#look = { ...this.#look, axis };
        this.#showLook();
      }));
    }
    return element("div", { className: "tools" },
      element("div", { className: "group", role: "group", "aria-label": "Zoom" }, zoom("−", 1 / ZOOM_STEP), zoom("+", ZOOM_STEP),
        button("Whole song", {}, () => this.#view.showAll())),
      this.#fits,
      element("div", { className: "group", role: "group", "aria-label": "Spectrograms" },
        element("span", { className: "label", "aria-hidden": "true" }, "Spectrograms"), ...this.#axes.values()));
  }

  /** @returns {import("./gestures.js").Meaning} */
  #meaning() {
    return {
      tap: (share) => this.#seek(this.#view.sampleAt(share)),
      select: (from, to, isOver) => this.#select(this.#view.sampleAt(from), this.#view.sampleAt(to), isOver),
      zoom: (factor, share) => this.#view.zoomBy(factor, share),
      scroll: (share) => this.#view.scrollBy(share),
      canScroll: () => !this.#view.isWhole,
    };
  }

  /** @returns {import("./keyboard.js").Actions} */
  #actions() {
    const stem = (number) => this.#mix.stems[number - 1];
    const change = (number, setting, words) => {
      const name = stem(number);
      if (!name) return;
      const isOn = !this.#mix.strip(name)[setting];
      this.#mix.set(name, { [setting]: isOn });
      this.#announce(`${name} ${isOn ? words[0] : words[1]}`);
    };
    return {
      togglePlay: () => this.#togglePlay(),
      jump: (seconds) => this.#jump(seconds),
      toBeginning: () => this.#seek(0),
      toggleLoop: () => this.#toggleLoop(),
      setLoopEdge: (edge) => this.#setLoopEdge(edge),
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
    say(this.#title, song.name);
    const facts = [song.seconds === null ? "" : clock(song.seconds), result ? result.system : job.system];
    say(this.#facts, [...facts.filter(Boolean), ...(result?.is_preview ? ["preview"] : [])].join(" · "));
    this.#progress.update(state);
    if (result?.is_separated) this.#takeResult(state);
    this.#setSongShown(Boolean(result?.is_separated) || isActive(job));
    this.#takeaway.update(state);
    if (this.#lastState && this.#lastState !== `${job.state} ${result?.version}`) this.onJobState(job.state);
    this.#lastState = `${job.state} ${result?.version}`;
    this.#onPlayer();
    this.#checkScheme();
  }

  /** @param {State} state with a result */
  #takeResult(state) {
    const { job } = state;
    const result = /** @type {import("./song_watch.js").Result} */ (state.result);
    const address = `${this.#base}/${result.version}`;
    const tracks = result.tracks.map(({ name }) => name);
    const n_bins = Math.ceil(result.samples / result.peak_samples);
    if (this.#shownVersion !== result.version) {
      this.#peaks?.close();
      this.#peaks = new PeakLoader((track, from) => `${address}/peaks/${track}?from=${from}`, n_bins);
      this.#peaks.addEventListener("change", () => this.#redraw());
      if (this.#shownVersion) this.#announce(`Now by ${result.system}`);
      this.#shownVersion = result.version;
    }
    this.#view.setSong(result.samples, result.rate);
    this.#transport.setSong(result.samples, result.rate);
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

  #updateLanes() {
    const result = this.#watch.state?.result;
    if (result?.is_separated) this.#lanes.update(result, (track) => this.#takeaway.address(track));
    this.#redraw();
  }

  /** @param {boolean} isShown whether there is or will be something to play */
  #setSongShown(isShown) {
    const hasResult = Boolean(this.#watch.state?.result?.is_separated);
    this.#transport.root.hidden = !isShown;
    for (const part of [this.#takeaway.root, this.#tools, this.#lanes.root]) part.hidden = !hasResult;
  }

  #onDeleted() {
    this.#player.pause();
    for (const part of [this.#progress.root, this.#takeaway.root, this.#transport.root, this.#tools, this.#lanes.root]) {
      part.hidden = true;
    }
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
    this.#isArmed = !this.#watch.state?.result?.is_separated;
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
    const { rate } = this.#watch.state?.result ?? {};
    if (rate) this.#seek(this.#player.position + seconds * rate);
  }

  /**
   * Take a region that is being dragged; the sound follows at its end.
   * @param {number} from
   * @param {number} to
   * @param {boolean} isOver
   */
  #select(from, to, isOver) {
    const region = { start: Math.round(Math.min(from, to)), end: Math.round(Math.max(from, to)) };
    if (isOver) this.#setLoop(region, true);
    else this.#showLoop(region, true);
  }

  #toggleLoop() {
    this.#setLoop(this.#loop.region, !this.#loop.isOn);
    this.#announce(this.#loop.isOn ? "Loop on" : "Loop off");
  }

  /** @param {"start" | "end"} edge */
  #setLoopEdge(edge) {
    const at = Math.round(this.#player.position);
    const { start, end } = this.#loop.region ?? { start: 0, end: this.#view.samples };
    if (edge === "start") this.#setLoop({ start: at, end: end > at ? end : this.#view.samples }, true);
    else this.#setLoop({ start: start < at ? start : 0, end: at }, true);
  }

  /**
   * @param {import("./schedule.js").Region | null} region null for the whole song
   * @param {boolean} isOn
   */
  #setLoop(region, isOn) {
    const result = this.#watch.state?.result;
    if (!result) return;
    const isLongEnough = region && region.end - region.start >= SHORTEST_LOOP_SECONDS * result.rate;
    this.#loop = { region: isLongEnough ? region : null, isOn: isOn && (!region || Boolean(isLongEnough)) };
    const whole = { start: 0, end: result.samples };
    this.#player.setLoop(this.#loop.isOn ? this.#loop.region ?? whole : null);
    const { position } = this.#player;
    const inside = this.#loop.region;
    if (this.#loop.isOn && inside && (position < inside.start || position >= inside.end)) this.#seek(inside.start);
    this.#showLoop(this.#loop.region, this.#loop.isOn);
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

  #showLook() {
    press(this.#fits, this.#look.fits);
    for (const [axis, made] of this.#axes) press(made, axis === this.#look.axis);
    this.#redraw();
  }

  /** Take the colours of day or night where they changed. */
  #checkScheme() {
    const style = getComputedStyle(this.root);
    const scheme = isDark(style.backgroundColor) ? "dark" : "light";
    const colours = `${style.backgroundColor} ${style.color}`;
    if (this.#scheme === colours) return;
    this.#scheme = colours;
    this.root.dataset.scheme = scheme;
    this.#redraw();
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
    const result = this.#watch.state?.result;
    if (!result || !this.#peaks) return;
    const theme = this.root.dataset.scheme ?? "light";
    this.#lanes.draw(this.#peaks, this.#look, (track, axis, width) => (
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
    remember(`mdx-studio ${this.#base}`, { strips: this.#mix.saved, sample: this.#player.position, region, isOn });
  }

  #recall() {
    this.#recalled = recall(`mdx-studio ${this.#base}`);
    this.#mix.restore(this.#recalled?.strips);
  }

  /** @type {any} */
  #recalled = null;

  /** Set playhead and loop as they were before a reload. */
  #restorePlace() {
    if (!this.#recalled) return;
    const { sample, region, isOn } = this.#recalled;
    this.#recalled = null;
    if (Number.isFinite(region?.start) && Number.isFinite(region?.end)) this.#setLoop(region, Boolean(isOn));
    if (Number.isFinite(sample)) this.#seek(sample);
  }
}

/** @param {string} colour as computed: "rgb(r, g, b)" @returns {boolean} */
function isDark(colour) {
  const [red, green, blue] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}

/** @type {Map<string, {studio: Studio, timer: number}>} studios whose place went away a moment ago */
const leaving = new Map();
/** @type {WeakMap<HTMLElement | ShadowRoot, {studio: Studio, base: string, turn: number}>} */
const mounted = new WeakMap();

/**
 * Load the style sheet into a place.
 * @param {HTMLElement | ShadowRoot} place
 * @param {string} address
 */
async function addStyle(place, address) {
  if (place.querySelector("link[data-studio]")) return;
  const link = element("link", { rel: "stylesheet", href: address, "data-studio": "" });
  const loaded = new Promise((resolve) => { for (const event of ["load", "error"]) link.addEventListener(event, resolve); });
  place.prepend(link);
  await loaded;
}

/**
 * Mount the studio of a song. Called again with the same song it keeps what plays; a place that goes away and comes
 * back within a second, as when the page is drawn anew, keeps it as well.
 * @param {Component} component
 * @returns {Promise<() => void>} releases the studio
 */
export default async function mount({ data, parentElement, setTriggerValue }) {
  const place = /** @type {HTMLElement} */ (parentElement.querySelector(".studio"));
  const turn = (mounted.get(place)?.turn ?? 0) + 1;
  const known = mounted.get(place);
  if (known && known.base !== data.base) known.studio.close();
  const waiting = leaving.get(data.base);
  if (waiting) clearTimeout(waiting.timer);
  leaving.delete(data.base);
  const studio = known?.base === data.base ? known.studio : waiting?.studio ?? new Studio(data.base);
  mounted.set(place, { studio, base: data.base, turn });
  studio.onJobState = (state) => setTriggerValue("changed", state);
  await addStyle(place.parentElement ?? place, `${data.assets}/studio.css`);
  if (studio.root.parentElement !== place && mounted.get(place)?.studio === studio) place.replaceChildren(studio.root);
  studio.onShown();
  return () => {
    if (mounted.get(place)?.turn !== turn) return;
    mounted.delete(place);
    const timer = window.setTimeout(() => { leaving.delete(data.base); studio.close(); }, REMOUNT_MS);
    leaving.set(data.base, { studio, timer });
  };
}
