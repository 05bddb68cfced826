// Drawing of the studio: lanes and transport are drawn when something has changed, and while it plays.
import { PeakLoader } from "./peaks.js";

/**
 * @typedef {import("./song_watch.js").Result} Result
 * @typedef {object} Drawn
 * @property {HTMLElement} root whose attribute data-scheme is the theme
 * @property {import("./player.js").Player} player
 * @property {import("./viewport.js").Viewport} view
 * @property {import("./loop.js").Loop} loop
 * @property {import("./lanes.js").Lanes} lanes
 * @property {import("./transport.js").Transport} transport
 * @property {import("./tools.js").Tools} tools
 */

/** Draws the lanes and the transport of a song at the next animation frame. */
export class Drawing {
  #base;
  #parts;
  /** @type {Result | null} */
  #result = null;
  /** @type {PeakLoader | null} */
  #peaks = null;
  #frame = 0;
  #isDrawn = true;

  /**
   * @param {string} base address of the song
   * @param {Drawn} parts
   */
  constructor(base, parts) {
    [this.#base, this.#parts] = [base, parts];
  }

  /** End drawing and loading. */
  close() {
    cancelAnimationFrame(this.#frame);
    this.#peaks?.close();
  }

  /**
   * Set the result to draw, of which more may be ready than before.
   * @param {Result} result
   */
  setResult(result) {
    const n_bins = Math.ceil(result.samples / result.peak_samples);
    if (this.#result?.version !== result.version) this.#openPeaks(result, n_bins);
    this.#result = result;
    const isWhole = result.ready_samples >= result.samples;
    const n_ready = isWhole ? n_bins : Math.floor(result.ready_samples / result.peak_samples);
    for (const { name, is_stem: isStem } of result.tracks) this.#peaks?.load(name, isStem ? n_ready : n_bins);
  }

  /** Draw everything at the next frame. */
  redraw() {
    this.#isDrawn = false;
    this.animate();
  }

  /** Draw what moves at the next frame, and go on as long as something plays. */
  animate() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#onFrame());
  }

  /**
   * @param {import("./schedule.js").Region | null} region
   * @param {boolean} isOn
   */
  showLoop(region, isOn) {
    this.#parts.lanes.setLoop(region, isOn);
    this.#parts.transport.setLoop(region, isOn);
  }

  /**
   * @param {Result} result
   * @param {number} n_bins of its peaks
   */
  #openPeaks({ version }, n_bins) {
    this.#peaks?.close();
    const address = (track, from) => `${this.#base}/${version}/peaks/${encodeURIComponent(track)}?from=${from}`;
    this.#peaks = new PeakLoader(address, n_bins);
    this.#peaks.addEventListener("change", () => this.redraw());
  }

  #onFrame() {
    const { player, view, lanes, transport } = this.#parts;
    this.#frame = 0;
    const { position, status } = player;
    if (status === "playing") view.follow(position);
    if (!this.#isDrawn) this.#draw();
    lanes.setPlayhead(position);
    transport.setPosition(position);
    lanes.setLevels((track) => player.level(track));
    transport.setLevel(player.level());
    if (player.isWanted) this.animate();
  }

  #draw() {
    this.#isDrawn = true;
    const result = this.#result;
    if (!result || !this.#peaks) return;
    const { root, view, loop, lanes, transport, tools } = this.#parts;
    const theme = root.dataset.scheme ?? "light";
    lanes.draw(this.#peaks, tools.look, (track, axis, width) => (
      `${this.#base}/${result.version}/picture/${axis}/${encodeURIComponent(track)}.png?theme=${theme}&width=${width}`));
    const whole = result.tracks.find(({ is_stem: isStem }) => !isStem) ?? result.tracks[0];
    transport.draw(this.#peaks.of(whole.name), result.peak_samples, view);
    this.showLoop(loop.region, loop.isOn);
  }
}
