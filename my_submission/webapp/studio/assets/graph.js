// The audio graph: stem -> gain -> pan -> meter -> fader -> loudspeakers.

const HEADROOM = 2; // stretches are stored at half level
const FADE_SECONDS = 0.005; // against clicks when playback starts, stops or jumps
const SETTLE_SECONDS = 0.01; // time constant of a change of gain or pan
const METER_SAMPLES = 1024;

/**
 * @typedef {{gain: GainNode, panner: StereoPannerNode, analyser: AnalyserNode}} Lane
 * @typedef {(track: string) => {factor: number, pan: number}} Levels the present level and pan of a track
 */

/** An audio context with one lane per track and a fader. */
export class Graph {
  context;
  #fader;
  #meter;
  /** @type {Map<string, Lane>} */
  #lanes = new Map();
  #levels;
  #samples = new Float32Array(METER_SAMPLES);

  /**
   * @param {number} rate of the song
   * @param {Levels} levels
   */
  constructor(rate, levels) {
    this.#levels = levels;
    try {
      this.context = new AudioContext({ sampleRate: rate });
    } catch {
      this.context = new AudioContext(); // a rate that this browser does not play; it resamples every stretch
    }
    this.#fader = this.context.createGain();
    this.#meter = this.#analyser();
    this.#fader.connect(this.#meter);
    this.#fader.connect(this.context.destination);
  }

  /** @returns {number} seconds from the clock to the loudspeakers */
  get latency() {
    return this.context.outputLatency || this.context.baseLatency || 0;
  }

  /**
   * Return the node that takes a track's sound.
   * @param {string} track
   * @returns {AudioNode}
   */
  input(track) {
    const known = this.#lanes.get(track);
    if (known) return known.gain;
    const { context } = this;
    const lane = { gain: context.createGain(), panner: context.createStereoPanner(), analyser: this.#analyser() };
    const { factor, pan } = this.#levels(track);
    lane.gain.gain.value = HEADROOM * factor;
    lane.panner.pan.value = pan;
    lane.gain.connect(lane.panner).connect(lane.analyser).connect(this.#fader);
    this.#lanes.set(track, lane);
    return lane.gain;
  }

  /** Apply new levels and pans. */
  applyLevels() {
    const now = this.context.currentTime;
    for (const [track, lane] of this.#lanes) {
      const { factor, pan } = this.#levels(track);
      lane.gain.gain.setTargetAtTime(HEADROOM * factor, now, SETTLE_SECONDS);
      lane.panner.pan.setTargetAtTime(pan, now, SETTLE_SECONDS);
    }
  }

  /**
   * Return the highest amplitude of a track in the last moment, after gain and pan; of the mix without a name.
   * @param {string} [track]
   * @returns {number}
   */
  level(track) {
    const analyser = track ? this.#lanes.get(track)?.analyser : this.#meter;
    if (!analyser) return 0;
    analyser.getFloatTimeDomainData(this.#samples);
    return this.#samples.reduce((highest, value) => Math.max(highest, Math.abs(value)), 0);
  }

  /**
   * Fade out; the fader is open again after the time that is returned.
   * @returns {number} seconds of the context at which all sounds may end
   */
  fadeOut() {
    const { gain } = this.#fader;
    const now = this.context.currentTime;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(gain.value, now);
    gain.linearRampToValueAtTime(0, now + FADE_SECONDS);
    gain.setValueAtTime(1, now + 2 * FADE_SECONDS);
    return now + 2 * FADE_SECONDS;
  }

  /** @param {number} time seconds of the context at which a sound begins */
  fadeIn(time) {
    this.#fader.gain.setValueAtTime(0, time);
    this.#fader.gain.linearRampToValueAtTime(1, time + FADE_SECONDS);
  }

  close() {
    this.context.close().catch(() => {});
  }

  #analyser() {
    const analyser = this.context.createAnalyser();
    analyser.fftSize = METER_SAMPLES;
    return analyser;
  }
}
