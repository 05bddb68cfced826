// Decoded stretches of a song: fetched ahead, a bounded number of bytes kept.

const MOST_BYTES = 96 * 2 ** 20;
const MOST_LOADS = 2;
const FIRST_RETRY_MS = 400;
const LONGEST_RETRY_MS = 5000;

/**
 * @typedef {Map<string, AudioBuffer>} Stretch one buffer per track
 * @typedef {{stretch: Stretch | null, abort: AbortController, bytes: number}} Entry
 */

/** The stretches of one version of a song; dispatches "loaded", "trouble" and "gone". */
export class Stretches extends EventTarget {
  /** @type {Map<number, Entry>} in the order of their last use */
  #entries = new Map();
  /** @type {number[]} */
  #wanted = [];
  #isClosed = false;
  #listeners = new AbortController();
  #decoder;
  #address;
  #tracks;

  /**
   * @param {(track: string, index: number) => string} address
   * @param {string[]} tracks
   * @param {number} rate sample rate of the song, at which stretches are decoded
   */
  constructor(address, tracks, rate) {
    super();
    this.#address = address;
    this.#tracks = tracks;
    this.#decoder = new OfflineAudioContext(2, 1, rate);
    addEventListener("online", () => this.#retryNow(), { signal: this.#listeners.signal });
  }

  /**
   * Return a stretch if it is loaded, else null.
   * @param {number} index
   * @returns {Stretch | null}
   */
  get(index) {
    const entry = this.#entries.get(index);
    if (!entry?.stretch) return null;
    this.#entries.delete(index);
    this.#entries.set(index, entry);
    return entry.stretch;
  }

  /**
   * Load stretches in this order; loads of all others are aborted.
   * @param {number[]} indexes
   */
  want(indexes) {
    this.#wanted = indexes;
    for (const [index, entry] of this.#entries) {
      if (!entry.stretch && !indexes.includes(index)) this.#drop(index);
    }
    this.#loadMore();
  }

  close() {
    this.#isClosed = true;
    this.#listeners.abort();
    for (const index of [...this.#entries.keys()]) this.#drop(index);
  }

  /** @type {(() => void)[]} */
  #waits = [];

  #retryNow() {
    for (const wake of this.#waits.splice(0)) wake();
  }

  /** @param {number} index */
  #drop(index) {
    this.#entries.get(index)?.abort.abort();
    this.#entries.delete(index);
  }

  #loadMore() {
    if (this.#isClosed) return;
    const n_loads = [...this.#entries.values()].filter(({ stretch }) => !stretch).length;
    const missing = this.#wanted.filter((index) => !this.#entries.has(index));
    for (const index of missing.slice(0, Math.max(0, MOST_LOADS - n_loads))) this.#load(index);
  }

  /** @param {number} index */
  async #load(index) {
    /** @type {Entry} */
    const entry = { stretch: null, abort: new AbortController(), bytes: 0 };
    this.#entries.set(index, entry);
    try {
      const { signal } = entry.abort;
      const buffers = await Promise.all(this.#tracks.map((track) => this.#track(track, index, signal)));
      /** @type {Stretch} */
      const stretch = new Map(this.#tracks.map((track, row) => [track, buffers[row]]));
      if (entry.abort.signal.aborted) return;
      entry.stretch = stretch;
      for (const { length, numberOfChannels } of stretch.values()) entry.bytes += 4 * length * numberOfChannels;
      this.#forget(index);
      this.dispatchEvent(new Event("loaded"));
      this.#loadMore();
    } catch (error) {
      if (entry.abort.signal.aborted) return;
      this.close();
      this.dispatchEvent(new CustomEvent("gone", { detail: String(error) }));
    }
  }

  /**
   * Fetch and decode one track of a stretch; tries again until it succeeds or is aborted.
   * @param {string} track
   * @param {number} index
   * @param {AbortSignal} signal
   * @returns {Promise<AudioBuffer>}
   */
  async #track(track, index, signal) {
    for (let delay = FIRST_RETRY_MS; ; delay = Math.min(LONGEST_RETRY_MS, 2 * delay)) {
      const answer = await fetch(this.#address(track, index), { signal }).catch((error) => {
        if (signal.aborted) throw error;
        return null;
      });
      const buffer = answer?.ok ? await this.#decoded(answer) : null;
      if (buffer) return buffer;
      if (answer?.status === 404) throw new Error(await answer.text());
      if (answer?.status !== 425) this.dispatchEvent(new Event("trouble"));
      await this.#pause(answer?.status === 425 ? FIRST_RETRY_MS : delay, signal);
    }
  }

  /**
   * Return the sound of an answer, or null where it did not arrive whole.
   * @param {Response} answer
   * @returns {Promise<AudioBuffer | null>}
   */
  async #decoded(answer) {
    try {
      return await this.#decoder.decodeAudioData(await answer.arrayBuffer());
    } catch {
      return null;
    }
  }

  /**
   * @param {number} milliseconds
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   */
  #pause(milliseconds, signal) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#waits.push(resolve);
      signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
    });
  }

  /** Drop the stretches used longest ago until the others fit; the wanted ones stay. @param {number} latest */
  #forget(latest) {
    let bytes = [...this.#entries.values()].reduce((sum, entry) => sum + entry.bytes, 0);
    for (const [index, entry] of this.#entries) {
      if (bytes <= MOST_BYTES) break;
      if (!entry.stretch || index === latest || this.#wanted.includes(index)) continue;
      bytes -= entry.bytes;
      this.#entries.delete(index);
    }
  }
}
