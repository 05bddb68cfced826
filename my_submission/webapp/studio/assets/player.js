// The player: what plays of which version of a song, and why it may not.
import { Graph } from "./graph.js";
import { upcoming } from "./schedule.js";
import { ScheduledSound } from "./scheduled_sound.js";
import { Stretches } from "./stretches.js";

const FETCH_SECONDS = 12; // loaded ahead
const SWAP_SECONDS = 1; // of a new version that must be loaded before it takes over
const TICK_MS = 100;

/**
 * @typedef {import("./schedule.js").Region} Region
 * @typedef {{version: string, tracks: string[], rate: number, samples: number, end: number, ready: number,
 *   stretchSamples: number, address: (track: string, index: number) => string}} Song
 * @typedef {"paused" | "playing" | "loading" | "waiting" | "trouble" | "blocked"} Status
 */

/** Plays all tracks of a song in step; dispatches "change" for its status and "ended". */
export class Player extends EventTarget {
  /** @type {Graph | null} */
  #graph = null;
  /** @type {ScheduledSound | null} what is scheduled on the graph */
  #sound = null;
  /** @type {Song | null} */
  #song = null;
  /** @type {Stretches | null} */
  #stretches = null;
  /** @type {{song: Song, stretches: Stretches} | null} a new version whose first stretch is being loaded */
  #successor = null;
  #isWanted = false;
  #at = 0;
  /** @type {Region | null} */
  #loop = null;
  /** @type {Status} */
  #status = "paused";
  #timer = 0;
  #levels;

  /** @param {import("./graph.js").Levels} levels */
  constructor(levels) {
    super();
    this.#levels = levels;
  }

  /** @returns {Status} */
  get status() {
    return this.#status;
  }

  /** @returns {boolean} whether playback was asked for, even if it waits for sound */
  get isWanted() {
    return this.#isWanted;
  }

  /** @returns {Region | null} */
  get loop() {
    return this.#loop;
  }

  /** @returns {number} the sample that is heard now */
  get position() {
    return this.#isWanted && this.#sound ? this.#sound.heard : this.#at;
  }

  /**
   * Take a result: more of it is ready, or it is another version.
   * A new version takes over at the sample that is played, as soon as its stretch there is loaded.
   * @param {Song} song
   */
  setSong(song) {
    if (!this.#song || !this.#stretches) {
      this.#song = song;
      this.#stretches = this.#load(song);
      this.#at = Math.min(this.#at, song.end);
    } else if (this.#song.version === song.version) {
      this.#song = song;
    } else if (this.#successor?.song.version === song.version) {
      this.#successor.song = song;
    } else {
      this.#successor?.stretches.close();
      this.#successor = { song, stretches: this.#load(song) };
    }
    this.#plan();
  }

