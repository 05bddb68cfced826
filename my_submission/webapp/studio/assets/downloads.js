// Downloads: all stems, the mix as heard, the instrumental; and how long the song is kept.
import { button, element, icon, say } from "./dom.js";
import { recall, remember } from "./memory.js";
import { presetsOf } from "./mix.js";
import { isActive } from "./song_watch.js";

const FORMAT_KEY = "mdx-format";

/** @param {number} seconds @returns {string} */
export function duration(seconds) {
  const [value, unit] = seconds < 120 ? [Math.round(seconds), "second"]
    : seconds < 3600 ? [Math.round(seconds / 60), "minute"] : [Math.round(seconds / 3600), "hour"];
  return `${value} ${unit}${value === 1 ? "" : "s"}`;
}

/** The downloads of a song. */
export class Downloads {
  #format = element("select", { "aria-label": "Format" });
  #all;
  #asHeard;
  #instrumental;
  #kept = element("span", { className: "kept" });
  #reason = element("span", { className: "kept" });
  #base;
  #mix;
  /** @type {import("./song_watch.js").State | null} */
  #state = null;
  #onChange;

  /**
   * @param {string} base address of the song
   * @param {import("./mix.js").Mix} mix
   * @param {{onChange: () => void, onDelete: () => void}} actions
   */
  constructor(base, mix, { onChange, onDelete }) {
    this.#base = base;
    this.#mix = mix;
    this.#onChange = onChange;
    this.#all = this.#link("All stems (ZIP)", "primary");
    this.#asHeard = this.#link("Mix as heard");
    this.#instrumental = this.#link("Instrumental");
    this.#format.addEventListener("change", () => this.#chosen());
    const label = element("label", { className: "format" }, element("span", { className: "label" }, "Download as"), this.#format);
    const remove = button("Delete now", { className: "quiet delete" }, onDelete);
    this.root = element("section", { className: "downloads", "aria-label": "Downloads" },
      element("div", { className: "links" }, label, this.#all, this.#asHeard, this.#instrumental),
      element("div", { className: "keep" }, this.#reason, this.#kept, remove));
  }

  /** @returns {string} name of the chosen format */
  get format() {
    return this.#format.value;
  }

  /**
   * Return the address of a track's file, "" while there is none.
   * @param {string} track
   * @returns {string}
   */
  address(track) {
    const { result } = this.#state ?? {};
    return result && this.isReady ? `${this.#base}/${result.version}/download/${this.format}/${track}` : "";
  }

  /** @param {import("./song_watch.js").State} state */
  update(state) {
    this.#state = state;
    const names = state.formats.map(({ name }) => name).join();
    if ([...this.#format.options].map(({ value }) => value).join() !== names) {
      const remembered = recall(FORMAT_KEY);
      this.#format.replaceChildren(...state.formats.map(({ name, label }) => element("option", { value: name }, label)));
      if (state.formats.some(({ name }) => name === remembered)) this.#format.value = remembered;
    }
    say(this.#kept, `Kept for ${duration(state.keep_seconds)} after the last use.`);
    const isPreview = this.isReady && state.result?.is_preview;
    say(this.#reason, isPreview ? `These files are from the preview by ${state.result?.system}.`
      : this.isReady ? "" : "Files are available when the separation is complete.");
    this.updateMix();
  }

  /** Show the addresses that belong to the mix. */
  updateMix() {
    const { result } = this.#state ?? {};
    const { stems } = this.#mix;
    const mix = (query) => (result && this.isReady ? `${this.#base}/${result.version}/mix/${this.format}?${query}` : "");
    this.#point(this.#all, this.address("all"));
    const heard = this.#mix.isOriginal ? "" : mix(this.#mix.query);
    this.#point(this.#asHeard, this.#mix.heard.length ? heard : "");
    const karaoke = presetsOf(stems).find(({ name }) => name === "karaoke");
    const voices = karaoke?.heard.map((stem) => `${encodeURIComponent(stem)}=0,0`) ?? [];
    const instrumental = stems.includes("instrumental") ? this.address("instrumental")
      : mix(["name=instrumental", ...voices].join("&"));
    this.#point(this.#instrumental, karaoke ? instrumental : "");
    this.#instrumental.hidden = !karaoke;
  }

  /** @returns {boolean} whether files can be downloaded */
  get isReady() {
    const { job, result } = this.#state ?? {};
    if (!result || !job || !result.is_separated || result.ready_samples === 0) return false;
    return result.is_over || !isActive(job);
  }

  #chosen() {
    remember(FORMAT_KEY, this.format);
    this.updateMix();
    this.#onChange();
  }

  /**
   * @param {string} text
   * @param {string} [kind]
   */
  #link(text, kind = "") {
    return element("a", { className: `link ${kind}`, role: "link" }, icon("download"), element("span", {}, text));
  }

  /**
   * Give a link its address; without one it is shown as not ready.
   * @param {HTMLAnchorElement} link
   * @param {string} address
   */
  #point(link, address) {
    link.setAttribute("aria-disabled", String(!address));
    if (address) {
      link.href = address;
      link.download = "";
    } else {
      link.removeAttribute("href");
    }
  }
}
