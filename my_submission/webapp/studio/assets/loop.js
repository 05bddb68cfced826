// The loop: a region of the song, or the whole song, that playback repeats.

const SHORTEST_SECONDS = 0.05;

/** @typedef {import("./schedule.js").Region} Region */

/** The chosen region and whether it is repeated; dispatches "change". */
export class Loop extends EventTarget {
  /** @type {Region | null} null for the whole song */
  region = null;
  isOn = false;
  #samples = 0;
  #rate = 44100;

  /**
   * @param {number} samples length of the song
   * @param {number} rate
   */
  setSong(samples, rate) {
    [this.#samples, this.#rate] = [samples, rate];
  }

  /** @returns {Region | null} what playback repeats */
  get repeated() {
    if (!this.isOn || !this.#samples) return null;
    return this.region ?? { start: 0, end: this.#samples };
  }

  /**
   * Choose a region; a region that is too short to be heard clears the loop.
   * @param {Region | null} region
   * @param {boolean} isOn
   */
  set(region, isOn) {
    const isLongEnough = region !== null && region.end - region.start >= SHORTEST_SECONDS * this.#rate;
    this.region = isLongEnough ? region : null;
    this.isOn = isOn && (region === null || isLongEnough);
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Return the region between two samples in any order.
   * @param {number} one
   * @param {number} other
   * @returns {Region}
   */
  between(one, other) {
    const [start, end] = [one, other].map((at) => Math.min(this.#samples, Math.max(0, Math.round(at)))).sort((a, b) => a - b);
    return { start, end };
  }

  toggle() {
    this.set(this.region, !this.isOn);
  }

  /**
   * Move one edge to a sample.
   * @param {"start" | "end"} edge
   * @param {number} sample
   */
  setEdge(edge, sample) {
    const at = Math.round(sample);
    const { start, end } = this.region ?? { start: 0, end: this.#samples };
    if (edge === "start") this.set({ start: at, end: end > at ? end : this.#samples }, true);
    else this.set({ start: start < at ? start : 0, end: at }, true);
  }
}
