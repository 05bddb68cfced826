"""Segments of a song in batches of those that are equally long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from my_submission.engines.base import Batch, Engine


class SegmentBatches:
    """An engine of waveforms that runs segments together: those of one length as one batch.

    On a GPU the LSTM of a Demucs waits for its weights at every step, for one segment as long as for several.

    Args:
        engine: maps float32 (batch, channels, n) to one result an item, for every n.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def runs_on(self) -> str:
        """Where the work is done."""
        return self.engine.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the engine as it is."""
        return self.engine.run(batch, is_last=is_last)

    def run_together(self, segments: Sequence[Batch], *, is_last: bool = False) -> list[Batch]:
        """Map segments (channels, n), each of its own n, to one result each."""
        lengths = [segment.shape[-1] for segment in segments]
        done: dict[int, Batch] = {}
        for length in sorted(set(lengths)):
            places = [place for place, other in enumerate(lengths) if other == length]
            batch = np.stack([segments[place] for place in places])
            done.update(zip(places, self.engine.run(batch, is_last=is_last and length == max(lengths)), strict=True))
        return [done[place] for place in range(len(segments))]
