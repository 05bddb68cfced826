// Sound that is scheduled on the clock of an audio context, and the samples of the song that it plays.
import { nextStep, sampleAt } from "./schedule.js";

const AHEAD_SECONDS = 4; // scheduled ahead: timers of a hidden page run once per second only
const LEAD_SECONDS = 0.04; // from a decision to its first sample

/** Pieces of stretches on an audio graph, all tracks of a piece on the same frame of its clock. */
export class ScheduledSound {
  #graph;
  #rate;
  /** @type {Set<AudioBufferSourceNode>} */
  #sources = new Set();
  /** @type {import("./schedule.js").Span[]} */
  #spans = [];
  #next = { frame: 0, sample: 0 };
  #endFrame = Infinity;

  /**
   * @param {import("./graph.js").Graph} graph
   * @param {number} rate of the song
   */
  constructor(graph, rate) {
    [this.#graph, this.#rate] = [graph, rate];
  }

  /** @returns {number} the sample that is heard now */
  get heard() {
    return sampleAt(this.#spans, this.#frame - this.#latency, this.#next.sample);
  }

  /** @returns {number} the sample at which the clock is; it is heard after the latency */
  get sample() {
    return sampleAt(this.#spans, this.#frame, this.#next.sample);
  }

  /** @returns {number} the first sample that is not scheduled yet */
  get nextSample() {
    return this.#next.sample;
  }

  /** @returns {boolean} whether the clock has reached the end of what is scheduled */
  get isUsedUp() {
    return this.#frame >= this.#next.frame;
  }

  /** @returns {boolean} whether the end of the song was heard */
  get isOver() {
    return this.#frame - this.#latency >= this.#endFrame;
  }

  /**
   * Start at a sample, with a fade; `fill` schedules it.
   * @param {number} sample
   */
  begin(sample) {
    this.silence();
    this.#spans = [];
    this.#endFrame = Infinity;
    this.#next = { frame: this.#frame, sample };
  }

  /** End all sounds with a fade. */
  silence() {
    this.#endSources(this.#graph.fadeOut());
  }

  /** Cancel the sound after the next moment; `fill` continues there without a gap or jump. */
  takeBack() {
    const frame = Math.ceil(this.#frame) + Math.ceil(LEAD_SECONDS * this.#rate);
    if (this.#next.frame > frame) {
      this.#next = { frame, sample: Math.round(sampleAt(this.#spans, frame, this.#next.sample)) };
      this.#spans = this.#spans
        .filter((span) => span.frame < frame)
        .map((span) => ({ ...span, length: Math.min(span.length, frame - span.frame) }));
      this.#endSources(frame / this.#rate);
    }
    this.#endFrame = Infinity;
  }

  /**
   * Schedule what comes next, some seconds ahead.
   * @param {import("./schedule.js").Timeline} timeline
   * @param {(index: number) => import("./stretches.js").Stretch | null | undefined} stretchAt loaded stretches
   * @returns {"" | "loading" | "waiting"} the reason if less was scheduled than should be
   */
  fill(timeline, stretchAt) {
    const horizon = this.#frame + AHEAD_SECONDS * this.#rate;
    while (this.#next.frame < horizon) {
      const step = nextStep(this.#next.sample, timeline);
      if (step.kind === "jump") {
        this.#next.sample = step.to;
      } else if (step.kind === "piece") {
        const stretch = stretchAt(step.index);
        if (!stretch) return "loading";
        this.#start(stretch, step, step.index * timeline.stretchSamples);
      } else if (step.kind === "wait") {
        return "waiting";
      } else {
        this.#endFrame = Math.min(this.#endFrame, this.#next.frame);
        return "";
      }
    }
    return "";
  }

  /** The clock of the context, in samples of the song. */
  get #frame() {
    return this.#graph.context.currentTime * this.#rate;
  }

  /** From the clock to the ear, in samples of the song. */
  get #latency() {
    return this.#graph.latency * this.#rate;
  }

  /** @param {number} time seconds of the context */
  #endSources(time) {
    for (const source of this.#sources) source.stop(time);
  }

  /**
   * Schedule a piece of a stretch, all tracks on the same frame.
   * @param {import("./stretches.js").Stretch} stretch
   * @param {{from: number, to: number}} piece
   * @param {number} first sample of the stretch
   */
  #start(stretch, { from, to }, first) {
    const rate = this.#rate;
    if (this.#next.frame < this.#frame + 0.5 * LEAD_SECONDS * rate) {
      this.#next.frame = Math.ceil(this.#frame + LEAD_SECONDS * rate);
      if (from > 0) this.#graph.fadeIn(this.#next.frame / rate);
    }
    const { frame } = this.#next;
    for (const [track, buffer] of stretch) {
      const source = this.#graph.context.createBufferSource();
      source.buffer = buffer;
      source.connect(this.#graph.input(track));
      source.start(frame / rate, (from - first) / rate, (to - from) / rate);
      this.#sources.add(source);
      source.addEventListener("ended", () => { this.#sources.delete(source); source.disconnect(); });
    }
    this.#spans = this.#spans.filter((span) => span.frame + span.length > this.#frame - 2 * rate);
    this.#spans.push({ frame, sample: from, length: to - from });
    this.#next = { frame: frame + to - from, sample: to };
  }
}
