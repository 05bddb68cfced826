// Streamlit's entry to the studio.
import { element } from "./dom.js";
import { Studio } from "./studio.js";

const REMOUNT_MS = 1000;

/**
 * @typedef {{data: {base: string, assets: string}, parentElement: HTMLElement | ShadowRoot,
 *   setTriggerValue: (name: string, value: unknown) => void}} Component
 */

/** @type {Map<string, {studio: Studio, timer: number}>} studios whose element was removed a moment ago */
const leaving = new Map();
/** @type {WeakMap<Element, {studio: Studio, base: string, turn: number}>} */
const mounted = new WeakMap();

/**
 * Load the style sheet into a place.
 * @param {Element} place
 * @param {string} address
 */
async function addStyle(place, address) {
  const outer = place.parentElement ?? place;
  if (outer.querySelector("link[data-studio]")) return;
  const link = element("link", { rel: "stylesheet", href: address, "data-studio": "" });
  const loaded = new Promise((resolve) => { for (const event of ["load", "error"]) link.addEventListener(event, resolve); });
  outer.prepend(link);
  await loaded;
}

/**
 * Return the studio of a song: the one of the place, one that has just lost its place, or a new one.
 * @param {Element} place
 * @param {string} base
 * @returns {Studio}
 */
function studioOf(place, base) {
  const known = mounted.get(place);
  if (known?.base === base) return known.studio;
  known?.studio.close();
  const waiting = leaving.get(base);
  clearTimeout(waiting?.timer);
  leaving.delete(base);
  return waiting?.studio ?? new Studio(base);
}

/**
 * Mount the studio of a song; without a song, only load its modules. Playback continues if this is called again with the
 * same song, and if its element is removed and added again within a second, as when the page is redrawn.
 * @param {Component} component
 * @returns {Promise<() => void>} releases the studio
 */
export default async function mount({ data, parentElement, setTriggerValue }) {
  const place = /** @type {Element} */ (parentElement.querySelector(".studio"));
  if (!data.base) { // no song yet: this module and those it imports are loaded
    await addStyle(place, `${data.assets}/studio.css`);
    return () => {};
  }
  const studio = studioOf(place, data.base);
  const turn = (mounted.get(place)?.turn ?? 0) + 1;
  mounted.set(place, { studio, base: data.base, turn });
  studio.onJobState = (state) => setTriggerValue("changed", state);
  await addStyle(place, `${data.assets}/studio.css`);
  if (studio.root.parentElement !== place && mounted.get(place)?.studio === studio) place.replaceChildren(studio.root);
  studio.show();
  return () => {
    if (mounted.get(place)?.turn !== turn) return;
    mounted.delete(place);
    const timer = window.setTimeout(() => { leaving.delete(data.base); studio.close(); }, REMOUNT_MS);
    leaving.set(data.base, { studio, timer });
  };
}
