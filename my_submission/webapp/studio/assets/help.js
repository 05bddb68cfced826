// The list of keys and gestures.
import { button, element } from "./dom.js";
import { KEYS } from "./keyboard.js";

const GESTURES = [
  ["Click a lane", "Move the playhead there"],
  ["Drag over lanes", "Loop this region"],
  ["Ctrl or ⌘ and wheel, pinch", "Zoom in or out"],
  ["Shift and wheel, drag with a finger", "Scroll while zoomed"],
  ["Double-click a slider", "Reset it"],
];

/**
 * Make the dialog; `showModal` opens it, Escape closes it.
 * @returns {HTMLDialogElement}
 */
export function makeHelp() {
  const rows = (pairs) => pairs.map(([key, meaning]) => element("div", {}, element("dt", {}, key), element("dd", {}, meaning)));
  const dialog = element("dialog", { className: "help", "aria-label": "Keys and gestures" },
    element("h3", {}, "Keys"), element("dl", {}, ...rows(KEYS)),
    element("h3", {}, "Mouse and fingers"), element("dl", {}, ...rows(GESTURES)),
    button("Close", { className: "primary" }, () => dialog.close()));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  return dialog;
}
