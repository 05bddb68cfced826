// Drawing of waveforms and of the time axis on canvases; colours come from the style sheet.
import { clock } from "./dom.js";
import { tickSeconds } from "./viewport.js";

const MOST_PIXELS_PER_POINT = 2;
const LABEL_PIXELS = 64;

/**
 * Fit a canvas to its element and clear it.
 * @param {HTMLCanvasElement} canvas
 * @returns {{context: CanvasRenderingContext2D, width: number, height: number, unit: number} | null} null if hidden
 */
function cleared(canvas) {
  const unit = Math.min(MOST_PIXELS_PER_POINT, devicePixelRatio || 1);
  const width = Math.round(canvas.clientWidth * unit);
  const height = Math.round(canvas.clientHeight * unit);
  if (!width || !height) return null;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.clearRect(0, 0, width, height);
  context.fillStyle = getComputedStyle(canvas).color;
  return { context, width, height, unit };
}

/**
 * Draw the visible part of a waveform; a dotted line marks the part that is not separated yet.
 * @param {HTMLCanvasElement} canvas
 * @param {import("./peaks.js").Peaks | undefined} peaks
 * @param {{start: number, length: number}} view samples
 * @param {{binSamples: number, magnification: number}} scale
 */
export function drawWaveform(canvas, peaks, view, { binSamples, magnification }) {
  const place = cleared(canvas);
  if (!place) return;
  const { context, width, height, unit } = place;
  const middle = height / 2;
  const perPixel = view.length / width / binSamples;
  const first = view.start / binSamples;
  for (let x = 0; x < width; x += 1) {
    const range = peaks?.range(Math.floor(first + x * perPixel), Math.ceil(first + (x + 1) * perPixel));
    if (range) {
      const [low, high] = range.map((value) => Math.min(1, Math.max(-1, value * magnification)) * middle);
      context.fillRect(x, middle - high, 1, Math.max(unit, high - low));
    } else if (x % Math.round(8 * unit) < 2 * unit) {
      context.fillRect(x, middle - unit / 2, 1, unit);
    }
  }
}

/**
 * Draw the times above the lanes.
 * @param {HTMLCanvasElement} canvas
 * @param {{start: number, length: number}} view samples
 * @param {number} rate
 */
export function drawTimes(canvas, view, rate) {
  const place = cleared(canvas);
  if (!place) return;
  const { context, width, height, unit } = place;
  const step = tickSeconds(view.length / rate, width / (LABEL_PIXELS * unit));
  context.font = `${11 * unit}px ${getComputedStyle(canvas).fontFamily}`;
  context.textBaseline = "middle";
  const first = Math.ceil(view.start / rate / step);
  for (let tick = first; tick * step * rate <= view.start + view.length; tick += 1) {
    const x = Math.round(((tick * step * rate - view.start) / view.length) * width);
    context.fillRect(x, height * 0.55, unit, height * 0.45);
    const label = clock(tick * step, { tenths: step < 1 });
    if (x + context.measureText(label).width + 4 * unit < width) context.fillText(label, x + 4 * unit, height / 2);
  }
}
