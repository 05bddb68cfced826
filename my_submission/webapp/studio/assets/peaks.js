// The lowest and highest values of a track per bin of samples, and coarser bins for a song that is zoomed out.

const FULL_SCALE = 16384;
const COARSER = 8;
const LARGEST_MAGNIFICATION = 64;

/** Peaks of one track, which grow while the song is separated. */
export class Peaks {
  /** @type {{low: Int16Array, high: Int16Array}[]} every level has bins COARSER times as long as the one before */
  #levels = [];
  #highest = 0;
  n_bins = 0;

  /** @param {number} n_total bins of the whole song */
  constructor(n_total) {
    for (let n = n_total; ; n = Math.ceil(n / COARSER)) {
      this.#levels.push({ low: new Int16Array(n), high: new Int16Array(n) });
      if (n <= 1) break;
    }
  }

  /**
   * Add bins after those that are there.
   * @param {DataView} pairs little-endian int16: lowest and highest value of each bin
   */
  append(pairs) {
    const [{ low, high }] = this.#levels;
    const first = this.n_bins;
    const n_new = Math.min(pairs.byteLength >> 2, low.length - first);
    for (let bin = 0; bin < n_new; bin += 1) {
      low[first + bin] = pairs.getInt16(4 * bin, true);
      high[first + bin] = pairs.getInt16(4 * bin + 2, true);
      this.#highest = Math.max(this.#highest, -low[first + bin], high[first + bin]);
    }
    this.n_bins += n_new;
    this.#coarsen(first, this.n_bins);
  }

  /** @returns {number} the highest amplitude; 1 is full scale */
  get highest() {
    return this.#highest / FULL_SCALE;
  }

  /** @returns {number} the power of two by which the waveform can be magnified without leaving its lane */
  get magnification() {
    if (this.#highest === 0) return 1;
    const fitting = 2 ** Math.floor(Math.log2(1 / this.highest));
    return Math.min(LARGEST_MAGNIFICATION, Math.max(1, fitting));
  }

  /**
   * Return the lowest and highest value between two bins; 1 is full scale.
   * @param {number} from
   * @param {number} to excluded
   * @returns {[number, number] | null} null beyond the bins that are there
   */
  range(from, to) {
    if (from >= this.n_bins) return null;
    let level = 0;
    let size = 1;
    while (level + 1 < this.#levels.length && size * COARSER <= to - from) [level, size] = [level + 1, size * COARSER];
    const { low, high } = this.#levels[level];
    const first = Math.floor(from / size);
    const last = Math.max(first, Math.ceil(Math.min(to, this.n_bins) / size) - 1);
    let [lowest, highest] = [low[first], high[first]];
    for (let bin = first + 1; bin <= last; bin += 1) {
      lowest = Math.min(lowest, low[bin]);
      highest = Math.max(highest, high[bin]);
    }
    return [lowest / FULL_SCALE, highest / FULL_SCALE];
  }

  /**
   * @param {number} from first new bin
   * @param {number} to end of the new bins
   */
  #coarsen(from, to) {
    for (let level = 1; level < this.#levels.length && to > from; level += 1) {
      const fine = this.#levels[level - 1];
      const coarse = this.#levels[level];
      [from, to] = [Math.floor(from / COARSER), Math.ceil(to / COARSER)];
      for (let bin = from; bin < to; bin += 1) {
        coarse.low[bin] = Math.min(...fine.low.subarray(COARSER * bin, COARSER * (bin + 1)));
        coarse.high[bin] = Math.max(...fine.high.subarray(COARSER * bin, COARSER * (bin + 1)));
      }
    }
  }
}

/** Loads the peaks of all tracks of one version; dispatches "change" when there are more. */
export class PeakLoader extends EventTarget {
  /** @type {Map<string, Peaks>} */
  #peaks = new Map();
  /** @type {Set<string>} */
  #loading = new Set();
  #isClosed = false;
  #address;
  #n_total;

  /**
   * @param {(track: string, from: number) => string} address
   * @param {number} n_total bins of the whole song
   */
  constructor(address, n_total) {
    super();
    this.#address = address;
    this.#n_total = n_total;
  }

  /**
   * @param {string} track
   * @returns {Peaks | undefined}
   */
  of(track) {
    return this.#peaks.get(track);
  }

  /**
   * Load what is missing of a track; a failed load is tried again at the next call.
   * @param {string} track
   * @param {number} n_ready bins that exist on the server
   */
  async load(track, n_ready) {
    const known = this.#peaks.get(track);
    if (this.#loading.has(track) || (known?.n_bins ?? 0) >= n_ready) return;
    this.#loading.add(track);
    try {
      const answer = await fetch(this.#address(track, known?.n_bins ?? 0));
      if (!answer.ok) return;
      const pairs = new DataView(await answer.arrayBuffer());
      if (this.#isClosed) return;
      const peaks = known ?? new Peaks(this.#n_total);
      peaks.append(pairs);
      this.#peaks.set(track, peaks);
      this.dispatchEvent(new Event("change"));
    } catch {
      // no connection: the poll of the song's state says so, and the next one asks again
    } finally {
      this.#loading.delete(track);
    }
  }

  close() {
    this.#isClosed = true;
  }
}
