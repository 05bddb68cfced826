// The part of the song that the lanes show, and the mapping between samples and pixels.

const SHORTEST_SECONDS = 1;

/** The visible part of a song, in samples; dispatches "change". */
export class Viewport extends EventTarget {
  start = 0;
  length = 1;
  #samples = 1;
  #rate = 44100;

  /**
   * @param {number} samples length of the song
   * @param {number} rate
   */
  setSong(samples, rate) {
    if (samples === this.#samples && rate === this.#rate) return;
    const wasWhole = this.isWhole;
    [this.#samples, this.#rate] = [Math.max(1, samples), rate];
    this.#set(wasWhole ? 0 : this.start, wasWhole ? this.#samples : this.length);
  }

  /** @returns {boolean} */
  get isWhole() {
    return this.length >= this.#samples;
  }

  /** @returns {number} how many times longer the song is than the visible part */
  get zoom() {
    return this.#samples / this.length;
  }

  /** @returns {number} */
  get samples() {
    return this.#samples;
  }

  /**
   * Return the share of the width at which a sample is; outside 0..1 it is not visible.
   * @param {number} sample
   * @returns {number}
   */
  shareOf(sample) {
    return (sample - this.start) / this.length;
  }

  /**
   * @param {number} share of the width
   * @returns {number} the sample there
   */
  sampleAt(share) {
    return Math.min(this.#samples, Math.max(0, this.start + share * this.length));
  }

  /**
   * Zoom in by a factor above one, out by one below; a share of the width keeps its sample.
   * @param {number} factor
   * @param {number} share
   */
  zoomBy(factor, share) {
    const shortest = Math.min(this.#samples, SHORTEST_SECONDS * this.#rate);
    const length = Math.min(this.#samples, Math.max(shortest, this.length / factor));
    this.#set(this.start + share * (this.length - length), length);
  }

  /** @param {number} share of the visible part to scroll by; positive shows later parts */
  scrollBy(share) {
    this.#set(this.start + share * this.length, this.length);
  }

  /** Show the whole song. */
  showAll() {
    this.#set(0, this.#samples);
  }

  /**
   * Scroll to a sample if it is not visible.
   * @param {number} sample
   */
  follow(sample) {
    const share = this.shareOf(sample);
    if (share < 0 || share > 1) this.#set(sample - 0.05 * this.length, this.length);
  }

  /**
   * @param {number} start
   * @param {number} length
   */
  #set(start, length) {
    const kept = Math.min(Math.max(0, start), this.#samples - length);
    if (kept === this.start && length === this.length) return;
    [this.start, this.length] = [kept, length];
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * Return the distance of labels on a time axis, in seconds.
 * @param {number} seconds visible
 * @param {number} most labels that fit
 * @returns {number}
 */
export function tickSeconds(seconds, most) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300];
  return steps.find((step) => seconds / step <= most) ?? 600;
}
