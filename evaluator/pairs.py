"""References and estimates of one song, paired and in one shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from evaluator.audio import AudioShape, Floats, Stem
from evaluator.errors import DatasetError
from evaluator.fitting import EstimateOptions, fit_estimate


@dataclass(frozen=True)
class StemPair:
    """References and estimates of one song, in the order of ``sources`` and all of one shape.

    Attributes:
        audio: the common shape.
        notes: conversions of estimates, one sentence each.
    """

    sources: tuple[str, ...]
    references: tuple[Stem, ...]
    estimates: tuple[Stem, ...]
    audio: AudioShape
    notes: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        references: Mapping[str, Stem],
        estimates: Mapping[str, Stem],
        sources: Sequence[str],
        options: EstimateOptions | None = None,
    ) -> StemPair:
        """Pair the stems of ``sources`` and convert estimates to the references' shape as ``options`` allow.

        Raises:
            DatasetError: a stem is missing, cannot be read, or has a shape that the options do not allow.
        """
        for side, stems in (("reference", references), ("estimate", estimates)):
            absent = [source for source in sources if source not in stems]
            if absent:
                hint = f"add one file per source to the others ({', '.join(sorted(stems)) or 'there are none'})"
                raise DatasetError(f"no {side} for {', '.join(absent)}", hint=hint)
        first = references[sources[0]]
        audio = first.shape()
        fitted: list[Stem] = []
        notes: list[str] = []
        for source in sources:
            _check_reference(references[source], audio, source, first.where)
            allowed = options or EstimateOptions()
            stem, changes = fit_estimate(estimates[source], audio, allowed, who=f"estimate {source}")
            fitted.append(stem)
            notes += changes
        return cls(tuple(sources), tuple(references[s] for s in sources), tuple(fitted), audio, tuple(notes))

    def only(self, sources: Sequence[str]) -> StemPair:
        """Return the pair with some of its sources."""
        chosen = [self.sources.index(source) for source in sources]
        sides = [tuple(side[index] for index in chosen) for side in (self.references, self.estimates)]
        return replace(self, sources=tuple(sources), references=sides[0], estimates=sides[1])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sources, channels, samples)."""
        return len(self.sources), self.audio.channels, self.audio.samples

    def blocks(self, block_samples: int) -> Iterator[tuple[Floats, Floats]]:
        """Yield references and estimates, each (sources, channels, samples)."""
        n_sources = len(self.sources)
        with ExitStack() as stack:
            streams = [stem.blocks(block_samples) for stem in (*self.references, *self.estimates)]
            for stream in streams:
                stack.callback(getattr(stream, "close", lambda: None))
            for blocks in zip(*streams, strict=True):
                yield np.stack(blocks[:n_sources]), np.stack(blocks[n_sources:])


def _check_reference(stem: Stem, expected: AudioShape, source: str, of_whom: str) -> None:
    found = stem.shape()
    if found != expected:
        problem = f"reference {source} has {found}; {of_whom} has {expected}"
        raise DatasetError(
            problem, where=stem.where, hint="export the references of a song with the same length, rate and channels"
        )
