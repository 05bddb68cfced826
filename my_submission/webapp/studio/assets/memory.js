// What the studio remembers over a reload: in this tab, where the browser allows it.

/**
 * @param {string} key
 * @returns {any} what was remembered, or null
 */
export function recall(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "null");
  } catch {
    return null; // storage is refused, or holds something else
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
    // storage is refused or full: the studio works, and forgets at the next reload
  }
}
