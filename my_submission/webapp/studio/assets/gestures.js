// Clicks, drags, wheel and pinch on a lane or the time axis.

const DRAG_PIXELS = 5;

/**
 * @typedef {object} Meaning what gestures do; positions are shares of the width
 * @property {(share: number) => void} tap
 * @property {(from: number, to: number, isOver: boolean) => void} select
 * @property {(factor: number, share: number) => void} zoom
 * @property {(share: number) => void} scroll
 * @property {() => boolean} canScroll whether only a part of the song is visible
 */

/**
 * Follow mouse, fingers and wheel on an element.
 * One finger selects while the whole song is visible, and scrolls while it is zoomed; two fingers zoom.
 * @param {HTMLElement} target
 * @param {Meaning} meaning
 */
export function followGestures(target, meaning) {
  /** @type {Map<number, number>} pointer to its place */
  const places = new Map();
  let [began, last, isDrag, isPinch] = [0, 0, false, false];
  const place = (event) => {
    const { left, width } = target.getBoundingClientRect();
    return (event.clientX - left) / width;
  };

  const pinch = (event) => {
    const before = [...places.values()];
    places.set(event.pointerId, place(event));
    const after = [...places.values()];
    const [was, is] = [before, after].map(([one, other]) => Math.abs(one - other));
    const centre = (after[0] + after[1]) / 2;
    if (was > 0.01 && is > 0.01) meaning.zoom(is / was, centre);
    meaning.scroll((before[0] + before[1]) / 2 - centre);
  };
  const drag = (event) => {
    const at = place(event);
    isDrag ||= Math.abs(at - began) * target.clientWidth > DRAG_PIXELS;
    if (isDrag && event.pointerType === "touch" && meaning.canScroll()) meaning.scroll(last - at);
    else if (isDrag) meaning.select(began, at, false);
    last = at;
  };

  target.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    target.setPointerCapture(event.pointerId);
    places.set(event.pointerId, place(event));
    if (places.size === 1) [began, last, isDrag, isPinch] = [place(event), place(event), false, false];
    else isPinch = true;
  });
  target.addEventListener("pointermove", (event) => {
    if (!places.has(event.pointerId)) return;
    if (places.size === 2) pinch(event);
    else if (!isPinch) drag(event);
  });
  target.addEventListener("pointerup", (event) => {
    if (!places.delete(event.pointerId) || isPinch) return;
    if (!isDrag) meaning.tap(place(event));
    else if (event.pointerType !== "touch" || !meaning.canScroll()) meaning.select(began, place(event), true);
  });
  target.addEventListener("pointercancel", (event) => places.delete(event.pointerId));
  target.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      meaning.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 10 : 200)), place(event));
      return;
    }
    const sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (!meaning.canScroll() || Math.abs(sideways) < Math.abs(event.shiftKey ? 0 : event.deltaY)) return;
    event.preventDefault();
    meaning.scroll(sideways / target.clientWidth);
  }, { passive: false });
}
