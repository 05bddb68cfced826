// The look of the lanes: zoom, scale of the waveforms, spectrograms.
import { button, element, press } from "./dom.js";

const ZOOM_STEP = 2;
/** @type {["" | "log" | "linear", string][]} */
const AXES = [["", "Off"], ["log", "Log"], ["linear", "Linear"]];

/** The row of controls above the lanes; dispatches "change". */
export class Tools extends EventTarget {
  /** @type {import("./lanes.js").Look} */
  look = { fits: true, axis: "" };
  #fits;
  #whole;
  #axes = new Map();
  #legend = element("span", { className: "legend" }, "Dark: −80 dB, bright: 0 dB. Dashed line: highest frequency of the network's output.");

  /**
   * @param {import("./viewport.js").Viewport} view
   * @param {() => number} anchor share of the width that a zoom keeps in its place
   * @param {() => void} showHelp
   */
  constructor(view, anchor, showHelp) {
    super();
    const zoom = (sign, name, factor) => button(sign, { className: "square", "aria-label": name, title: name },
      () => view.zoomBy(factor, anchor()));
    this.#fits = button("Fit lanes", { className: "toggle", title: "Magnify the waveforms of quiet stems; × shows the factor" },
      () => this.#set({ fits: !this.look.fits }));
    this.#whole = button("Whole song", {}, () => view.showAll());
    for (const [axis, text] of AXES) {
      this.#axes.set(axis, button(text, { className: "toggle" }, () => this.#set({ axis })));
    }
    this.root = element("div", { className: "tools" },
      element("div", { className: "group", role: "group", "aria-label": "Zoom" },
        zoom("−", "Zoom out", 1 / ZOOM_STEP), zoom("+", "Zoom in", ZOOM_STEP), this.#whole),
      this.#fits,
      element("div", { className: "group", role: "group", "aria-label": "Spectrograms" },
        element("span", { className: "label", "aria-hidden": "true" }, "Spectrograms"), ...this.#axes.values()),
      button("?", { className: "square help-button", "aria-label": "Keys", title: "Keys (?)" }, showHelp),
      this.#legend);
    view.addEventListener("change", () => this.#show(view));
    this.#show(view);
  }

  /**
   * Enable the spectrograms, which exist once the work is over.
   * @param {boolean} isReady
   */
  setSpectrograms(isReady) {
    for (const [axis, made] of this.#axes) {
      made.disabled = !isReady && axis !== "";
      made.title = made.disabled ? "Available when the separation is complete" : "";
    }
    if (!isReady && this.look.axis) this.#set({ axis: "" });
  }

  /** @param {Partial<import("./lanes.js").Look>} change */
  #set(change) {
    this.look = { ...this.look, ...change };
    this.#show();
    this.dispatchEvent(new Event("change"));
  }

  /** @param {import("./viewport.js").Viewport} [view] */
  #show(view) {
    press(this.#fits, this.look.fits);
    for (const [axis, made] of this.#axes) press(made, axis === this.look.axis);
    this.#legend.hidden = !this.look.axis;
    if (view) this.#whole.disabled = view.isWhole;
  }
}
