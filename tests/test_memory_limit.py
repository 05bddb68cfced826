"""A limit on memory: what becomes smaller, what is refused, and what the user is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import my_submission as mdx
from my_submission.engines.fake_engine import FakeEngine
from my_submission.errors import MdxError
from my_submission.geometry import FadeChunking, FrameChunking, WholeSong, bounded
from my_submission.predictor import Predictor
from my_submission.predictor.memory import CHUNK_BYTES_PER_BIN_AND_FRAME, FRAME_BYTES, SONG_BYTES, keep_within
from my_submission.separators import MaskingSeparator, SpectralSeparator, WaveformSeparator
from my_submission.separators.waveform import SEGMENT_BYTES_PER_SAMPLE
from tests.rigs import CHUNKING, SEGMENTS, two_branches

CHUNK_BYTES = CHUNK_BYTES_PER_BIN_AND_FRAME * CHUNKING.stft.kept_bins * CHUNKING.frames


@pytest.mark.parametrize(("chunks", "expected"), [(1, 1), (3, 3), (100, 8)])
def test_batches_shrink_to_what_fits_and_never_grow(chunks: int, expected: int) -> None:
    assembly = two_branches()
    for separator in assembly.branches[0].separators:
        separator.batch_chunks = 8  # type: ignore[attr-defined]
    segment_bytes = SEGMENT_BYTES_PER_SAMPLE * SEGMENTS.segment_samples * 2
    notes = keep_within(assembly, SONG_BYTES + max(chunks * CHUNK_BYTES, 0), resident_bytes=0)
    sizes = {s.batch_chunks for s in assembly.branches[0].separators if isinstance(s, SpectralSeparator)}
    assert sizes == {expected}
    assert bool(notes) == (chunks * CHUNK_BYTES < segment_bytes / 2)


def test_segments_become_shorter_and_the_song_is_still_whole() -> None:
    assembly, free = replace(two_branches(), branches=two_branches().branches[1:]), SEGMENT_BYTES_PER_SAMPLE * 4_100
    (note,) = keep_within(assembly, SONG_BYTES + free, resident_bytes=0)
    waveform = assembly.branches[0].separators[0]
    assert isinstance(waveform, WaveformSeparator)
    length = waveform.chunking.segment_samples
    assert SEGMENTS.segment_samples // 8 <= length < SEGMENTS.segment_samples
    assert waveform.valid_length(length) * SEGMENT_BYTES_PER_SAMPLE <= free
    assert "segments of 0.1 s instead of 0.2 s" in note
    assembly = two_branches()
    assembly.branches[1].separators[0].chunking = waveform.chunking  # type: ignore[attr-defined]
    mixture = np.random.default_rng(0).standard_normal((2, 30_000)).astype(np.float32)
    plain, small = Predictor(two_branches()).separate(mixture), Predictor(assembly).separate(mixture)
    np.testing.assert_allclose(small["bass"], plain["bass"], atol=1e-5)


def test_what_cannot_fit_is_refused_with_the_number_that_would() -> None:
    with pytest.raises(MdxError, match=r"one chunk of the bass network needs about \d+ MiB.*--max-memory \d+"):
        keep_within(two_branches(), SONG_BYTES + CHUNK_BYTES - 1, resident_bytes=0)


def test_on_a_gpu_only_the_song_counts() -> None:
    """Networks work in the card's memory: batches and segments stay as they are."""
    assembly = two_branches()
    assert keep_within(assembly, SONG_BYTES + 5, resident_bytes=5, is_on_gpu=True) == ()
    assert assembly.branches[1].separators[0].chunking == SEGMENTS  # type: ignore[attr-defined]
    least = (SONG_BYTES + 5) // 2**20 + 1
    with pytest.raises(MdxError, match=f"a song needs about 95 MiB.*--max-memory {least} "):
        keep_within(assembly, SONG_BYTES + 4, resident_bytes=5, is_on_gpu=True)


def test_loading_obeys_the_limit(tiny_models: Path) -> None:
    with pytest.raises(MdxError, match="--max-memory"):
        mdx.load("starter", models_dir=tiny_models, device="cpu", max_memory_bytes=1 << 20)
    assert mdx.load("starter", models_dir=tiny_models, device="cpu", max_memory_bytes=1 << 40).setup_notes == ()


def test_songs_that_do_not_fit_whole_are_taken_in_pieces() -> None:
    """Cross-faded segments, the whole song, and stretches of masks: each becomes shorter and says so."""
    assembly = replace(two_branches(), branches=two_branches().branches[1:])
    (waveform,) = assembly.branches[0].separators
    assert isinstance(waveform, WaveformSeparator)
    for chunking, before in ((FadeChunking(8_000, 100), "0.2 s"), (WholeSong(SEGMENTS), "the whole song")):
        waveform.chunking = chunking
        (note,) = keep_within(assembly, SONG_BYTES + waveform.bytes_per_sample * 4_100, resident_bytes=0)
        assert f"instead of {before}" in note
        assert bounded(waveform.chunking).segment_samples <= 4_100
        assert not isinstance(waveform.chunking, WholeSong)
    masking = MaskingSeparator(("music",), FakeEngine(), stft=CHUNKING.stft, chunking=FrameChunking(500, 60))
    assembly = replace(assembly, branches=(replace(assembly.branches[0], separators=(masking,)),))
    assert keep_within(assembly, SONG_BYTES + 500 * FRAME_BYTES, resident_bytes=0) == ()
    masking.is_whole = True
    (note,) = keep_within(assembly, SONG_BYTES + 200 * FRAME_BYTES, resident_bytes=0)
    assert "the whole song" in note
    assert (masking.chunking, masking.is_whole) == (FrameChunking(200, 20), False)
    with pytest.raises(MdxError, match="three seconds of music"):
        keep_within(assembly, SONG_BYTES + 100 * FRAME_BYTES, resident_bytes=0)
