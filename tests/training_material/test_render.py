"""Rendered corpus: notes go to the right stems, renderings are planned and repeatable, melodies are sung in tune."""

from __future__ import annotations

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from my_submission.errors import InputError, MdxError
from training.data.songs import read_collection
from training_material import render, singing
from training_material.render import (
    TAIL_SECONDS,
    TEMPO_RANGE,
    Rendering,
    plan_renderings,
    read_midi,
    render_folder,
    source_of,
    split,
)
from training_material.singing import FRAME_SECONDS, SungNote, analyse, melody, sing, sing_folder

SAMPLE_RATE = 44_100
PIANO, BASS_GUITAR, CHOIR = 0, 33, 52


def song(
    *, n_notes: int = 4, programs: tuple[tuple[int, int], ...] = ((0, PIANO), (1, BASS_GUITAR), (2, CHOIR))
) -> mido.MidiFile:
    """Notes on several channels and on the drums, half a second each, changing tempo once."""
    midi = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    midi.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=500_000))
    track.append(mido.MetaMessage("track_name", name="all"))
    for channel, program in programs:
        track.append(mido.Message("program_change", channel=channel, program=program))
    for index in range(n_notes):
        for channel in (*(c for c, _ in programs), 9):
            track.append(mido.Message("note_on", channel=channel, note=60 + index % 8, velocity=90, time=0))
        for place, channel in enumerate((*(c for c, _ in programs), 9)):
            track.append(mido.Message("note_off", channel=channel, note=60 + index % 8, time=0 if place else 480))
    return midi


def notes_of(midi: mido.MidiFile) -> list[tuple[float, int, int]]:
    """Time, channel and pitch of every note."""
    now, found = 0.0, []
    for message in midi:
        now += message.time
        if message.type == "note_on" and message.velocity:
            found.append((round(now, 4), message.channel, message.note))
    return found


@pytest.mark.parametrize(
    ("channel", "program", "source"),
    [
        (9, 0, "drums"),
        (9, 33, "drums"),
        (0, 32, "bass"),
        (0, 39, "bass"),
        (0, 43, "bass"),
        (0, 40, "other"),
        (3, 52, None),
    ],
)
def test_channels_and_programs_make_sources(channel: int, program: int, source: str | None) -> None:
    assert source_of(channel, program) == source


def test_every_note_goes_to_one_stem_at_its_time() -> None:
    """Voices are left out; drums are not transposed; all stems keep the song's time."""
    parts = {source: notes_of(split(song(), source, semitones=3, tempo=2.0)) for source in ("drums", "bass", "other")}
    times = [0.0, 0.25, 0.5, 0.75]
    assert parts["drums"] == [(t, 9, 60 + i) for i, t in enumerate(times)]
    assert parts["bass"] == [(t, 1, 63 + i) for i, t in enumerate(times)]
    assert parts["other"] == [(t, 0, 63 + i) for i, t in enumerate(times)]


def test_notes_pushed_out_of_range_stay_in_it() -> None:
    assert all(0 <= pitch <= 127 for _, _, pitch in notes_of(split(song(), "other", semitones=120, tempo=1.0)))


def test_renderings_are_planned_by_song_and_font(tmp_path: Path) -> None:
    for name in ("b.mid", "a.MID", "notes.txt"):
        (tmp_path / name).touch()
    fonts = [tmp_path / "one.sf2", tmp_path / "two.sf3"]
    for font in fonts:
        font.touch()
    jobs = plan_renderings(tmp_path, fonts, tmp_path / "out", seed=3, max_seconds=9.0)
    assert [job.folder.name for job in jobs] == ["a-one", "b-one", "a-two", "b-two"]
    with pytest.raises(InputError, match=r"missing\.sf2"):
        plan_renderings(tmp_path, [tmp_path / "missing.sf2"], tmp_path, seed=0, max_seconds=1.0)
    with pytest.raises(InputError, match=r"contains no \.mid"):
        plan_renderings(tmp_path / "out", fonts, tmp_path, seed=0, max_seconds=1.0)


def test_damage_and_a_missing_program_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cut.mid").write_bytes(b"MThd\x00\x00\x00\x06\x00\x01")
    with pytest.raises(InputError, match=r"cut\.mid: is not a readable MIDI file"):
        read_midi(tmp_path / "cut.mid")
    (tmp_path / "font.sf2").touch()
    monkeypatch.setattr(render, "FLUIDSYNTH", "no-such-program")
    with pytest.raises(InputError, match="no-such-program is not installed"):
        render_folder(tmp_path, [tmp_path / "font.sf2"], tmp_path / "c", seed=0, max_seconds=1.0, n_processes=1)
    monkeypatch.setattr(singing, "FLITE", "no-such-program")
    with pytest.raises(InputError, match="no-such-program"):
        singing.spoken_singer("slt")


