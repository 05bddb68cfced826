"""Segments of a song in batches of equal length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from my_submission.engines.base import Batch, EngineWrapper


class SegmentBatches(EngineWrapper):
    """An engine of waveforms, float32 (batch, channels, n) for any n, that runs segments of one length as one batch.

    On a GPU the LSTM of a Demucs reads its weights at every step, which takes as long for one segment as for several.
    """

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the engine unchanged."""
        return self.engine.run(batch, is_last=is_last)

    def run_together(self, segments: Sequence[Batch], *, is_last: bool = False) -> list[Batch]:
        """Map segments (channels, n) of any lengths to one result each."""
        lengths = [segment.shape[-1] for segment in segments]
        done: dict[int, Batch] = {}
        for length in sorted(set(lengths)):
            places = [place for place, other in enumerate(lengths) if other == length]
            batch = np.stack([segments[place] for place in places])
            done.update(zip(places, self.engine.run(batch, is_last=is_last and length == max(lengths)), strict=True))
        return [done[place] for place in range(len(segments))]
