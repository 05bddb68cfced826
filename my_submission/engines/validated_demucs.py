"""Demucs v2 on the CPU with its recurrent weights quantised to 8 bits, if that agrees with fp32."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import cast

import numpy as np

from my_submission.engines.base import Batch, Engine
from my_submission.engines.demucs_engine import DemucsEngine
from my_submission.engines.validated_engine import ValidatedEngine, loudest_stretch
from my_submission.stems import Waveform

_FLAGS = {"avx512_vnni", "avx_vnni"}
"""Linux's names for products of 8-bit integers. Without them, onnxruntime may convert such weights to floating point at
every step."""


@lru_cache(maxsize=1)
def rounding_obstacle(processors: Path = Path("/proc/cpuinfo")) -> str | None:
    """Return why weights quantised to 8 bits are not useful on this machine, or None if they are."""
    try:
        lines = processors.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"the instruction set of {platform.machine()} under {platform.system()} is not known"
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return None if _FLAGS.intersection(flags) else "this processor has no products of 8-bit integers (VNNI)"


class ValidatedDemucs(ValidatedEngine):
    """A Demucs that rounds its recurrent weights if the stems of an excerpt then agree with fp32.

    Args:
        reference: engine in fp32.
        excerpt_samples: length of the excerpt, one that the network takes.
        name: name of the network, for the verdict.
    """

    def __init__(self, reference: DemucsEngine, *, excerpt_samples: int, name: str) -> None:
        candidates = {"8 bits": reference.with_rounded_recurrence}
        super().__init__(reference, candidates, excerpt=partial(loudest_stretch, samples=excerpt_samples), name=name)
        self._is_open_ahead = False

    def open(self) -> None:
        """Open all weights now: of the chosen engine, or of fp32 before the comparison, which needs both."""
        self._is_open_ahead = True
        cast(DemucsEngine, self._chosen or self.reference).open()

    def run_together(self, segments: Sequence[Waveform], *, is_last: bool = False) -> list[Batch]:
        """See :meth:`~my_submission.engines.demucs_engine.DemucsEngine.run_together`."""
        loudest = max(segments, key=lambda segment: float(np.vdot(segment, segment)))
        return self._run_chosen(
            loudest[None], lambda engine: cast(DemucsEngine, engine).run_together(segments, is_last=is_last)
        )

    def _choose(self, batch: Batch) -> Engine:
        chosen = super()._choose(batch)
        if self._is_open_ahead:
            cast(DemucsEngine, chosen).open()
        return chosen

    def _tried(self, engine: Engine, excerpt: Batch) -> Batch:
        """Run the excerpt as the only segment of ``run_together``, which keeps no weights of the LSTM open."""
        return cast(DemucsEngine, engine).run_together([excerpt[0]])[0][None]
