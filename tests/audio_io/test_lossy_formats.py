"""Lossy stems: exact lengths, fidelity, bit rates, equal bytes for equal stems, and nothing left after an error."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.audio_io import AudioFormat, StemFolderWriter, convert_stems, probe, read_blocks
from my_submission.audio_io.writing.audio_format import FILE_FORMATS, MP3_BITRATES, WAV_FLOAT
from my_submission.audio_io.writing.encoders import m4a_encoder
from my_submission.dsp.resampling import resample, resampled_length
from my_submission.errors import OutputError
from tests.audio_fixtures import Wave, snr_db

ROOT = Path(__file__).parents[2]
LOSSY = [name for name in FILE_FORMATS if AudioFormat(name).is_lossy]
SAMPLES = 60_123

PADDING = {"m4a": 1_024}
"""Samples at the end that another decoder may return in addition: one AAC frame."""


def music(samples: int, rate: int = 44_100, *, seed: int = 0, level: float = 0.1) -> Wave:
    """Bands of noise that fall by 6 dB per octave above 500 Hz, as the long-term spectrum of music does."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((2, samples)))
    spectrum /= np.sqrt(1 + (np.fft.rfftfreq(samples, 1 / rate) / 500) ** 2)
    wave = np.fft.irfft(spectrum, samples)
    return (level * wave / (wave.std() or 1.0)).astype(np.float32)


def write(directory: Path, waves: dict[str, Wave], audio_format: AudioFormat, *, rate: int = 44_100) -> dict[str, Path]:
    samples = next(iter(waves.values())).shape[1]
    with StemFolderWriter(
        directory, tuple(waves), sample_rate=rate, samples=samples, source_rate=rate, audio_format=audio_format
    ) as writer:
        for start in range(0, samples, 20_011):
            writer.write({name: wave[:, start : start + 20_011] for name, wave in waves.items()})
    return writer.paths


def decoded(path: Path) -> Wave:
    return np.concatenate(list(read_blocks(path)), axis=1)


@pytest.mark.parametrize("name", LOSSY)
def test_stems_keep_their_length_and_sound(tmp_path: Path, name: str) -> None:
    waves = {"bass": music(SAMPLES, seed=1), "vocals": music(SAMPLES, seed=2)}
    rate = 48_000 if name == "opus" else 44_100
    for stem, path in write(tmp_path, waves, AudioFormat(name)).items():
        expected = waves[stem] if rate == 44_100 else resample(waves[stem], 44_100, rate)
        assert probe(path).sample_rate == rate
        assert decoded(path).shape == expected.shape
        assert snr_db(expected, decoded(path)) > 15
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"bass.{name}", f"vocals.{name}"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg command")
@pytest.mark.parametrize("name", LOSSY)
def test_the_ffmpeg_command_finds_the_same_length(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, {"bass": music(SAMPLES)}, AudioFormat(name))["bass"]
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-"]
    n_found = len(subprocess.run(command, capture_output=True, check=True).stdout) // 8
    n_expected = resampled_length(SAMPLES, 44_100, 48_000) if name == "opus" else SAMPLES
    assert 0 <= n_found - n_expected < PADDING.get(name, 1)


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("samples", [1, 1_023, 1_024, 1_025, 2_304])
def test_short_songs_keep_their_length(tmp_path: Path, name: str, samples: int) -> None:
    path = write(tmp_path, {"bass": music(samples)}, AudioFormat(name))["bass"]
    n_expected = resampled_length(samples, 44_100, 48_000) if name == "opus" else samples
    assert decoded(path).shape == (2, n_expected)


