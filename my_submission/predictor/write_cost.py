"""Time to set aside for the steps after the work: blending, resampling, writing and closing the files."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from my_submission.audio_io import AudioFormat
from my_submission.blending import StemBlender
from my_submission.geometry import SAMPLE_RATE
from my_submission.planning import CostModel

FINISH_MARGIN = 2.5
"""Safety factor: writing cannot be shortened, and a machine once slowed down to a third of its speed. Time that is
not needed goes back to the work while blocks are written."""

SLOW_MARGIN = 1.25
"""At least this many times the likely cost of writing is set aside, however much slow networks have raised it."""

HIGH_MARGIN = 1.2
"""Flushing to the disk may take its highest cost again, and a little more."""

DOUBTFUL_SHARE = 1 / 3
"""Largest share of the budget that is set aside for doubtful costs: those of a single run, which may have been measured
on a busy machine, and of stalls. The first block that is written replaces them."""

SPARE_SHARE = 0.015
"""Share of the whole budget that is left unused: work planned without it has ended 0.1 % late."""

MIN_SPARE_SECONDS, MAX_SPARE_SHARE = 0.5, 0.04
"""A larger share of short budgets is left unused, because a busy machine delays the last write by the same time
whatever the budget: a run with 8 s has ended 0.2 s late."""

CLOSING_SHARE = 0.2
"""Cost of flushing the files relative to the cost of writing them, before it was measured."""

ENCODING_SECONDS = {"flac": 0.002, "ogg": 0.016, "m4a": 0.028, "opus": 0.035, "mp3": 0.055}
"""Seconds on one core to encode a second of one stem at 320 kbit/s, before it was measured."""

LIMITER_SECONDS = 0.025
"""Seconds to limit a second of a song that exceeds full scale everywhere."""


@dataclass(frozen=True)
class WriteCost:
    """Cost of the steps after the work.

    Attributes:
        key: key of its cost in the cost model.
        prior: seconds per second of audio before it was measured.
        min_seconds: its duration for the shortest song.
        closing_prior: seconds per second of audio after the last block, before it was measured; default: a share of
            ``prior``.
    """

    key: str
    prior: float
    min_seconds: float
    closing_prior: float | None = None

    def with_encoding(self, audio_format: AudioFormat, *, n_stems: int, n_cpus: int) -> WriteCost:
        """Return the cost for stems in a format: a codec's is added, to the closing if that encodes everything.

        Every stem is encoded by one thread, and all of them at the same time.
        """
        n_rounds = -(-n_stems // n_cpus)
        encoding = n_rounds * ENCODING_SECONDS.get(audio_format.file_format, 0.0)
        encoding += LIMITER_SECONDS if audio_format.clip == "limit" else 0.0
        if audio_format.is_encoded_last:
            return replace(self, closing_prior=(1 + CLOSING_SHARE) * self.prior + encoding)
        return replace(self, prior=self.prior + encoding, closing_prior=CLOSING_SHARE * self.prior)

    @property
    def closing_key(self) -> str:
        """Key of the cost of closing the files."""
        return f"{self.key} closing"

    @property
    def _closing_prior(self) -> float:
        return CLOSING_SHARE * self.prior if self.closing_prior is None else self.closing_prior

    def expected_seconds(self, costs: CostModel, song_seconds: float) -> float:
        """Return the probable duration of writing a song."""
        writing = costs.typical(self.key, prior=self.prior)
        closing = costs.typical(self.closing_key, prior=self._closing_prior)
        return (writing + closing) * song_seconds + self.min_seconds

    def reserve(
        self, costs: CostModel, song_seconds: float, left_seconds: float, budget_seconds: float = math.inf
    ) -> float:
        """Return the seconds to set aside: the proven costs in full, and a limited part of what the worst costs add.

        Args:
            costs: seconds of work per second of audio.
            song_seconds: length of the song.
            left_seconds: length of the part that is not written yet.
            budget_seconds: the whole time limit, of which doubtful costs take at most a share.
        """
        blocks, blocks_at_worst = self._blocks_reserve(costs, left_seconds)
        closing, closing_at_worst = self._closing_reserve(costs, song_seconds)
        proven = blocks + closing
        doubtful = min(blocks_at_worst + closing_at_worst - proven, DOUBTFUL_SHARE * budget_seconds)
        return proven + doubtful + self.min_seconds

    def _blocks_reserve(self, costs: CostModel, left_seconds: float) -> tuple[float, float]:
        """Return the seconds to set aside for the blocks left: by proven costs, and by the worst costs with a stall."""
        # Slow networks have raised the likely cost, but the machine may recover: the raise is part of the margin.
        margin = max(FINISH_MARGIN / costs.expected_slowness(self.key), SLOW_MARGIN)
        # The slowest block measured is the cost of one brief stall, not of every block.
        stall = costs.high(self.key, prior=self.prior) - costs.typical(self.key, prior=self.prior)
        stall_seconds = stall * min(left_seconds, StemBlender.block_samples / SAMPLE_RATE)
        proven = costs.proven(self.key, prior=self.prior)
        worst = costs.worst(self.key, prior=self.prior)
        return margin * proven * left_seconds, margin * worst * left_seconds + stall_seconds

    def _closing_reserve(self, costs: CostModel, song_seconds: float) -> tuple[float, float]:
        """Return the seconds to set aside for closing the files: by proven costs, and by the worst costs."""
        key, prior = self.closing_key, self._closing_prior
        proven = FINISH_MARGIN * costs.proven(key, prior=prior)
        worst = max(FINISH_MARGIN * costs.worst(key, prior=prior), HIGH_MARGIN * costs.high(key, prior=prior))
        return proven * song_seconds, worst * song_seconds


def cost_kind(audio_format: AudioFormat) -> str:
    """Return the part of a cost's key that stands for a format."""
    options = [audio_format.clip] if audio_format.clip != "none" else []
    options += ["dither"] if audio_format.dither else []
    options += [] if audio_format.bitrate is None else [f"{audio_format.bitrate}k"]
    return " ".join((audio_format.file_format, audio_format.subtype, *options))


def spare_seconds(budget_seconds: float) -> float:
    """Return the part of a budget that is left unused, in seconds."""
    return max(SPARE_SHARE * budget_seconds, min(MIN_SPARE_SECONDS, MAX_SPARE_SHARE * budget_seconds))
