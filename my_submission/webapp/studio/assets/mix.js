// The mix as heard: mute, solo, gain and pan of every stem, and the presets that its stems allow.

export const LOWEST_DB = -40;
export const HIGHEST_DB = 12;

const SOURCE_SETS = [["bass", "drums", "other", "vocals"], ["dialog", "effect", "music"]];
const COMPLEMENTS = { instrumental: "vocals", karaoke: "vocals", drumless: "drums", bassless: "bass" };
const PRESETS = [
  { name: "karaoke", label: "Karaoke", source: "vocals", isSourceHeard: false },
  { name: "acappella", label: "A cappella", source: "vocals", isSourceHeard: true },
  { name: "drumless", label: "Drumless", source: "drums", isSourceHeard: false },
  { name: "bassless", label: "Bassless", source: "bass", isSourceHeard: false },
];

/**
 * @typedef {{isMuted: boolean, isSolo: boolean, gainDb: number, pan: number}} Strip
 * @typedef {{name: string, label: string, heard: string[]}} Preset
 */

/** @returns {Strip} */
const neutral = () => ({ isMuted: false, isSolo: false, gainDb: 0, pan: 0 });

/**
 * Return the source that a stem leaves out of the song, or "" if the stem is a source.
 * @param {string} stem
 * @returns {string}
 */
export function complementedSource(stem) {
  return COMPLEMENTS[stem] ?? (stem.startsWith("no_") ? stem.slice(3) : "");
}

/**
 * Return stems that together are the song, each sound once, as far as the stems at hand allow.
 * @param {string[]} stems
 * @returns {string[]}
 */
export function wholeSong(stems) {
  const sources = stems.filter((stem) => !complementedSource(stem));
  if (SOURCE_SETS.some((set) => set.every((source) => sources.includes(source)))) return sources;
  const rest = stems.find((stem) => sources.includes(complementedSource(stem)));
  if (rest) return stems.filter((stem) => stem === rest || stem === complementedSource(rest));
  return sources.length ? sources : stems.slice(0, 1);
}

/**
 * Return the presets that the stems allow; the first is "All".
 * @param {string[]} stems
 * @returns {Preset[]}
 */
export function presetsOf(stems) {
  const all = wholeSong(stems);
  const found = [{ name: "mix", label: "All", heard: all }];
  if (stems.length < 2) return found;
  for (const { name, label, source, isSourceHeard } of PRESETS) {
    const complement = stems.find((stem) => complementedSource(stem) === source);
    const others = all.includes(source) && all.length > 1 ? all.filter((stem) => stem !== source) : [];
    const without = others.length ? others : complement ? [complement] : [];
    const heard = isSourceHeard ? stems.filter((stem) => stem === source) : without;
    if (heard.length && heard.length < stems.length) found.push({ name, label, heard });
  }
  return found;
}

/** Mute, solo, gain and pan of all stems; dispatches "change". */
export class Mix extends EventTarget {
  /** @type {Map<string, Strip>} */
  #strips = new Map();
  /** @type {string[]} */
  #stems = [];

  isOriginal = false;

  /** @returns {string[]} */
  get stems() {
    return this.#stems;
  }

  /**
   * Set the stems; those with a known name keep their settings.
   * @param {string[]} stems
   */
  setStems(stems) {
    if (stems.join() === this.#stems.join()) return;
    this.#stems = [...stems];
    const all = wholeSong(stems);
    for (const name of stems) {
      if (!this.#strips.has(name)) this.#strips.set(name, { ...neutral(), isMuted: !all.includes(name) });
    }
    this.#changed();
  }

  /**
   * @param {string} name
   * @returns {Strip}
   */
  strip(name) {
    return this.#strips.get(name) ?? neutral();
  }

  /**
   * Change some settings of a stem.
   * @param {string} name
   * @param {Partial<Strip>} change
   */
  set(name, change) {
    this.#strips.set(name, { ...this.strip(name), ...change });
    this.#changed();
  }

  /**
   * Play the original song in place of the stems, or stop doing so.
   * @param {boolean} isOriginal
   */
  setOriginal(isOriginal) {
    this.isOriginal = isOriginal;
    this.#changed();
  }

  /**
   * Whether a stem is part of the mix.
   * @param {string} name
   * @returns {boolean}
   */
  isHeard(name) {
    const { isMuted, isSolo, gainDb } = this.strip(name);
    const isAnySolo = this.#stems.some((stem) => this.strip(stem).isSolo);
    return gainDb > LOWEST_DB && (isAnySolo ? isSolo : !isMuted);
  }

  /**
   * Return a stem's factor of amplitude; the original song replaces all stems while it is chosen.
   * @param {string} name
   * @returns {number}
   */
  factor(name) {
    return !this.isOriginal && this.isHeard(name) ? 10 ** (this.strip(name).gainDb / 20) : 0;
  }

  /** @returns {string[]} the stems that are heard */
  get heard() {
    return this.#stems.filter((name) => this.isHeard(name));
  }

  /** @returns {Preset[]} */
  get presets() {
    return presetsOf(this.#stems);
  }

  /** @returns {string} the name of the preset that the mutes and solos match, or "" */
  get preset() {
    const heard = this.heard.join();
    return this.presets.find((preset) => preset.heard.join() === heard)?.name ?? "";
  }

  /** @param {Preset} preset */
  apply(preset) {
    for (const name of this.#stems) {
      this.#strips.set(name, { ...this.strip(name), isMuted: !preset.heard.includes(name), isSolo: false });
    }
    this.isOriginal = false;
    this.#changed();
  }

  /** Reset everything: all gains to 0 dB, all pans to the middle. */
  reset() {
    const all = wholeSong(this.#stems);
    for (const name of this.#stems) this.#strips.set(name, { ...neutral(), isMuted: !all.includes(name) });
    this.isOriginal = false;
    this.#changed();
  }

  /** @returns {boolean} whether all gains and pans are neutral */
  get isFlat() {
    return this.#stems.every((name) => this.strip(name).gainDb === 0 && this.strip(name).pan === 0);
  }

  /** @returns {string} the mix as the query of its download address */
  get query() {
    const name = (this.isFlat && this.preset) || "mix";
    const gains = this.heard.map((stem) => {
      const { gainDb, pan } = this.strip(stem);
      return `${encodeURIComponent(stem)}=${gainDb},${pan}`;
    });
    return [`name=${name}`, ...gains].join("&");
  }

  /** @returns {Record<string, Strip>} */
  get saved() {
    return Object.fromEntries(this.#strips);
  }

  /**
   * Restore settings that were saved before a reload; invalid values are ignored.
   * @param {unknown} saved
   */
  restore(saved) {
    for (const [name, strip] of Object.entries(saved ?? {})) {
      const { isMuted, isSolo, gainDb, pan } = strip ?? {};
      const isValid = Number.isFinite(gainDb) && Number.isFinite(pan) && Math.abs(pan) <= 1;
      if (isValid) this.#strips.set(name, { isMuted: Boolean(isMuted), isSolo: Boolean(isSolo), gainDb, pan });
    }
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