  /** Play, or try again; called from a click or key, because browsers refuse sound before one. */
  async play() {
    if (!this.#song) return;
    const { context } = this.#open();
    if (!this.#isWanted) {
      this.#isWanted = true;
      this.#timer = window.setInterval(() => this.#plan(), TICK_MS);
      this.#begin(this.#at >= this.#song.end && !this.#isUnfinished ? 0 : Math.round(this.#at));
    }
    if (context.state === "running") return;
    const refusal = setTimeout(() => this.#setStatus("blocked"), 1000);
    await context.resume().catch(() => {});
    clearTimeout(refusal);
    this.#plan();
  }

  /** Pause at the sample that is heard now. */
  pause() {
    if (!this.#isWanted) return;
    this.#at = this.position;
    this.#isWanted = false;
    clearInterval(this.#timer);
    this.#sound?.silence();
    this.#setStatus("paused");
    setTimeout(() => { if (!this.#isWanted) this.#graph?.context.suspend().catch(() => {}); }, 50);
  }

  /**
   * Move the playhead.
   * @param {number} sample
   */
  seek(sample) {
    const target = Math.min(Math.max(0, Math.round(sample)), this.#song?.samples ?? 0);
    this.#at = target;
    if (this.#isWanted) this.#begin(target);
    else this.#plan();
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Repeat a region, or nothing; the sound goes on without a gap.
   * @param {Region | null} loop
   */
  setLoop(loop) {
    this.#loop = loop;
    if (this.#isWanted) this.#goOn();
    else this.#plan();
  }

  /** Take new levels and pans. */
  applyLevels() {
    this.#graph?.applyLevels();
  }

  /**
   * Return the highest amplitude of a track in the last moment, after gain and pan; of the mix without a name.
   * @param {string} [track]
   * @returns {number}
   */
  level(track) {
    return this.#status === "playing" ? this.#graph?.level(track) ?? 0 : 0;
  }

  /** Release the audio context, timers and stretches. */
  close() {
    this.#isWanted = false;
    clearInterval(this.#timer);
    this.#stretches?.close();
    this.#successor?.stretches.close();
    this.#graph?.close();
    [this.#graph, this.#sound] = [null, null];
  }

  get #rate() {
    return this.#song?.rate ?? 44100;
  }

  get #isUnfinished() {
    return this.#song !== null && this.#song.ready < this.#song.end;
  }

  /** @returns {import("./schedule.js").Timeline} */
  get #timeline() {
    const { stretchSamples = 1, ready = 0, end = 0 } = this.#song ?? {};
    return { stretchSamples, ready, end, loop: this.#loop };
  }

  /** @returns {Graph} */
  #open() {
    if (!this.#graph) {
      this.#graph = new Graph(this.#rate, this.#levels);
      this.#sound = new ScheduledSound(this.#graph, this.#rate);
      this.#graph.context.addEventListener("statechange", () => this.#plan());
    }
    return this.#graph;
  }

  /** @param {Song} song */
  #load(song) {
    const stretches = new Stretches(song.address, song.tracks, song.rate);
    stretches.addEventListener("loaded", () => this.#plan());
    stretches.addEventListener("trouble", () => {
      if (this.#isWanted && this.#sound?.isUsedUp) this.#setStatus("trouble");
    });
    stretches.addEventListener("gone", () => this.dispatchEvent(new Event("gone")));
    return stretches;
  }

  /** Start at a sample, with a fade. @param {number} sample */
  #begin(sample) {
    this.#sound?.begin(sample);
    this.#plan();
  }

  /** Plan anew from the next moment on, with neither gap nor jump, because the loop or the version changed. */
  #goOn() {
    this.#sound?.takeBack();
    this.#plan();
  }

  /** Let a new version take over where the stretch at the playhead is loaded. */
  #succeed() {
    if (!this.#successor) return;
    const { song, stretches } = this.#successor;
    const sample = this.#isWanted && this.#sound ? this.#sound.sample : this.#at;
    const first = upcoming(Math.round(sample), { ...song, loop: this.#loop }, SWAP_SECONDS * song.rate);
    stretches.want(first);
    if (this.#isWanted && first.some((index) => !stretches.get(index))) return;
    this.#stretches?.close();
    [this.#song, this.#stretches, this.#successor] = [song, stretches, null];
    this.dispatchEvent(new Event("swapped"));
    if (this.#isWanted) this.#goOn();
  }

  /** Schedule what comes next, load what follows, and tell the status. */
  #plan() {
    if (!this.#song || !this.#stretches) return;
    this.#succeed();
    if (!this.#isWanted || !this.#sound) {
      this.#stretches.want(upcoming(Math.round(this.#at), this.#timeline, 1));
      return;
    }
    const stall = this.#sound.fill(this.#timeline, (index) => this.#stretches?.get(index));
    this.#stretches.want(upcoming(this.#sound.nextSample, this.#timeline, Math.round(FETCH_SECONDS * this.#rate)));
    if (this.#sound.isOver) {
      this.pause();
      this.#at = this.#isUnfinished ? this.#at : 0;
      this.dispatchEvent(new Event("ended"));
    } else if (!this.#sound.isUsedUp) {
      this.#setStatus(this.#graph?.context.state === "running" ? "playing" : this.#status);
    } else if (!(stall === "loading" && this.#status === "trouble")) {
      this.#setStatus(stall || "loading");
    }
  }

  /** @param {Status} status */
  #setStatus(status) {
    if (status === this.#status) return;
    this.#status = status;
    this.dispatchEvent(new Event("change"));
  }
}
