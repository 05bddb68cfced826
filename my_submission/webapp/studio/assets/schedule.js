// The order of playback: which samples of the song come next, and where the playhead is.

/**
 * @typedef {{start: number, end: number}} Region samples of the song, end excluded
 * @typedef {{stretchSamples: number, ready: number, end: number, loop: Region | null}} Timeline
 * @typedef {{kind: "piece", index: number, from: number, to: number} | {kind: "jump", to: number} |
 *   {kind: "wait"} | {kind: "end"}} Step
 * @typedef {{frame: number, sample: number, length: number}} Span frames of the clock that play samples of the song
 */

/**
 * Return the number of samples that can be fetched: whole stretches, and the last one where the song ends in it.
 * @param {{stretchSamples: number, ready: number, end: number}} timeline
 * @returns {number}
 */
export function playable({ stretchSamples, ready, end }) {
  return ready >= end ? end : Math.floor(ready / stretchSamples) * stretchSamples;
}

/**
 * Return what to play from a sample on, at most to the end of its stretch.
 * @param {number} sample
 * @param {Timeline} timeline
 * @returns {Step}
 */
export function nextStep(sample, timeline) {
  const { stretchSamples, end, loop } = timeline;
  const bound = loop && sample <= loop.end ? Math.min(loop.end, end) : end;
  if (sample >= bound) return loop && loop.start < bound ? { kind: "jump", to: loop.start } : { kind: "end" };
  if (sample >= playable(timeline)) return { kind: "wait" };
  const index = Math.floor(sample / stretchSamples);
  return { kind: "piece", index, from: sample, to: Math.min(bound, (index + 1) * stretchSamples) };
}

/**
 * Return the stretches that playback needs next, in order and without repetition.
 * @param {number} sample
 * @param {Timeline} timeline
 * @param {number} samples how far to look ahead
 * @returns {number[]}
 */
export function upcoming(sample, timeline, samples) {
  const found = [];
  let at = sample;
  for (let left = samples, turns = 0; left > 0 && turns < 1000; turns += 1) {
    const step = nextStep(at, timeline);
    if (step.kind === "jump") at = step.to;
    else if (step.kind === "piece") {
      if (!found.includes(step.index)) found.push(step.index);
      left -= step.to - step.from;
      at = step.to;
    } else break;
  }
  return found;
}

/**
 * Return the song's sample at a frame of the clock; before the first span its start, after the last one its end.
 * @param {Span[]} spans in the order of frames
 * @param {number} frame
 * @param {number} otherwise the sample where there are no spans
 * @returns {number}
 */
export function sampleAt(spans, frame, otherwise) {
  let found = null;
  for (const span of spans) {
    if (found && span.frame > frame) break;
    found = span;
  }
  if (!found) return otherwise;
  return found.sample + Math.min(found.length, Math.max(0, frame - found.frame));
}
