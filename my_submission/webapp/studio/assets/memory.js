// Settings of the studio that survive a reload, stored per tab if the browser allows it.

/**
 * @param {string} key
 * @returns {any} what was remembered, or null
 */
export function recall(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "null");
  } catch {
    return null; // storage is refused, or contains something else
  }
}

/**
 * @param {string} key
 * @param {unknown} value
 */
export function remember(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // storage is refused or full: the studio works, but loses its settings at the next reload
  }
}
