"""The mix as heard: against a sum by numpy in double precision, in every format."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.audio_io import SongTags, read_blocks
from my_submission.dsp.panning import panned
from my_submission.errors import InputError
from my_submission.stems import Waveform
from my_submission.webapp.studio.formats import FORMATS
from my_submission.webapp.studio.mix import BLOCK_SAMPLES, Fader, render, write_mix
from my_submission.webapp.work.tracks import FileTrack, Peaks
from tests.audio_fixtures import noise, sines, snr_db, write_audio
from tests.webapp.rig import RATE

SAMPLES = BLOCK_SAMPLES + 12_345
"""More than one block."""

FADERS = {"vocals": Fader(-3.5, 0.3), "drums": Fader(2.25, -0.8), "bass": Fader(0.0, 0.0), "mixture": Fader(-20.0, 1.0)}


def stereo_panner(left: np.ndarray, right: np.ndarray, pan: float) -> np.ndarray:
    """The steps of the Web Audio API's StereoPannerNode for stereo input, in double precision."""
    x = pan + 1 if pan <= 0 else pan
    gain_left, gain_right = math.cos(x * math.pi / 2), math.sin(x * math.pi / 2)
    if pan <= 0:
        return np.stack([left + right * gain_left, right * gain_right])
    return np.stack([left * gain_left, right + left * gain_right])


def waves(level: float) -> dict[str, Waveform]:
    """Tones of each track, which lossy files hold well, and some noise."""
    tones = (sines(SAMPLES, RATE, (220.0 + 110 * seed, 1_500.0 + 300 * seed)) for seed in range(len(FADERS)))
    return {
        name: (5 * level * tone + noise(2, SAMPLES, seed=seed, level=0.001)).astype(np.float32)
        for seed, (name, tone) in enumerate(zip(FADERS, tones, strict=True))
    }


def expected(tracks: dict[str, Waveform]) -> np.ndarray:
    total = np.zeros((2, SAMPLES))
    for name, fader in FADERS.items():
        left, right = tracks[name].astype(np.float64) * 10 ** (fader.gain_db / 20)
        total += stereo_panner(left, right, fader.pan)
    return total


def tracks_in(folder: Path, tracks: dict[str, Waveform]) -> dict[str, FileTrack]:
    files = {name: write_audio(folder / f"{name}.wav", each, RATE, subtype="FLOAT") for name, each in tracks.items()}
    return {name: FileTrack(path, SAMPLES, Peaks(folder / f"{name}.peaks")) for name, path in files.items()}


@pytest.mark.parametrize("pan", [-1.0, -0.6, 0.0, 0.25, 1.0])
def test_panning_is_that_of_browsers(pan: float) -> None:
    """Within float32; the centre changes nothing, and the sides hold everything."""
    block = noise(2, 1_000)
    found = panned(block, pan)
    np.testing.assert_allclose(found, stereo_panner(*block.astype(np.float64), pan), atol=1e-6)
    if pan == 0:
        np.testing.assert_allclose(found, block, atol=1e-7)
    if abs(pan) == 1:
        assert np.abs(found[0 if pan > 0 else 1]).max() < 1e-7


def test_panning_beyond_the_sides_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pan=1\.5"):
        panned(noise(2, 10), 1.5)


@pytest.mark.parametrize("form", sorted(FORMATS))
@pytest.mark.parametrize("level", [0.05, 0.5], ids=["quiet", "beyond full scale"])
def test_the_mix_is_the_sum_that_numpy_makes(tmp_path: Path, form: str, level: float) -> None:
    """To −90 dB of the sum in lossless files of 24 and 32 bits, to a quantum in 16 bits, to −30 dB of tones in MP3."""
    tracks = waves(level)
    wanted = expected(tracks)
    audio_format = FORMATS[form].audio_format
    path, gain_db = write_mix(
        render(tracks_in(tmp_path, tracks), FADERS, SAMPLES),
        tmp_path / "mix",
        "karaoke",
        sample_rate=RATE,
        samples=SAMPLES,
        audio_format=audio_format,
        tags=SongTags(title="Song"),
    )
    found = np.concatenate(list(read_blocks(path)), axis=1)
    assert (path.name, found.shape) == (f"karaoke{audio_format.suffix}", (2, SAMPLES))
    peak = float(np.abs(wanted).max())
    assert (peak > 1) == (level == 0.5)
    loudest = 20 * math.log10(peak)
    assert gain_db == pytest.approx(0.0 if peak <= 1 or audio_format.bit_depth == "32f" else -loudest, abs=1e-4)
    wanted = wanted * 10 ** (gain_db / 20)
    if audio_format.is_lossy:
        assert snr_db(wanted, found) > 30
    elif audio_format.bit_depth == "16":
        assert np.abs(found - wanted).max() < 1.01 * 2**-15
    else:
        assert snr_db(wanted, found) > 90


def test_a_mix_holds_the_song_s_title(tmp_path: Path) -> None:
    tracks = waves(0.1)
    path, _ = write_mix(
        render(tracks_in(tmp_path, tracks), {"bass": Fader(0.0, 0.0)}, 1_000),
        tmp_path / "mix",
        "mix",
        sample_rate=RATE,
        samples=1_000,
        audio_format=FORMATS["flac-PCM_16"].audio_format,
        tags=SongTags(title="Song"),
    )
    with soundfile.SoundFile(path) as file:
        assert file.title == "Song (mix)"


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,0", "nan,0", "inf,0", "25,0", "-121,0", "0,1.1", "0,nan"])
def test_faders_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        Fader.parse(text)


def test_a_fader_is_read() -> None:
    assert Fader.parse("-3.5,0.25") == Fader(-3.5, 0.25)
