"""Samples beyond full scale: told, or avoided by one gain for all stems, so that they still add up; and dither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.audio_io import AudioFormat, StemFolderWriter
from my_submission.dsp.limiter import ATTACK_SECONDS, RELEASE_DB_PER_SECOND, CommonLimiter
from my_submission.dsp.pcm import Dither, pcm_frames
from my_submission.errors import OutputError
from tests.audio_fixtures import Wave, noise

RATE = 44_100
SAMPLES = 40_000
QUANTUM = 2.0**-15


def loud_stems() -> dict[str, Wave]:
    """Three stems of which two exceed full scale in the middle, by up to 12 dB; ends are quiet."""
    swell = 1 + 8 * np.exp(-(((np.arange(SAMPLES) - 15_000) / 2_000) ** 2))
    return {
        "bass": (noise(2, SAMPLES, seed=1) * swell).astype(np.float32),
        "drums": (noise(2, SAMPLES, seed=2) * swell).astype(np.float32),
        "vocals": noise(2, SAMPLES, seed=3),
    }


def write(
    directory: Path, waves: dict[str, Wave], audio_format: AudioFormat, *, block: int = 9_001
) -> StemFolderWriter:
    with StemFolderWriter(
        directory, tuple(waves), sample_rate=RATE, samples=SAMPLES, audio_format=audio_format
    ) as writer:
        for start in range(0, SAMPLES, block):
            writer.write({name: wave[:, start : start + block] for name, wave in waves.items()})
    return writer


def read(writer: StemFolderWriter) -> dict[str, Wave]:
    return {name: soundfile.read(path, dtype="float64")[0].T for name, path in writer.paths.items()}


def test_none_clips_and_counts(tmp_path: Path) -> None:
    waves = loud_stems()
    writer = write(tmp_path, waves, AudioFormat("wav"))
    assert (writer.gain_db, writer.gain_notes) == (0.0, ())
    for name, wave in waves.items():
        assert writer.levels[name].clipped_samples == np.count_nonzero(np.abs(wave) > 1)
    assert writer.levels["bass"].clipped_samples > 100


@pytest.mark.parametrize("audio_format", ["wav", "flac", "aiff"])
def test_rescale_makes_the_whole_song_quieter_by_one_gain(tmp_path: Path, audio_format: str) -> None:
    waves = loud_stems()
    peak = max(float(np.abs(wave).max()) for wave in waves.values())
    writer = write(tmp_path, waves, AudioFormat(audio_format, clip="rescale"))
    assert writer.gain_db == pytest.approx(-20 * np.log10(peak), abs=1e-4)
    assert writer.gain_notes == (
        f"all stems are {-writer.gain_db:.1f} dB quieter, because they would exceed full scale",
    )
    stems = read(writer)
    for name, wave in waves.items():
        np.testing.assert_allclose(stems[name], wave / peak, atol=QUANTUM)
        assert writer.levels[name].clipped_samples == 0
    mixture = sum(wave.astype(np.float64) for wave in waves.values())
    np.testing.assert_allclose(sum(stems.values()), mixture / peak, atol=len(waves) * QUANTUM)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.{audio_format}" for name in waves]


@pytest.mark.parametrize("clip", ["rescale", "limit"])
def test_what_fits_is_left_as_it_is(tmp_path: Path, clip: str) -> None:
    waves = {"bass": noise(2, SAMPLES), "drums": noise(2, SAMPLES, seed=1)}
    writer = write(tmp_path / clip, waves, AudioFormat("wav", clip=clip))
    plain = write(tmp_path / "plain", waves, AudioFormat("wav"))
    assert (writer.gain_db, writer.gain_notes) == (0.0, ())
    for name, path in writer.paths.items():
        assert path.read_bytes() == plain.paths[name].read_bytes()


def test_limit_lowers_only_passages_around_peaks_and_the_stems_still_add_up(tmp_path: Path) -> None:
    waves = loud_stems()
    writer = write(tmp_path, waves, AudioFormat("wav", bit_depth="32f", clip="limit"))
    stems = read(writer)
    assert max(np.abs(stem).max() for stem in stems.values()) <= 1
    gain = stems["vocals"] / np.where(waves["vocals"] == 0, 1, waves["vocals"])
    np.testing.assert_allclose(gain[0], gain[1], atol=1e-5)
    for name, wave in waves.items():  # one gain for all stems
        np.testing.assert_allclose(stems[name], wave * gain[0], atol=1e-5)
    mixture = sum(wave.astype(np.float64) for wave in waves.values())
    np.testing.assert_allclose(sum(stems.values()), mixture * gain[0], atol=3e-5)
    np.testing.assert_array_equal(stems["bass"][:, :5_000], waves["bass"][:, :5_000])  # far before the passage
    assert writer.gain_db == pytest.approx(20 * np.log10(gain.min()), abs=0.01)
    assert writer.gain_notes == (
        f"all stems are up to {-writer.gain_db:.1f} dB quieter around samples that would exceed full scale",
    )


@pytest.mark.parametrize("block", [1, 100, 4_000, 30_000])
def test_the_limiter_never_overshoots_whatever_the_blocks(block: int) -> None:
    samples = 30_000 if block > 1 else 1_500
    rng = np.random.default_rng(4)
    waves = [(rng.standard_normal((2, samples)) * rng.choice([0.1, 0.5, 3], samples)).astype(np.float32) for _ in "ab"]
    waves[0][:, 0], waves[1][:, -1] = 7, -9  # peaks at both ends

    def limited(length: int) -> list[Wave]:
        limiter = CommonLimiter(RATE)
        starts = range(0, samples, length)
        parts = [limiter.push([wave[:, start : start + length] for wave in waves]) for start in starts]
        return [np.concatenate(part, axis=1) for part in zip(*parts, limiter.finish(), strict=True)]

    found = limited(block)
    assert [wave.shape for wave in found] == [wave.shape for wave in waves]
    assert max(np.abs(wave).max() for wave in found) <= 1
    for wave, whole in zip(found, limited(samples), strict=True):
        np.testing.assert_allclose(wave, whole, atol=1e-6)


def test_the_gain_is_smooth_it_falls_within_the_attack_and_recovers_at_the_release_rate() -> None:
    wave = np.full((2, RATE), 0.25, np.float32)
    wave[:, RATE // 2] = 4  # 12 dB beyond full scale
    limiter = CommonLimiter(RATE)
    gain = np.concatenate([*limiter.push([wave]), *limiter.finish()], axis=1)[0] / wave[0]
    attack = round(ATTACK_SECONDS * RATE)
    peak = RATE // 2
    np.testing.assert_array_equal(gain[: peak - attack], 1)
    assert np.abs(np.diff(gain[: peak + 1])).max() <= 0.75 / attack * 1.1
    assert gain[peak] == pytest.approx(0.25, abs=1e-3)
    later = peak + attack + round(0.3 * RATE)
    assert 20 * np.log10(gain[later]) == pytest.approx(-12.04 + 0.3 * RELEASE_DB_PER_SECOND, abs=0.2)
    assert gain[-1] <= 1


def test_lossy_stems_are_levelled_before_they_are_encoded(tmp_path: Path) -> None:
    writer = write(tmp_path, loud_stems(), AudioFormat("ogg", clip="rescale"))
    assert writer.gain_db < -6
    assert max(level.peak for level in writer.levels.values()) == pytest.approx(1, abs=1e-6)
    loud = write(tmp_path / "loud", loud_stems(), AudioFormat("ogg"))
    assert loud.levels["bass"].clipped_samples > 100


@pytest.mark.parametrize("clip", ["rescale", "limit"])
def test_an_error_in_the_middle_leaves_nothing(tmp_path: Path, clip: str) -> None:
    waves = loud_stems()
    waves["vocals"][0, 30_000] = np.nan
    with pytest.raises(OutputError, match="NaN or infinity"):
        write(tmp_path / "out", waves, AudioFormat("wav", clip=clip))
    assert list(tmp_path.iterdir()) == []


def test_dither_makes_the_rounding_error_independent_of_the_signal() -> None:
    quiet = np.full((2, 200_000), 0.3 * QUANTUM, np.float32)  # below one quantum: without dither it is lost
    assert not pcm_frames(quiet, bits=16).any()
    frames = pcm_frames(quiet, bits=16, dither=Dither(1))
    error = frames / 1.0 - 0.3
    assert np.mean(error) == pytest.approx(0, abs=0.01)
    assert np.var(error) == pytest.approx(0.25, abs=0.01)  # 2/12 of the noise and 1/12 of the rounding
    louder = pcm_frames(quiet + np.float32(0.2 * QUANTUM), bits=16, dither=Dither(1)) / 1.0 - 0.5
    assert np.var(louder) == pytest.approx(0.25, abs=0.01)
    assert np.abs(error).max() <= 1.5
    full = pcm_frames(np.array([[1.5, -1.5, 1.0, -1.0]], np.float32), bits=16, dither=Dither(1))
    assert (full[0, 0], full[1, 0]) == (2**15 - 1, -(2**15))


def test_dithered_stems_repeat_to_the_byte_whatever_the_blocks_and_differ_from_each_other(tmp_path: Path) -> None:
    silence = np.zeros((2, SAMPLES), np.float32)
    waves = {"bass": silence, "drums": silence}
    a = write(tmp_path / "a", waves, AudioFormat("wav", dither=True), block=9_001)
    b = write(tmp_path / "b", waves, AudioFormat("wav", dither=True), block=333)
    for name in waves:
        assert a.paths[name].read_bytes() == b.paths[name].read_bytes()
    assert a.paths["bass"].read_bytes() != a.paths["drums"].read_bytes()
    flac = write(tmp_path / "flac", waves, AudioFormat("flac", dither=True))
    for name in waves:
        np.testing.assert_array_equal(read(flac)[name], read(a)[name])
