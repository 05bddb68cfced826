"""Collections for film sound: sounds, dialogues and scenes follow from a seed, say what fails, and go on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile

from my_submission.errors import InputError, MdxError
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import CINEMA_SOURCES
from tests.training_songs import write_spooled_songs
from training.cli import main
from training.data.songs import read_collection
from training.data.stems import write_stem
from training_material import speaking
from training_material.foley import BACKGROUNDS, EVENTS, coloured
from training_material.recordings import at_speed, read_mono, recordings_in
from training_material.scenes import LOUDNESS_LUFS, mix_down, write_scenes
from training_material.soundscapes import GENERATORS, soundscape, write_soundscapes
from training_material.speaking import SynthesisedVoice, dialogue, sentences_of, voice_of, write_dialogues

ENGINE = (
    "import sys, wave\n"
    "if sys.argv[2] == 'broken': sys.exit('no such voice')\n"
    "w = wave.open(sys.argv[1], 'wb'); w.setparams((1, 2, 22050, 0, 'NONE', ''))\n"
    "w.writeframes(bytes([0, 32, 0, 224]) * 50 * len(sys.argv[3])); w.close()\n"
)
"""Stands for a speech engine: a buzz of 100 samples a letter."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs it as ``flite``."""
    monkeypatch.setitem(speaking.COMMANDS, "flite", (sys.executable, "-c", ENGINE, "{wav}", "{voice}", "{text}"))


def write_recordings(folder: Path, n_recordings: int = 2) -> Path:
    folder.mkdir(parents=True)
    for index in range(n_recordings):
        tone = 0.3 * np.sin(np.arange(11_025) * (0.05 + 0.05 * index))
        soundfile.write(folder / f"{index}.wav", np.stack((tone, tone), axis=1), 22_050)
    return folder


@pytest.mark.parametrize("generator", [*EVENTS, *BACKGROUNDS], ids=lambda generator: generator.__name__)
def test_every_sound_is_finite_audible_and_follows_from_its_seed(generator: object) -> None:
    first, again = (GENERATORS[generator.__name__](np.random.default_rng(3), 20_000) for _ in range(2))  # type: ignore[attr-defined]
    assert first.shape == (20_000,)
    assert np.isfinite(first).all()
    assert np.sqrt(np.mean(first**2)) > 1e-3
    assert np.array_equal(first, again)


def test_coloured_noise_falls_by_its_slope() -> None:
    power = np.abs(np.fft.rfft(coloured(np.random.default_rng(0), 1 << 17, 6.0))) ** 2
    octaves = [10.0 * np.log10(power[start : 2 * start].mean()) for start in (1 << 10, 1 << 11, 1 << 12, 1 << 13)]
    assert np.diff(octaves) == pytest.approx([-6.0] * 3, abs=0.4)


def test_a_recording_is_read_at_any_rate_and_played_at_any_speed(tmp_path: Path) -> None:
    folder = write_recordings(tmp_path / "sounds")
    mono = read_mono(recordings_in(folder)[0])
    assert len(mono) == 22_050
    peak_hz = int(np.argmax(np.abs(np.fft.rfft(mono)))) * SAMPLE_RATE / len(mono)
    assert peak_hz == pytest.approx(0.05 / (2 * np.pi) * 22_050, abs=2.0)
    faster = at_speed(mono, 2.0)
    assert len(faster) == pytest.approx(11_025, abs=1)
    with pytest.raises(InputError, match="contains no recording"):
        recordings_in(tmp_path / "none")
    (folder / "2.wav").write_text("no audio")
    with pytest.raises(InputError, match=r"2\.wav: is not a readable recording"):
        read_mono(folder / "2.wav")


def test_a_soundscape_follows_from_its_seed_and_uses_what_it_is_given() -> None:
    recordings = [np.sin(np.arange(9_000) * 0.3)]
    scapes = [soundscape(np.random.default_rng(s), 2 * SAMPLE_RATE, recordings, []) for s in range(8)]
    assert {scape.shape for scape in scapes} == {(2, 2 * SAMPLE_RATE)}
    assert any(scape.any() for scape in scapes)
    assert all(np.abs(scape).max() <= 0.5 + 1e-6 for scape in scapes)
    beds = soundscape(np.random.default_rng(0), SAMPLE_RATE, [], [GENERATORS["rain"]])
    assert np.abs(beds).max() == pytest.approx(0.5)
    assert not np.array_equal(beds[0], beds[1])


def test_soundscapes_go_on_where_they_were_stopped(tmp_path: Path) -> None:
    folder = write_recordings(tmp_path / "sounds")
    values = {"sounds": ["hum", "impact"], "seed": 4, "seconds": 1.0}
    assert write_soundscapes([folder], tmp_path / "whole", n_scapes=3, **values) == 3  # type: ignore[arg-type]
    write_soundscapes([folder], tmp_path / "parts", n_scapes=1, **values)  # type: ignore[arg-type]
    write_soundscapes([folder], tmp_path / "parts", n_scapes=3, **values)  # type: ignore[arg-type]
    whole, parts = (read_collection(tmp_path / name).songs for name in ("whole", "parts"))
    for first, second in zip(whole, parts, strict=True):
        assert np.array_equal(first.window("effect", 0, SAMPLE_RATE), second.window("effect", 0, SAMPLE_RATE))
    with pytest.raises(InputError, match="no sound thunderclap"):
        write_soundscapes([], tmp_path / "none", n_scapes=1, **(values | {"sounds": ["thunderclap"]}))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="neither"):
        write_soundscapes([], tmp_path / "none", n_scapes=1, **(values | {"sounds": []}))  # type: ignore[arg-type]