@pytest.mark.parametrize(
    ("name", "rate", "held"),
    [
        ("mp3", 96_000, 48_000),
        ("mp3", 37_800, 44_100),
        ("mp3", 8_000, 8_000),
        ("opus", 44_100, 48_000),
        ("opus", 8_000, 48_000),
        ("m4a", 192_000, 96_000),
        ("m4a", 88_200, 88_200),
        ("ogg", 768_000, 192_000),
        ("ogg", 1_000, 8_000),
        ("ogg", 37_800, 37_800),
    ],
)
def test_rates_that_a_codec_cannot_hold_are_resampled_with_a_note(
    tmp_path: Path, name: str, rate: int, held: int
) -> None:
    wave = music(rate // 2 + 1, rate)
    writer = StemFolderWriter(
        tmp_path,
        ["bass"],
        sample_rate=rate,
        samples=wave.shape[1],
        source_rate=rate,
        audio_format=AudioFormat(name, bitrate=64),
    )
    with writer:
        writer.write({"bass": wave})
    path = writer.paths["bass"]
    assert probe(path).sample_rate == held
    assert decoded(path).shape[1] == resampled_length(wave.shape[1], rate, held)
    note = f"{name} files cannot have {rate} Hz, so the stems are resampled to {held} Hz"
    assert writer.notes == ((note,) if held != rate else ())


@pytest.mark.parametrize("bitrate", [64, 96, 128, 192, 320])
@pytest.mark.parametrize("name", LOSSY)
def test_bit_rates_are_those_requested(tmp_path: Path, name: str, bitrate: int) -> None:
    seconds = 3
    wave = music(seconds * 44_100, level=0.2)
    path = write(tmp_path, {"bass": wave}, AudioFormat(name, bitrate=bitrate))["bass"]
    found = path.stat().st_size * 8 / seconds / 1000
    tolerance = {"mp3": 0.05, "m4a": 0.15}.get(name, 0.35)  # Vorbis and Opus vary with the sound
    assert found == pytest.approx(bitrate, rel=tolerance)


@pytest.mark.parametrize(("rate", "highest"), [(22_050, 160), (8_000, 64)])
def test_mp3_files_of_low_rates_have_a_lower_highest_bit_rate(tmp_path: Path, rate: int, highest: int) -> None:
    writer = StemFolderWriter(tmp_path, ["bass"], sample_rate=rate, samples=rate, audio_format=AudioFormat("mp3"))
    assert writer.notes == (
        f"at {rate} Hz mp3 files have at most {highest} kbit/s, which is used instead of 320 kbit/s",
    )
    path = write(tmp_path, {"bass": music(2 * rate, rate)}, AudioFormat("mp3"), rate=rate)["bass"]
    assert path.stat().st_size * 8 / 2_000 == pytest.approx(highest, rel=0.15)


def test_every_mp3_frame_has_the_bit_rate_requested(tmp_path: Path) -> None:
    for bitrate in MP3_BITRATES:
        path = write(tmp_path, {"bass": music(5_000)}, AudioFormat("mp3", bitrate=bitrate))["bass"]
        index = path.read_bytes()[2] >> 4
        assert (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[index] == bitrate


@pytest.mark.parametrize("name", [name for name in FILE_FORMATS if name != "wav"])
def test_equal_stems_are_equal_files_however_they_come(tmp_path: Path, name: str) -> None:
    waves = {"bass": music(SAMPLES, seed=1), "drums": music(SAMPLES, seed=2)}
    first, second = (write(tmp_path / folder, waves, AudioFormat(name)) for folder in ("a", "b"))
    floats = write(tmp_path / "float", waves, WAV_FLOAT)
    copied = convert_stems(floats, tmp_path / "copied", AudioFormat(name)).paths
    for stem, path in first.items():
        assert path.read_bytes() == second[stem].read_bytes() == copied[stem].read_bytes()
    assert first["bass"].read_bytes() != first["drums"].read_bytes()


@pytest.mark.parametrize("name", LOSSY)
def test_an_error_in_the_middle_leaves_nothing(tmp_path: Path, name: str) -> None:
    def fail_in_the_middle() -> None:
        with StemFolderWriter(
            tmp_path / "out", ["bass"], sample_rate=44_100, samples=SAMPLES, audio_format=AudioFormat(name)
        ) as writer:
            writer.write({"bass": music(50_000)})
            raise RuntimeError("network failed")

    with pytest.raises(RuntimeError, match="network failed"):
        fail_in_the_middle()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("limit", [100, 40_000])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, name: str, limit: int) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
import numpy as np
from my_submission.audio_io import AudioFormat, StemFolderWriter
wave = np.random.default_rng(0).standard_normal((2, 100_000)).astype(np.float32) * 0.1
with StemFolderWriter({str(tmp_path / "out")!r}, ["bass"], sample_rate=44_100, samples=100_000,
                      audio_format=AudioFormat({name!r})) as writer:
    for start in range(0, 100_000, 5_000):
        writer.write({{"bass": wave[:, start : start + 5_000]}})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert "OutputError" in last
    assert f"bass.{name}: the stem could not be written completely (File too large)" in last
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "clip"), [("mp3", "none"), ("ogg", "limit"), ("m4a", "rescale")])
def test_a_killed_run_leaves_no_stem_and_its_parts_go_with_the_next(tmp_path: Path, name: str, clip: str) -> None:
    before = write(tmp_path, {"bass": music(5_000)}, AudioFormat(name))["bass"].read_bytes()
    code = f"""
import os, signal, numpy as np
from my_submission.audio_io import AudioFormat, StemFolderWriter
with StemFolderWriter({str(tmp_path)!r}, ["bass"], sample_rate=44_100, samples=40_000,
                      audio_format=AudioFormat({name!r}, clip={clip!r})) as writer:
    writer.write({{"bass": np.ones((2, 30_000), np.float32)}}, waits=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / f"bass.{name}").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir())[0].startswith(".bass.")
    write(tmp_path, {"bass": music(SAMPLES)}, AudioFormat(name))
    assert [path.name for path in tmp_path.iterdir()] == [f"bass.{name}"]
    assert (tmp_path / f"bass.{name}").read_bytes() != before


def test_a_codec_that_is_not_installed_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(m4a_encoder, "_has_aac", lambda: False)
    monkeypatch.setattr(soundfile, "check_format", lambda container, subtype: subtype != "MPEG_LAYER_III")
    with pytest.raises(OutputError, match=r"libsndfile .* cannot write mp3 files \(MPEG_LAYER_III\)\. Pip install"):
        StemFolderWriter(tmp_path / "out", ["bass"], sample_rate=44_100, samples=9, audio_format=AudioFormat("mp3"))
    with pytest.raises(OutputError, match=r"m4a files need PyAV with an AAC encoder.* Pip install av, or"):
        StemFolderWriter(tmp_path / "out", ["bass"], sample_rate=44_100, samples=9, audio_format=AudioFormat("m4a"))
    assert list(tmp_path.iterdir()) == []
