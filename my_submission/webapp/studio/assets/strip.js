// The controls of one lane: mute, solo, gain, pan, level and download.
import { button, decibels, element, icon, press, say, title } from "./dom.js";
import { HIGHEST_DB, LOWEST_DB } from "./mix.js";

const METER_DB = 60;
const METER_FALL = 0.9; // factor on the shown level per frame

/** @param {number} pan @returns {string} */
function panText(pan) {
  if (pan === 0) return "middle";
  return `${Math.round(100 * Math.abs(pan))} % ${pan < 0 ? "left" : "right"}`;
}

/**
 * @param {string} label
 * @param {string} name
 * @param {Record<string, unknown>} properties
 */
function slider(label, name, properties) {
  const input = element("input", { type: "range", ...properties, "aria-label": `${label} of ${name}` });
  const output = element("output");
  const row = element("label", { className: `slider ${label.toLowerCase()}` }, element("span", {}, label), input, output);
  return { row, input, output };
}

/** The controls of a stem. */
export class Strip {
  #name;
  #mix;
  #mute;
  #solo;
  #gain;
  #pan;
  #fill = element("div", { className: "fill" });
  #shownLevel = 0;
  #link;

  /**
   * @param {string} name
   * @param {number} number of the lane, for its keys
   * @param {import("./mix.js").Mix} mix
   */
  constructor(name, number, mix) {
    this.#name = name;
    this.#mix = mix;
    const change = (settings) => mix.set(name, settings);
    this.#mute = button("M", { className: "toggle mute", "aria-label": `Mute ${name}`, title: `Mute (M, ${number})` },
      () => change({ isMuted: !mix.strip(name).isMuted }));
    this.#solo = button("S", { className: "toggle solo", "aria-label": `Solo ${name}`, title: `Solo (S, ${number})` },
      () => change({ isSolo: !mix.strip(name).isSolo }));
    this.#gain = slider("Gain", name, { min: LOWEST_DB, max: HIGHEST_DB, step: 0.5 });
    this.#pan = slider("Pan", name, { min: -1, max: 1, step: 0.05 });
    this.#gain.input.addEventListener("input", () => change({ gainDb: Number(this.#gain.input.value) }));
    this.#gain.input.addEventListener("dblclick", () => change({ gainDb: 0 }));
    this.#pan.input.addEventListener("input", () => change({ pan: Number(this.#pan.input.value) }));
    this.#pan.input.addEventListener("dblclick", () => change({ pan: 0 }));
    this.#link = element("a", { className: "icon-link", "aria-label": `Download ${name}`, title: `Download ${name}` },
      icon("download"));
    this.root = element("div", { className: "strip" },
      element("span", { className: "number", "aria-hidden": "true" }, number <= 9 ? String(number) : ""),
      element("h3", { title: title(name) }, title(name)),
      this.#mute, this.#solo, this.#link, this.#gain.row, this.#pan.row,
      element("div", { className: "meter", "aria-hidden": "true" }, this.#fill));
  }

  /** Show the settings of the mix. */
  update() {
    const { isMuted, isSolo, gainDb, pan } = this.#mix.strip(this.#name);
    press(this.#mute, isMuted);
    press(this.#solo, isSolo);
    this.#gain.input.value = String(gainDb);
    this.#pan.input.value = String(pan);
    const gain = gainDb > LOWEST_DB ? decibels(gainDb) : "off";
    say(this.#gain.output, gain);
    this.#gain.input.setAttribute("aria-valuetext", gain);
    say(this.#pan.output, pan === 0 ? "C" : `${pan < 0 ? "L" : "R"} ${Math.round(100 * Math.abs(pan))}`);
    this.#pan.input.setAttribute("aria-valuetext", panText(pan));
  }

  /** @param {string} address of the stem's file, "" while there is none */
  setDownload(address) {
    this.#link.hidden = !address;
    this.#link.href = address;
    this.#link.download = "";
  }

  /** @param {number} amplitude */
  setLevel(amplitude) {
    this.#shownLevel = Math.max(amplitude, METER_FALL * this.#shownLevel);
    const share = Math.max(0, 1 + (20 * Math.log10(this.#shownLevel + 1e-9)) / METER_DB);
    this.#fill.style.setProperty("--level", Math.min(1, share).toFixed(3));
    this.#fill.classList.toggle("over", amplitude > 1);
  }
}
