"""Work from start to end: all stages go through the song together, so that its start is finished first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from my_submission.planning.cost_model import Forecast
from my_submission.planning.coverage import FADE_SAMPLES
from my_submission.planning.stage import Stage, WorkItem


@dataclass(frozen=True)
class StreamingOrder:
    """Order of the work items of all stages on one song, from its start to its end.

    Every stage does the same work items as in any other order, each on the same input, so the stems are the same.

    Attributes:
        stages: all stages of the result; without a deadline, and each with a ``final_samples``.
        reads: stage to the stages whose estimates it reads.
        samples: length of the song.
    """

    stages: Sequence[Stage]
    reads: Mapping[Stage, Sequence[Stage]]
    samples: int

    @property
    def finished_samples(self) -> int:
        """Samples from the song's start whose stems no work item changes any more."""
        return self._finished(self.stages)

    def next_item(self, forecast: Forecast) -> WorkItem:
        """Return the next work item of the stage that is furthest behind, among those whose input is finished.

        Raises:
            ValueError: all work is done.
        """
        ready = [stage for stage in self.stages if not stage.is_done and self._is_ready(stage)]
        item = min(ready, key=_final_samples).next_item(forecast)
        if item is None:
            raise ValueError("a stage without a deadline gave no work item before its end")
        return item

    def _is_ready(self, stage: Stage) -> bool:
        return min(stage.input_stop, self.samples) <= self._finished(self.reads.get(stage, ()))

    def _finished(self, stages: Iterable[Stage]) -> int:
        """Return the samples that some stages have finished, without those that still fade out before a gap."""
        final_samples = min(map(_final_samples, stages), default=self.samples)
        return final_samples if final_samples >= self.samples else max(0, final_samples - FADE_SAMPLES)


def _final_samples(stage: Stage) -> int:
    final_samples = stage.final_samples
    if final_samples is None:
        raise ValueError(f"{stage.name} does not work from start to end")
    return final_samples
