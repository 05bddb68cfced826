// State of the song on the server: progress, queue, stop, and messages that say what to do.
import { button, clock, element, remaining, say } from "./dom.js";
import { isActive } from "./song_watch.js";

const ANNOUNCED_SHARE = 0.25;

/** @typedef {import("./song_watch.js").State} State */

/**
 * Return the headline of a job that has not ended.
 * @param {State} state
 * @returns {string}
 */
export function headline({ job, result }) {
  const percent = `${Math.floor(100 * job.share)} %`;
  if (job.state === "waiting") return `Waiting: ${job.ahead} song${job.ahead === 1 ? "" : "s"} ahead of yours`;
  if (job.state === "stopping") return "Stopping after the current part";
  if (result?.is_preview) return `Preview by ${result.system}; ${job.system} is at ${percent}`;
  return `${job.text || "Starting"} · ${percent}`;
}

/**
 * Return the message about a job that has ended, "" if there is nothing to add to its result.
 * @param {State} state
 * @returns {{text: string, isError: boolean}}
 */
export function outcome({ job, result }) {
  const seconds = result && result.is_separated ? result.ready_samples / result.rate : 0;
  const kept = seconds > 0 ? `The first ${clock(seconds)} can be played and downloaded.` : "There are no stems.";
  const isPartial = result !== null && result.ready_samples < result.samples;
  if (job.state === "failed") return { text: [job.message, isPartial ? kept : ""].join(" ").trim(), isError: true };
  if (result && !result.is_separated) return { text: job.message || "Not separated.", isError: true };
  if (job.state === "stopped") return { text: `Stopped. ${isPartial || !result ? kept : ""}`.trim(), isError: false };
  return { text: job.message, isError: false };
}

/** The panel above the transport. */
export class ProgressPanel {
  root = element("section", { className: "progress", "aria-label": "Separation" });
  #headline = element("strong");
  #left = element("span", { className: "left" });
  #bar = element("progress", { max: 1, "aria-label": "Separation" });
  #stop;
  #work;
  #error = element("p", { className: "message error", role: "alert" });
  #remark = element("p", { className: "message", role: "status" });
  #notes = element("ul", { className: "notes" });
  #announce;
  #announced = -1;

  /**
   * @param {() => void} onStop
   * @param {(text: string) => void} announce tells screen readers
   */
  constructor(onStop, announce) {
    this.#announce = announce;
    this.#stop = button("Stop", { className: "stop-job" }, onStop);
    const text = element("div", { className: "words" }, this.#headline, this.#left);
    this.#work = element("div", { className: "work" }, text, this.#stop, this.#bar);
    this.root.append(this.#work, this.#error, this.#remark, this.#notes);
  }

  /** @param {State} state */
  update(state) {
    const { job } = state;
    const isRunning = isActive(job);
    this.#work.hidden = !isRunning;
    if (isRunning) this.#showWork(state);
    const { text, isError } = isRunning ? { text: job.message, isError: false } : outcome(state);
    say(this.#error, isError ? text : "");
    say(this.#remark, isError ? "" : text);
    if (this.#notes.childElementCount !== job.notes.length) {
      this.#notes.replaceChildren(...job.notes.map((note) => element("li", { textContent: note })));
    }
    this.root.hidden = !isRunning && !text && job.notes.length === 0;
  }

  /** Say that the connection is lost, or no longer. @param {boolean} isLost */
  setConnection(isLost) {
    this.root.classList.toggle("lost", isLost);
    if (!isLost) return;
    this.root.hidden = false;
    say(this.#error, "The server does not answer. Trying again; if this continues, check the connection.");
  }

  /** @param {State} state */
  #showWork(state) {
    const { job } = state;
    say(this.#headline, headline(state));
    say(this.#left, job.state === "running" ? remaining(job.left_seconds) : "");
    if (job.state === "waiting") this.#bar.removeAttribute("value");
    else this.#bar.value = job.share;
    this.#stop.disabled = job.state === "stopping";
    say(this.#stop, job.state === "waiting" ? "Leave the queue" : "Stop");
    const part = job.state === "running" ? Math.floor(job.share / ANNOUNCED_SHARE) : job.ahead - 100;
    if (part !== this.#announced) this.#announce(headline(state));
    this.#announced = part;
  }
}
