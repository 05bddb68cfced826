// Keys of the studio; input fields and other controls keep theirs.

const CHOICE_MS = 2000;
const KEEPS_ITS_KEYS = "input, textarea, select, [contenteditable], [role=combobox], [role=listbox], [role=radiogroup], "
  + "[role=tablist], [role=menu], [role=spinbutton], [role=grid], [role=dialog], dialog";
const KEYS_OF_SLIDERS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];

/** The keys and their meaning, as the help shows them. */
export const KEYS = [
  ["Space", "Play or pause"],
  ["← →", "Jump 5 seconds back or forward; with Shift, 1 second"],
  ["Home", "Go to the beginning"],
  ["L", "Loop on or off; without a region, the whole song"],
  ["[ ]", "Set the start or end of the loop to the playhead"],
  ["M, then 1–9", "Mute a lane"],
  ["S, then 1–9", "Solo a lane"],
  ["O", "Switch between original song and your mix"],
  ["+ −", "Zoom in or out"],
  ["0", "Show the whole song"],
  ["?", "Show this list"],
];

/**
 * @typedef {object} Actions
 * @property {() => void} togglePlay
 * @property {(seconds: number) => void} jump
 * @property {() => void} toBeginning
 * @property {() => void} toggleLoop
 * @property {(edge: "start" | "end") => void} setLoopEdge
 * @property {(number: number) => void} mute
 * @property {(number: number) => void} solo
 * @property {() => void} toggleOriginal
 * @property {(factor: number) => void} zoom
 * @property {() => void} showAll
 * @property {() => void} showHelp
 * @property {(text: string) => void} announce
 */

/** Listens to the page's keys while the studio is there. */
export class Keyboard {
  /** @type {"" | "mute" | "solo"} */
  #choice = "";
  #timer = 0;
  #isByPointer = false;
  #listeners = new AbortController();
  #root;
  #actions;

  /**
   * @param {HTMLElement} root the studio
   * @param {Actions} actions
   */
  constructor(root, actions) {
    this.#root = root;
    this.#actions = actions;
    const { signal } = this.#listeners;
    document.addEventListener("keydown", (event) => this.#onKey(event), { signal });
    document.addEventListener("pointerdown", () => { this.#isByPointer = true; }, { signal, capture: true });
  }

  close() {
    clearTimeout(this.#timer);
    this.#listeners.abort();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key === "Tab") this.#isByPointer = false;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || this.#belongsElsewhere(event)) return;
    const action = this.#chosen(event.key) ?? this.#action(event);
    if (!action) return;
    event.preventDefault();
    action();
  }

  /**
   * Whether a control handles the key itself: an input field all keys, a slider the arrows, a button that was reached
   * by keyboard the space bar.
   * @param {KeyboardEvent} event
   * @returns {boolean}
   */
  #belongsElsewhere(event) {
    const target = event.composedPath()[0];
    if (!(target instanceof Element)) return false;
    const isOurs = this.#root.contains(target);
    if (isOurs && target.matches("input[type=range], [role=slider]")) return KEYS_OF_SLIDERS.includes(event.key);
    if (target.closest(KEEPS_ITS_KEYS)) return true;
    const isButton = target.closest("button, a, summary, [role=button]") !== null;
    return isButton && event.key === " " && !(isOurs && this.#isByPointer);
  }

  /**
   * Return the action of a digit after M or S.
   * @param {string} key
   * @returns {(() => void) | null}
   */
  #chosen(key) {
    const choice = this.#choice;
    if (!choice || !/^[1-9]$/.test(key)) return null;
    this.#choose("");
    return () => this.#actions[choice](Number(key));
  }

  /** @param {"" | "mute" | "solo"} choice */
  #choose(choice) {
    clearTimeout(this.#timer);
    this.#choice = choice;
    if (!choice) return;
    this.#actions.announce(`${choice === "mute" ? "Mute" : "Solo"}: press the number of a lane`);
    this.#timer = window.setTimeout(() => { this.#choice = ""; this.#actions.announce(""); }, CHOICE_MS);
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {(() => void) | undefined}
   */
  #action({ key, shiftKey }) {
    const seconds = shiftKey ? 1 : 5;
    /** @type {Record<string, () => void>} */
    const actions = {
      " ": () => this.#actions.togglePlay(),
      ArrowLeft: () => this.#actions.jump(-seconds),
      ArrowRight: () => this.#actions.jump(seconds),
      Home: () => this.#actions.toBeginning(),
      l: () => this.#actions.toggleLoop(),
      "[": () => this.#actions.setLoopEdge("start"),
      "]": () => this.#actions.setLoopEdge("end"),
      m: () => this.#choose("mute"),
      s: () => this.#choose("solo"),
      o: () => this.#actions.toggleOriginal(),
      "+": () => this.#actions.zoom(1.5),
      "=": () => this.#actions.zoom(1.5),
      "-": () => this.#actions.zoom(1 / 1.5),
      0: () => this.#actions.showAll(),
      "?": () => this.#actions.showHelp(),
    };
    return actions[key.length === 1 ? key.toLowerCase() : key];
  }
}