@pytest.fixture
def synthesiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for fluidsynth: one second of a tone as high as the part's number of notes, no end, or a failure."""
    script = tmp_path / "bin" / "fake-synth"
    script.parent.mkdir()
    script.write_text(
        "#!/usr/bin/env python3\nimport sys, os, struct, math\n"
        "font = open(sys.argv[-2]).read()\n"
        "if font == 'broken': sys.exit('no sound font')\n"
        "notes = open(sys.argv[-1], 'rb').read().count(b'<') + 1\n"
        "out = open(sys.argv[sys.argv.index('-F') + 1], 'wb')\n"
        "tone = (int(9000 * math.sin(notes * n / 50)) for n in range(44100))\n"
        "second = b''.join(struct.pack('<hh', value, value) for value in tone)\n"
        "out.write(second)\n"
        "if font == 'endless': print(os.getpid(), file=open(sys.argv[0] + '.pids', 'a'))\n"
        "while font == 'endless': out.write(second)\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(render, "FLUIDSYNTH", str(script))
    return tmp_path


def test_a_folder_is_rendered_once_and_a_failure_does_not_stop_the_rest(synthesiser: Path) -> None:
    midi, fonts = synthesiser / "midi", [synthesiser / "good.sf2", synthesiser / "bad.sf2"]
    midi.mkdir()
    song().save(midi / "tune.mid")
    fonts[0].write_text("fine")
    fonts[1].write_text("broken")
    options = {"seed": 1, "max_seconds": 0.75, "n_processes": 2}
    with pytest.raises(InputError, match=r"1 of 2 songs failed: .*no sound font"):
        render_folder(midi, fonts, synthesiser / "out", **options)  # type: ignore[arg-type]
    (rendered,) = read_collection(synthesiser / "out").songs
    assert (rendered.name, set(rendered.stems)) == ("tune-good", {"bass", "drums", "other"})
    assert rendered.n_samples == int(0.75 * SAMPLE_RATE)
    before = rendered.stems["bass"].path.stat().st_mtime_ns
    assert render_folder(midi, fonts[:1], synthesiser / "out", **options) == 1  # type: ignore[arg-type]
    assert rendered.stems["bass"].path.stat().st_mtime_ns == before
    assert [path.name for path in (synthesiser / "out").iterdir()] == ["tune-good"]


def test_a_part_that_never_ends_is_cut_after_its_tail(synthesiser: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The synthesiser is stopped, the file named, other renderings go on; a song at its greatest length is no news."""
    midi, fonts = synthesiser / "midi", [synthesiser / "hung.sf2", synthesiser / "good.sf2"]
    midi.mkdir()
    song().save(midi / "tune.mid")
    fonts[0].write_text("endless")
    fonts[1].write_text("fine")
    assert render_folder(midi, fonts, synthesiser / "long", seed=1, max_seconds=60.0, n_processes=1) == 2
    good, hung = read_collection(synthesiser / "long").songs
    slowest, fastest = (4 * 0.5 / tempo + TAIL_SECONDS for tempo in TEMPO_RANGE)
    assert good.n_samples == SAMPLE_RATE
    assert fastest <= hung.n_samples / SAMPLE_RATE <= slowest
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 3
    assert all(f"{midi / 'tune.mid'}: some notes never end with hung.sf2" in warning for warning in warnings)
    for pid in (synthesiser / "bin" / "fake-synth.pids").read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
    caplog.clear()
    render_folder(midi, fonts[:1], synthesiser / "short", seed=1, max_seconds=2.0, n_processes=1)
    assert read_collection(synthesiser / "short").songs[0].n_samples == 2 * SAMPLE_RATE
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_song_without_notes_is_refused(synthesiser: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silence = np.zeros((SAMPLE_RATE, 2), np.int16)
    monkeypatch.setattr(render, "synthesised", lambda *_, **__: silence)
    song(n_notes=0).save(synthesiser / "empty.mid")
    job = Rendering(
        midi=synthesiser / "empty.mid", sound_font=synthesiser, folder=synthesiser / "c" / "x", seed=0, max_seconds=1.0
    )
    with pytest.raises(MdxError, match="no audible note"):
        render.render(job)
    assert list((synthesiser / "c").iterdir()) == []


@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="the program fluidsynth is not installed")
def test_fluidsynth_renders(tmp_path: Path) -> None:
    fonts = sorted(Path("/usr/share/sounds").rglob("*.sf2"), key=lambda path: path.stat().st_size)
    if not fonts:
        pytest.skip("no sound font is installed")
    (tmp_path / "midi").mkdir()
    song(n_notes=2).save(tmp_path / "midi" / "tune.mid")
    folders = []
    for name in ("first", "second"):
        render_folder(tmp_path / "midi", fonts[:1], tmp_path / name, seed=1, max_seconds=1.0, n_processes=1)
        folders.append(read_collection(tmp_path / name).songs[0])
    assert {"drums", "bass", "other"} >= set(folders[0].stems) >= {"other"}
    assert np.array_equal(folders[0].stacked(), folders[1].stacked())


def test_a_melody_is_one_line_of_the_highest_notes() -> None:
    midi = song(n_notes=60, programs=((0, PIANO),))
    line = melody(midi, np.random.default_rng(0))
    assert len(line) == 60
    assert line[0].start == 0.0
    assert all(abs(later.start - earlier.start - 0.5) < 1e-6 for earlier, later in pairwise(line))
    assert melody(song(n_notes=60, programs=((0, CHOIR),)), np.random.default_rng(0)) == []
    assert melody(song(n_notes=4), np.random.default_rng(0)) == []


def test_a_note_is_sung_at_its_pitch() -> None:
    """A hum taken apart and sung: the strongest harmonic series is that of the note."""
    time = np.arange(int(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 220.0 * k * time) / k for k in range(1, 9))
    syllable = analyse(np.asarray(hum) + 1e-4 * np.random.default_rng(0).normal(size=len(time)))
    assert syllable.is_voiced.mean() > 0.7
    voice = sing([SungNote(0.0, 1.0, 60)], [syllable], np.random.default_rng(3), max_seconds=1.5)
    assert len(voice) == pytest.approx(1.5 * SAMPLE_RATE, abs=2 * FRAME_SECONDS * SAMPLE_RATE)
    held = voice[int(0.3 * SAMPLE_RATE) : int(0.7 * SAMPLE_RATE)]
    correlation = np.correlate(held[:8_000], held[:8_000], "full")[7_999:]
    shortest, longest = SAMPLE_RATE // 900, SAMPLE_RATE // 80
    period = shortest + int(np.argmax(correlation[shortest:longest]))
    semitones = 69 + 12 * np.log2(SAMPLE_RATE / period / 440.0)
    assert abs((semitones - 60 + 6) % 12 - 6) < 1.0
    assert (
        not voice[int(1.2 * SAMPLE_RATE) :].any()
        or np.abs(voice[int(1.2 * SAMPLE_RATE) :]).max() < 0.05 * np.abs(voice).max()
    )


def test_singing_is_repeatable_resumed_and_needs_a_singer(tmp_path: Path) -> None:
    time = np.arange(int(0.3 * SAMPLE_RATE)) / SAMPLE_RATE
    singer = [analyse(np.sin(2 * np.pi * 220.0 * time) + 1e-4 * np.random.default_rng(0).normal(size=len(time)))]
    (tmp_path / "midi").mkdir()
    song(n_notes=60, programs=((0, PIANO),)).save(tmp_path / "midi" / "tune.mid")
    for name in ("one", "two"):
        assert sing_folder([singer], tmp_path / "midi", tmp_path / name, seed=1, n_songs=1, max_seconds=3.0) == 1
    first, second = (np.load(tmp_path / name / "sung-000" / "vocals.npy") for name in ("one", "two"))
    assert np.array_equal(first, second)
    assert sing_folder([singer], tmp_path / "midi", tmp_path / "one", seed=1, n_songs=1, max_seconds=3.0) == 1
    with pytest.raises(InputError, match="no singer"):
        sing_folder([], tmp_path / "midi", tmp_path / "one", seed=1, n_songs=1, max_seconds=3.0)
    with pytest.raises(InputError, match=r"contains no \.mid"):
        sing_folder([singer], tmp_path / "one", tmp_path / "two", seed=1, n_songs=1, max_seconds=3.0)
    with pytest.raises(InputError, match=r"contains no recording"):
        singing.recorded_singer(tmp_path)


def test_phrases_are_divided_into_their_syllables(tmp_path: Path) -> None:
    time = np.arange(int(1.5 * SAMPLE_RATE)) / SAMPLE_RATE
    tone = 0.3 * np.sin(2 * np.pi * 220.0 * time) + 1e-4 * np.random.default_rng(0).normal(size=len(time))
    soundfile.write(tmp_path / "phrases.wav", np.stack([tone, tone], axis=1), SAMPLE_RATE)
    third = SAMPLE_RATE // 2
    entries: list[dict[str, object]] = [
        {"file": "phrases.wav", "name": "きゃきき", "start": 0, "stop": third, "seconds": 0.5},
        {"file": "phrases.wav", "name": "あ", "start": third, "stop": 3 * third, "seconds": 1.0},
    ]
    (tmp_path / "index.json").write_text(json.dumps(entries), encoding="utf-8")
    syllables = singing.phrase_singer(tmp_path)
    assert len(syllables) == 3 + 1
    frames = [len(syllable.envelope) for syllable in syllables]
    assert max(frames[:3]) - min(frames[:3]) <= 1
    assert sum(frames[:3]) == pytest.approx(0.5 / FRAME_SECONDS, abs=4)
    assert frames[3] == pytest.approx(1.0 / FRAME_SECONDS, abs=4)
    assert all(len(s.envelope) == len(s.aperiodicity) == len(s.is_voiced) for s in syllables)
    assert np.mean([s.is_voiced.mean() for s in syllables]) > 0.8

    (tmp_path / "index.json").write_text(json.dumps([{**entries[1], "stop": 4 * third}]), encoding="utf-8")
    with pytest.raises(InputError, match=r"index\.json: the phrase あ lies outside phrases\.wav"):
        singing.phrase_singer(tmp_path)
    (tmp_path / "index.json").write_text('{"file": 1}')
    with pytest.raises(InputError, match=r"index\.json: is no list of phrases"):
        singing.phrase_singer(tmp_path)
    with pytest.raises(InputError, match=r"index\.json: is no list of phrases"):
        singing.phrase_singer(tmp_path / "nothing")
