// The song's state on the server. It is polled without a pause while a job runs, because the server answers when it has
// changed; afterwards rarely.

const BUSY_MS = 50;
const IDLE_MS = 20_000;
const RETRY_MS = 1500;

/**
 * @typedef {{name: string, is_stem: boolean, colour_light: string, colour_dark: string, clipped: number}} Track
 * @typedef {{version: string, system: string, is_preview: boolean, is_complete: boolean, is_over: boolean,
 *   is_separated: boolean, ready_samples: number, samples: number, rate: number, stretch_samples: number, peak_samples: number,
 *   tracks: Track[]}} Result
 * @typedef {{state: "none" | "waiting" | "running" | "stopping" | "done" | "stopped" | "failed", ahead: number,
 *   system: string, text: string, share: number, left_seconds: number | null, message: string, notes: string[]}} Job
 * @typedef {{tag: string, song: {name: string, seconds: number | null, rate: number | null, samples: number | null}, job: Job,
 *   result: Result | null, keep_seconds: number, formats: {name: string, label: string}[]}} State
 */

/**
 * Whether a job may still change the song.
 * @param {Job} job
 * @returns {boolean}
 */
export function isActive(job) {
  return ["waiting", "running", "stopping"].includes(job.state);
}

/** Watches a song; dispatches "change", "trouble" while the server does not answer, and "deleted". */
export class SongWatch extends EventTarget {
  /** @type {State | null} */
  state = null;
  isDeleted = false;
  #base;
  #timer = 0;
  #isClosed = false;
  #isStopping = false;
  #n_asked = 0;
  #listeners = new AbortController();

  /** @param {string} base address of the song */
  constructor(base) {
    super();
    this.#base = base;
    const { signal } = this.#listeners;
    document.addEventListener("visibilitychange", () => this.#onReturn(), { signal });
    addEventListener("online", () => this.#onReturn(), { signal });
  }

  /**
   * Ask now, and again from time to time.
   * @param {string} [seen] tag of the state that is known; the server then waits a moment for another one
   */
  async refresh(seen = "") {
    clearTimeout(this.#timer);
    this.#n_asked += 1;
    const asked = this.#n_asked;
    const [kind, state] = await this.#ask(seen);
    if (this.#isClosed || asked !== this.#n_asked || this.isDeleted) return;
    if (kind === "deleted") {
      this.#end();
      return;
    }
    if (state) this.state = this.#isStopping && isActive(state.job) ? stopping(state) : state;
    const next = state && isActive(state.job) ? state.tag : "";
    this.#timer = window.setTimeout(() => this.refresh(next), state ? this.#pause(state) : RETRY_MS);
    this.dispatchEvent(new Event(state ? "change" : "trouble"));
  }

  /** Stop the job; the state is "stopping" at once. */
  async stopJob() {
    if (!this.state) return;
    this.#isStopping = true;
    this.state = stopping(this.state);
    this.dispatchEvent(new Event("change"));
    const answer = await this.#send("stop");
    if (!answer) this.#isStopping = false;
    this.refresh();
  }

  /** Delete the song and all its files. */
  async deleteSong() {
    if (await this.#send("delete")) this.#end();
    else this.refresh();
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#listeners.abort();
  }

  #end() {
    this.isDeleted = true;
    clearTimeout(this.#timer);
    this.dispatchEvent(new Event("deleted"));
  }

  #onReturn() {
    if (document.visibilityState === "visible" && !this.#isClosed && !this.isDeleted) this.refresh();
  }

  /** @param {State} state */
  #pause({ job, keep_seconds: keepSeconds }) {
    return isActive(job) ? BUSY_MS : Math.min(IDLE_MS, 300 * keepSeconds);
  }

  /** @param {string} seen @returns {Promise<["deleted" | "answer" | "trouble", State | null]>} */
  async #ask(seen) {
    try {
      const query = seen ? `?seen=${encodeURIComponent(seen)}` : "";
      const answer = await fetch(`${this.#base}/state.json${query}`);
      if (answer.status === 404) return ["deleted", null];
      return answer.ok ? ["answer", await answer.json()] : ["trouble", null];
    } catch {
      return ["trouble", null];
    }
  }

  /** @param {string} what @returns {Promise<boolean>} whether the server did it */
  async #send(what) {
    try {
      const answer = await fetch(`${this.#base}/${what}`, { method: "POST" });
      return answer.ok || answer.status === 404;
    } catch {
      this.dispatchEvent(new Event("trouble"));
      return false;
    }
  }
}

/** @param {State} state @returns {State} */
function stopping(state) {
  return { ...state, job: { ...state.job, state: "stopping" } };
}
