"""Songs and stems copied between formats: the same samples, all or nothing, and never more than is allowed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.audio_io import (
    WAV_FLOAT,
    AudioFormat,
    StemFolderWriter,
    check_song,
    convert_stems,
    flac_16,
    load_mixture,
    read_span,
    store_to_wav,
)
from my_submission.errors import InputError
from tests.audio_fixtures import noise, write_audio, write_media


def test_stored_samples_stay_what_they_are(tmp_path: Path) -> None:
    """Every sample of every block is shown and stored, at the song's own rate, and a WAV of the store has them all."""
    wave = noise(1, 20_000, level=0.9)  # some beyond full scale
    source = write_audio(tmp_path / "in.wav", wave, 32_000, subtype="FLOAT")
    heard: list[np.ndarray] = []
    with load_mixture(source, scratch_dir=tmp_path, keeps_original=True, on_block=heard.append) as song:
        assert song.original is not None
        store_to_wav(song.original, tmp_path / "out.wav", song.source_rate)
    found, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    assert rate == 32_000
    np.testing.assert_array_equal(np.concatenate(heard, axis=1).T, found)
    np.testing.assert_array_equal(found, np.repeat(wave.T, 2, axis=1))


def test_m4a_states_its_length_and_is_decoded(tmp_path: Path) -> None:
    source = write_media(tmp_path / "in.m4a", [noise(2, 44_100)], codec="aac")
    assert check_song(source, max_seconds=10) == pytest.approx(1.0, abs=0.05)
    with load_mixture(source, scratch_dir=tmp_path, max_seconds=10) as song:
        assert song.source_samples == pytest.approx(44_100, abs=2_048)


@pytest.mark.parametrize("name", ["in.wav", "in.m4a"])
def test_long_songs_are_refused_by_their_header(tmp_path: Path, name: str) -> None:
    wave = noise(2, 2 * 44_100)
    codec = (
        write_media(tmp_path / name, [wave], codec="aac") if name == "in.m4a" else write_audio(tmp_path / name, wave)
    )
    with pytest.raises(InputError, match="longer than the limit of 1 s"):
        check_song(codec, max_seconds=1)


def test_a_song_that_hides_its_length_is_cut_off_while_decoding(tmp_path: Path) -> None:
    source = write_media(tmp_path / "in.aac", [noise(2, 2 * 44_100)], codec="aac", container="adts")
    assert check_song(source, max_seconds=1) is None
    with pytest.raises(InputError, match="longer than the limit of 1 s"):
        load_mixture(source, scratch_dir=tmp_path, max_seconds=1)
    assert [path.name for path in tmp_path.iterdir()] == ["in.aac"]


@pytest.mark.parametrize(("file_format", "bits"), [("wav", "16"), ("wav", "24"), ("flac", "16")])
def test_converted_stems_are_those_a_separation_would_have_written(tmp_path: Path, file_format: str, bits: str) -> None:
    waves = {"bass": noise(2, 30_000, seed=1, level=0.5), "drums": noise(2, 30_000, seed=2)}
    options = {"sample_rate": 48_000, "samples": 30_000, "source_rate": 48_000}
    wanted = AudioFormat(file_format, bit_depth=bits)
    for folder, audio_format in (("float", WAV_FLOAT), ("direct", wanted)):
        with StemFolderWriter(tmp_path / folder, tuple(waves), audio_format=audio_format, **options) as writer:
            writer.write(waves)
    stems = {name: tmp_path / "float" / f"{name}.wav" for name in waves}
    paths = convert_stems(stems, tmp_path / "out", wanted).paths
    for name, path in paths.items():
        assert path.read_bytes() == (tmp_path / "direct" / f"{name}.{file_format}").read_bytes()


def test_copies_that_would_clip_get_one_gain(tmp_path: Path) -> None:
    """The gain is that of the loudest stem, so that the copies still add up."""
    waves = {"bass": noise(2, 30_000, seed=1, level=0.6), "drums": noise(2, 30_000, seed=2)}
    stems = {name: write_audio(tmp_path / f"{name}.wav", wave, subtype="FLOAT") for name, wave in waves.items()}
    told: list[float] = []

    def describe(files: object, gain_db: float) -> dict[str, str]:
        told.append(gain_db)
        return {}

    copies = convert_stems(
        stems, tmp_path / "out", AudioFormat("wav", bit_depth="24", clip="rescale"), describe=describe
    )
    peak = float(np.abs(waves["bass"]).max())
    assert copies.gain_db == pytest.approx(-20 * np.log10(peak), abs=1e-4)
    assert told == [copies.gain_db]
    for name, path in copies.paths.items():
        found, _ = soundfile.read(path, dtype="float32")
        np.testing.assert_allclose(found.T, waves[name] / peak, atol=1e-6)


def test_any_span_of_a_wav_is_read(tmp_path: Path) -> None:
    wave = noise(2, 5_000, level=0.9)
    path = write_audio(tmp_path / "in.wav", wave, subtype="FLOAT")
    np.testing.assert_array_equal(read_span(path, 1_234, 4_000), wave[:, 1_234:4_000])
    with pytest.raises(InputError, match="1000 of 2000 samples are at 4000"):
        read_span(path, 4_000, 6_000)
    with pytest.raises(InputError, match="cannot be read"):
        read_span(tmp_path / "missing.wav", 0, 1)


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_a_piece_is_encoded_in_memory(rate: int) -> None:
    wave = noise(2, 5_000, level=0.6)
    found, stated = soundfile.read(io.BytesIO(flac_16(wave, rate, gain=0.5)), dtype="float32")
    assert stated == rate
    assert np.abs(found.T - np.clip(0.5 * wave, -1, 1)).max() <= 2**-15