def test_sentences_are_speakable_and_what_is_no_text_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Short. This one is <b>long</b> enough_to speak!\nAnd this,\nover two lines, too. " + "x" * 300)
    assert sentences_of([text]) == ["This one is blongb enoughto speak!", "And this, over two lines, too."]
    text.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"text\.txt: is not readable text"):
        sentences_of([text])


@pytest.mark.usefixtures("engine")
def test_engines_speak_and_their_failures_are_told() -> None:
    spoken = voice_of("flite:slt", ["twenty letters, say."])(np.random.default_rng(0))
    assert len(spoken) == 2 * 100 * 20
    with pytest.raises(MdxError, match=r"flite:broken: .* failed \(no such voice"):
        SynthesisedVoice("flite", "broken", ["words"])(np.random.default_rng(0))
    with pytest.raises(InputError, match="no text"):
        voice_of("flite:slt", [])
    with pytest.raises(InputError, match="'sam' is not a speech engine"):
        voice_of("sam:sam", ["words"])


def test_an_engine_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(speaking.COMMANDS, "flite", ("no-such-program",))
    with pytest.raises(InputError, match="no-such-program is not installed"):
        voice_of("flite:slt", ["words"])


def test_a_dialogue_has_speech_at_one_level_and_pauses(tmp_path: Path) -> None:
    voices = [voice_of(str(write_recordings(tmp_path / name)), []) for name in ("one", "two")]
    spoken = dialogue(np.random.default_rng(1), 20 * SAMPLE_RATE, voices)
    loud = np.sqrt(np.mean(spoken.reshape(-1, 441) ** 2, axis=1))
    assert 0.1 < np.mean(loud == 0.0) < 0.95
    assert np.median(loud[loud > 0.01]) == pytest.approx(speaking.SPEAKER_RMS, rel=0.5)
    assert write_dialogues(voices, tmp_path / "made", seed=1, n_dialogues=2, seconds=2.0) >= 1
    song = read_collection(tmp_path / "made").songs[0]
    window = song.window("dialog", 0, song.n_samples)
    assert np.array_equal(window[0], window[1])
    with pytest.raises(InputError, match="there is no voice"):
        write_dialogues([], tmp_path / "none", seed=1, n_dialogues=1, seconds=1.0)


def test_music_is_the_sum_of_its_stems_and_never_clips(tmp_path: Path) -> None:
    songs = write_spooled_songs(tmp_path / "songs", range(1))
    assert mix_down([songs], tmp_path / "music", max_seconds=2.0) == 1
    mixed = read_collection(tmp_path / "music").songs[0].window("music", 0, 2 * SAMPLE_RATE)
    summed = read_collection(songs).songs[0].stacked(0, 2 * SAMPLE_RATE).sum(axis=0)
    scale = min(1.0, 0.99 / np.abs(summed).max())
    assert np.abs(mixed - scale * summed).max() < 2.0 / 32_768
    loud = np.full((SAMPLE_RATE, 2), 30_000, dtype=np.int16)
    for source in ("bass", "drums"):
        write_stem(tmp_path / "loud" / "song", source, loud)
    mix_down([tmp_path / "loud"], tmp_path / "quieter", max_seconds=9.0)
    peak = np.abs(read_collection(tmp_path / "quieter").songs[0].window("music", 0, SAMPLE_RATE)).max()
    assert peak == pytest.approx(0.99, abs=1e-3)


def test_scenes_add_up_and_have_a_films_levels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for source in CINEMA_SOURCES:
        noise = (rng.standard_normal((3 * SAMPLE_RATE, 2)) * 1_000).astype(np.int16)
        write_stem(tmp_path / "corpus" / f"only-{source}", source, noise)
    assert write_scenes([tmp_path / "corpus"], tmp_path / "scenes", seed=1, n_scenes=2, seconds=2.0) == 2
    for folder in (tmp_path / "scenes").iterdir():
        read = {path.stem: soundfile.read(path)[0] for path in folder.iterdir()}
        assert set(read) == {"mixture", *CINEMA_SOURCES}
        assert np.abs(read["mixture"] - sum(read[source] for source in CINEMA_SOURCES)).max() < 1e-6
        for source, (low, high) in LOUDNESS_LUFS.items():
            assert low - 0.1 < pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(read[source]) < high + 0.1
    with pytest.raises(InputError, match="no song of 5 s has dialog, effect, music"):
        write_scenes([tmp_path / "corpus"], tmp_path / "long", seed=1, n_scenes=1, seconds=5.0)


@pytest.mark.usefixtures("engine")
def test_the_stages_make_a_corpus_and_scenes_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, corpus = tmp_path / "text.txt", str(tmp_path / "corpus")
    text.write_text("There is nobody in the house at all, I have been told so.")
    songs = write_spooled_songs(tmp_path / "songs", range(1))
    assert (
        main(["speak", "flite:slt", "--text", str(text), "--corpus", corpus, "--dialogues", "2", "--seconds", "6"]) == 0
    )
    made = ["effects", "--corpus", corpus, "--sounds", "rain", "hum", "--without", "hum", "--soundscapes", "2"]
    assert main([*made, "--seconds", "4"]) == 0
    assert main(["mixdown", str(songs), "--corpus", corpus]) == 0
    collections = [f"{corpus}/{name}" for name in ("dialogues", "soundscapes", "music")]
    assert main(["scenes", *collections, "--out", str(tmp_path / "out"), "--scenes", "1", "--seconds", "3"]) == 0
    assert capsys.readouterr().out.split("\n")[:4] == ["2 dialogues", "2 soundscapes", "1 songs", "1 scenes"]
    assert main(["speak", "sam:sam", "--corpus", corpus]) == 1
