// Elements, icons and the words for times and levels.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  play: "M7 4.5v15l12.5-7.5z",
  pause: "M6 4.5h4.5v15H6zM13.5 4.5H18v15h-4.5z",
  stop: "M5.5 5.5h13v13h-13z",
  loop: "M17 2.5l4 4-4 4V7.5H7a3 3 0 0 0-3 3V12H2v-1.5a5 5 0 0 1 5-5h10zM7 21.5l-4-4 4-4v3h10a3 3 0 0 0 3-3V12h2v1.5a5 5 0 0 1-5 5H7z",
  download: "M11 3h2v9.2l3.3-3.3 1.4 1.4L12 16l-5.7-5.7 1.4-1.4L11 12.2zM4 18h16v2.5H4z",
};

/**
 * Make an element. Names with "-", and "role", are set as attributes, all others as properties.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node | string)} children
 * @returns {any} the element
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "role" || name.includes("-")) made.setAttribute(name, String(value));
    else Object.assign(made, { [name]: value });
  }
  made.append(...children);
  return made;
}

/**
 * Make a button.
 * @param {string | Node} content
 * @param {Record<string, unknown>} properties
 * @param {(event: Event) => void} onClick
 * @returns {HTMLButtonElement}
 */
export function button(content, properties, onClick) {
  const made = element("button", { type: "button", ...properties }, content);
  made.addEventListener("click", onClick);
  return made;
}

/**
 * Make an icon, which screen readers skip.
 * @param {keyof typeof ICONS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  made.append(path);
  return made;
}

/**
 * Set a text only where it changed, so that screen readers do not repeat it.
 * @param {Element} target
 * @param {string} text
 */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Set or remove a button's state "pressed".
 * @param {Element} target
 * @param {boolean} isPressed
 */
export function press(target, isPressed) {
  target.setAttribute("aria-pressed", String(isPressed));
}

/**
 * Return a position as minutes and seconds: "3:05", with tenths "3:05.4".
 * @param {number} seconds
 * @param {{tenths?: boolean}} [options]
 * @returns {string}
 */
export function clock(seconds, { tenths = false } = {}) {
  const units = Math.floor(seconds * (tenths ? 10 : 1) + 1e-6);
  const whole = tenths ? Math.floor(units / 10) : units;
  const text = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  return tenths ? `${text}.${units % 10}` : text;
}

/**
 * Return a position in words for screen readers: "1 minute 5 seconds".
 * @param {number} seconds
 * @returns {string}
 */
export function spoken(seconds) {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const rest = `${whole % 60} second${whole % 60 === 1 ? "" : "s"}`;
  return minutes ? `${minutes} minute${minutes === 1 ? "" : "s"} ${rest}` : rest;
}

/**
 * Return a remaining time: "about 40 s left", "about 3 min left".
 * @param {number | null} seconds
 * @returns {string}
 */
export function remaining(seconds) {
  if (seconds === null) return "";
  if (seconds < 5) return "a few seconds left";
  if (seconds < 90) return `about ${5 * Math.ceil(seconds / 5)} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

/**
 * Return a level with its sign: "+1.5 dB", "−6.0 dB", "0.0 dB".
 * @param {number} value
 * @returns {string}
 */
export function decibels(value) {
  return `${value > 0 ? "+" : ""}${value.toFixed(1).replace("-", "−")} dB`;
}

/**
 * Return a track's name as a heading: "no_other" becomes "No other".
 * @param {string} name
 * @returns {string}
 */
export function title(name) {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
