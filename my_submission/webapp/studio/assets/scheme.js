// The page's colour scheme: light or dark.

/**
 * Whether a colour is dark.
 * @param {string} colour as computed: "rgb(r, g, b)"
 * @returns {boolean}
 */
export function isDark(colour) {
  const [red, green, blue] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}

/** Notices a change of the page's colours; dispatches "change". */
export class Scheme extends EventTarget {
  #root;
  #colours = "";
  #listeners = new AbortController();

  /** @param {HTMLElement} root whose attribute data-scheme becomes "light" or "dark" */
  constructor(root) {
    super();
    this.#root = root;
    const { signal } = this.#listeners;
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
      matchMedia(query).addEventListener("change", () => setTimeout(() => this.check(), 200), { signal });
    }
  }

  /** Compare the colours with those of the last time. */
  check() {
    const { backgroundColor, color } = getComputedStyle(this.#root);
    const colours = `${backgroundColor} ${color}`;
    if (!backgroundColor || colours === this.#colours) return;
    this.#colours = colours;
    this.#root.dataset.scheme = isDark(backgroundColor) ? "dark" : "light";
    this.dispatchEvent(new Event("change"));
  }

  close() {
    this.#listeners.abort();
  }
}
