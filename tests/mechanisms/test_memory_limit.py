"""A limit on memory: what becomes smaller, what is refused, and what the user is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import my_submission as mdx
from my_submission.engines.fake_engine import FakeEngine
from my_submission.errors import MdxError
from my_submission.geometry import FadeChunking, FrameChunking, WholeSong
from my_submission.mechanisms import MaskingMechanism, SpectralMechanism, WaveformMechanism
from my_submission.mechanisms.chunks import chunk_bytes
from my_submission.mechanisms.masking import FRAME_BYTES
from my_submission.mechanisms.memory_limits import SONG_BYTES
from my_submission.mechanisms.waveform_networks import SEGMENT_BYTES_PER_SAMPLE
from my_submission.predictor import Predictor
from my_submission.predictor.memory import within_memory
from my_submission.systems import LoadedSystem
from tests.rigs import CHUNKING, SEGMENTS, two_branches, with_branches

CHUNK_BYTES = chunk_bytes(CHUNKING)


def demucs_in(system: LoadedSystem) -> WaveformMechanism:
    mechanism = system.branches[-1].mechanism
    assert isinstance(mechanism, WaveformMechanism)
    return mechanism


@pytest.mark.parametrize(("chunks", "expected"), [(1, 1), (3, 3), (100, 8)])
def test_batches_shrink_to_what_fits_and_never_grow(chunks: int, expected: int) -> None:
    segment_bytes = SEGMENT_BYTES_PER_SAMPLE * SEGMENTS.segment_samples * 2
    system = two_branches(batch_size=8)
    fitted, notes = within_memory(system, SONG_BYTES + max(chunks * CHUNK_BYTES, 0), resident_bytes=0)
    for whole, size in ((system, 8), (fitted, expected)):  # the system that was given is not changed
        networks = whole.branches[0].mechanism
        assert isinstance(networks, SpectralMechanism)
        assert {network.batch_size for network in networks.networks} == {size}
    assert bool(notes) == (chunks * CHUNK_BYTES < segment_bytes / 2)


def test_segments_become_shorter_and_the_song_is_still_whole() -> None:
    system, free = with_branches(two_branches(), 1), SEGMENT_BYTES_PER_SAMPLE * 4_100
    fitted, (note,) = within_memory(system, SONG_BYTES + free, resident_bytes=0)
    waveform = demucs_in(fitted)
    length = waveform.chunking.bounded.segment_samples
    assert SEGMENTS.segment_samples // 8 <= length < SEGMENTS.segment_samples
    assert waveform.valid_length(length) * SEGMENT_BYTES_PER_SAMPLE <= free
    assert "segments of 0.1 s instead of 0.2 s" in note
    mixture = np.random.default_rng(0).standard_normal((2, 30_000)).astype(np.float32)
    plain = Predictor(two_branches()).separate(mixture)
    small = Predictor(two_branches(segments=waveform.chunking)).separate(mixture)
    np.testing.assert_allclose(small["bass"], plain["bass"], atol=1e-5)


def test_what_cannot_fit_is_refused_with_the_number_that_would() -> None:
    with pytest.raises(MdxError, match=r"one chunk of the bass network needs about \d+ MiB.*--max-memory \d+"):
        within_memory(two_branches(), SONG_BYTES + CHUNK_BYTES - 1, resident_bytes=0)


def test_on_a_gpu_only_the_song_counts() -> None:
    """Networks work in the card's memory: batches and segments stay as they are."""
    system = two_branches()
    assert within_memory(system, SONG_BYTES + 5, resident_bytes=5, is_on_gpu=True) == (system, ())
    least = (SONG_BYTES + 5) // 2**20 + 1
    with pytest.raises(MdxError, match=f"a song needs about 95 MiB.*--max-memory {least} "):
        within_memory(system, SONG_BYTES + 4, resident_bytes=5, is_on_gpu=True)


def test_loading_obeys_the_limit(tiny_models: Path) -> None:
    with pytest.raises(MdxError, match="--max-memory"):
        mdx.load("starter", models_dir=tiny_models, device="cpu", max_memory_bytes=1 << 20)
    assert mdx.load("starter", models_dir=tiny_models, device="cpu", max_memory_bytes=1 << 40).setup_notes == ()


def test_songs_that_do_not_fit_whole_are_taken_in_pieces() -> None:
    """Cross-faded segments, the whole song, and stretches of masks: each becomes shorter and says so."""
    limit = SONG_BYTES + SEGMENT_BYTES_PER_SAMPLE * 4_100
    for chunking, before in ((FadeChunking(8_000, 100), "0.2 s"), (WholeSong(SEGMENTS), "the whole song")):
        fitted, (note,) = within_memory(with_branches(two_branches(segments=chunking), 1), limit, resident_bytes=0)
        assert f"instead of {before}" in note
        shorter = demucs_in(fitted).chunking
        assert shorter.bounded is shorter
        assert shorter.bounded.segment_samples <= 4_100
    masking = MaskingMechanism(("music",), FakeEngine(), stft=CHUNKING.stft, chunking=FrameChunking(500, 60))

    def masked(mechanism: MaskingMechanism, n_frames: int) -> tuple[MaskingMechanism, tuple[str, ...]]:
        system = with_branches(two_branches(), 1)
        system = replace(system, branches=(replace(system.branches[0], mechanism=mechanism),))
        fitted, notes = within_memory(system, SONG_BYTES + n_frames * FRAME_BYTES, resident_bytes=0)
        found = fitted.branches[0].mechanism
        assert isinstance(found, MaskingMechanism)
        return found, notes

    assert masked(masking, 500) == (masking, ())
    found, (note,) = masked(replace(masking, is_whole=True), 200)
    assert "the whole song" in note
    assert (found.chunking, found.is_whole) == (FrameChunking(200, 20), False)
    with pytest.raises(MdxError, match="three seconds of music"):
        masked(masking, 100)
