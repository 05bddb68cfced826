"""Bands: strokes on recorded hits, notes on recorded strings, amplifiers, and songs mixed of them."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from my_submission.errors import InputError
from tests.training_material.test_drumming import beat
from training.data.songs import read_collection
from training_material.band import kit, songs, strings
from training_material.band.amplifier import amplified, compression_gain
from training_material.band.kit import play, read_kit, read_performances, repeated
from training_material.band.mixing import mixed, panned
from training_material.band.strings import (
    StringNote,
    in_range,
    instruments_named,
    monophonic,
    notes_of,
    read_instruments,
)
from training_material.midi import DrumNote

RATE = 44_100


def write(path: Path, wave: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, RATE, subtype="FLOAT")


def constant(level: float, seconds: float) -> np.ndarray:
    return np.full((int(seconds * RATE), 2), level)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A kit whose hits are constants that tell layer and round robin, one bass string and one guitar string."""
    root = tmp_path / "samples"
    hits = ["file,articulation,drum_class,low_velocity,high_velocity"]
    for name, drum_class, layers in (
        ("Kick", "kick", 2),
        ("HihatOpen", "hat", 1),
        ("HihatClosed", "hat", 1),
        ("Snare", "snare", 1),
    ):
        for layer in range(layers):
            low, high = (1 + 64 * layer, 64 + 63 * layer) if layers == 2 else (1, 127)
            for turn in range(2):
                hits.append(f"{name}_{layer}{turn}.wav,{name},{drum_class},{low},{high}")
                seconds = 1.0 if name == "HihatOpen" else 0.05
                write(
                    root / "muldjord-kit" / "close" / f"{name}_{layer}{turn}.wav", constant(0.1 + 0.4 * layer, seconds)
                )
                write(root / "muldjord-kit" / "room" / f"{name}_{layer}{turn}.wav", constant(0.01, seconds))
    (root / "muldjord-kit" / "hits.csv").write_text("\n".join(hits))
    groove = root / "groove-midi"
    groove.mkdir()
    played = "note,kit_articulation,alternatives\n36,Kick,\n46,HihatOpen,\n42,HihatClosed,\n38,Snare,\n"
    (groove / "notes.csv").write_text(played)
    beat(4).save(groove / "one.mid")
    (groove / "performances.csv").write_text(
        "file,bpm,kind,seconds,split,evaluation_session\n"
        "one.mid,120,beat,8,train,0\nnone.mid,120,fill,8,train,0\nlast.mid,120,beat,8,test,1\n"
    )
    time = np.arange(RATE) / RATE
    for folder, name, pitch in (("basses", "low", 40), ("guitars", "high", 64)):
        tone = 0.3 * np.sin(2 * np.pi * 440.0 * 2 ** ((pitch - 69) / 12) * time)
        write(root / folder / "a.wav", tone)
        heading = "file,instrument,articulation,pitch,low_velocity,high_velocity"
        (root / folder / "notes.csv").write_text(f"{heading}\na.wav,{name},sustain,{pitch},1,127\n")
    return root


def the_kit(samples: Path) -> kit.Kit:
    return read_kit(samples / "muldjord-kit", samples / "groove-midi" / "notes.csv")


def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class of drum at the level it was recorded at."""
    monkeypatch.setattr(kit, "CLASS_DB", dict.fromkeys(kit.CLASS_DB, 0.0))
    monkeypatch.setattr(kit, "CLASS_DEVIATION_DB", 0.0)


def test_a_stroke_takes_a_hit_of_its_layer_and_the_room(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steady(monkeypatch)
    line = [DrumNote(0.5, 36, 20), DrumNote(1.0, 36, 120), DrumNote(1.5, 81, 99)]
    out = play(the_kit(samples), line, np.random.default_rng(0), seconds=2.0, room=0.5)
    assert out[0, RATE // 2] == pytest.approx(0.1 + 0.005, abs=1e-6)
    assert out[0, RATE] == pytest.approx(0.5 + 0.005, abs=1e-6)
    assert np.flatnonzero(out[0])[0] == RATE // 2
    assert not out[:, int(1.1 * RATE) :].any()


def test_a_closed_hihat_ends_the_open_one(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steady(monkeypatch)
    line = [DrumNote(0.0, 46, 100), DrumNote(0.4, 42, 100)]
    out = play(the_kit(samples), line, np.random.default_rng(0), seconds=2.0, room=0.0)
    assert out[0, int(0.39 * RATE)] == pytest.approx(0.1, abs=1e-6)
    assert not out[:, int(0.46 * RATE) :].any()
    unchoked = play(the_kit(samples), line[:1], np.random.default_rng(0), seconds=2.0, room=0.0)
    assert unchoked[0, int(0.9 * RATE)] == pytest.approx(0.1, abs=1e-6)


def test_the_same_hit_does_not_come_twice(samples: Path) -> None:
    the = the_kit(samples)
    rng = np.random.default_rng(0)
    last = None
    for _ in range(10):
        hit = kit._draw_hit(the.hits["Snare"], 64, last, rng)
        assert hit.file != last
        last = hit.file


def test_performances_are_those_of_the_split(samples: Path) -> None:
    folder = samples / "groove-midi"
    training = read_performances(folder, is_evaluation=False, shortest_seconds=5.0)
    assert [found.path.name for found in training] == ["one.mid"]
    evaluation = read_performances(folder, is_evaluation=True, shortest_seconds=5.0)
    assert [found.path.name for found in evaluation] == ["last.mid"]
    with pytest.raises(InputError, match=r"performances\.csv"):
        read_performances(folder, is_evaluation=False, shortest_seconds=9.0)


def test_a_note_that_plays_what_the_kit_lacks_is_told(samples: Path) -> None:
    (samples / "groove-midi" / "notes.csv").write_text("note,kit_articulation,alternatives\n49,Crash,\n")
    with pytest.raises(InputError, match="note 49 plays Crash"):
        the_kit(samples)


def test_a_performance_is_repeated_until_the_end() -> None:
    line = repeated([DrumNote(0.1, 36, 9)], 2.0, 5.0)
    assert [stroke.seconds for stroke in line] == pytest.approx([0.1, 2.1, 4.1])


def melody() -> mido.MidiFile:
    """Two beats each of E2, held, and E3 with G3, at 120 beats a minute on a bass and a piano."""
    song = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    song.tracks.append(track)
    track.append(mido.Message("program_change", channel=0, program=33))
    track.append(mido.Message("program_change", channel=1, program=0))
    for note in (40, 52):
        track.append(mido.Message("note_on", channel=0, note=note, velocity=100))
        track.append(mido.Message("note_on", channel=1, note=note + 15, velocity=90))
        track.append(mido.Message("note_off", channel=0, note=note, time=960))
        track.append(mido.Message("note_off", channel=1, note=note + 15))
    return song


def test_notes_are_those_of_the_parts_at_the_tempo() -> None:
    notes = notes_of(melody(), {0: frozenset({33})}, tempo=2.0, semitones=1, max_seconds=0.8)
    assert [(n.seconds, n.end, n.pitch) for n in notes] == [(0.0, 0.5, 41), (0.5, pytest.approx(0.8), 53)]


def test_one_voice_plays_one_note() -> None:
    chord = [StringNote(0.0, 2.0, 40, 9), StringNote(0.0, 2.0, 47, 9), StringNote(1.0, 2.0, 42, 9)]
    assert monophonic(chord) == [StringNote(0.0, 1.0, 40, 9), StringNote(1.0, 2.0, 42, 9)]


def test_a_string_sounds_at_its_pitch_and_ends_with_its_note(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strings, "SEMITONES_DEVIATION", 0.0)
    (bass,) = instruments_named(read_instruments(samples / "basses"), ["low"])
    assert [note.pitch for note in in_range([StringNote(0, 1, 16, 9), StringNote(0, 1, 65, 9)], bass)] == [40, 41]
    out = strings.play(bass, [StringNote(0.2, 0.7, 41, 127)], np.random.default_rng(0), seconds=1.0)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out)), 8 * RATE))
    assert np.argmax(spectrum) / 8 == pytest.approx(440.0 * 2 ** ((41 - 69) / 12), abs=0.5)
    assert np.abs(out[: int(0.15 * RATE)]).max() == 0.0
    assert np.abs(out[int(0.82 * RATE) :]).max() == 0.0
    with pytest.raises(InputError, match="Use low"):
        instruments_named(read_instruments(samples / "basses"), ["lower"])


def test_a_driven_amplifier_adds_overtones_and_keeps_the_level() -> None:
    tone = (0.2 * np.sin(2 * np.pi * 220.0 * np.arange(RATE) / RATE)).astype(np.float32)

    def overtones(drive_db: float) -> float:
        out = amplified(tone, drive_db, np.random.default_rng(0))
        assert np.sqrt(np.mean(out**2)) == pytest.approx(np.sqrt(np.mean(tone**2)), rel=0.1)
        power = np.abs(np.fft.rfft(out)) ** 2
        return float(power[400:].sum() / power.sum())

    assert overtones(30.0) > 10.0 * overtones(-20.0)


def test_a_compressor_turns_down_what_is_loud() -> None:
    wave = np.ones((2, RATE), dtype=np.float32) * 0.1
    wave[:, : RATE // 2] = 0.4
    gain = compression_gain(wave, threshold_db=-12.0, ratio=2.0)
    loud, soft = gain[RATE // 4], gain[3 * RATE // 4]
    assert 20 * np.log10(loud / soft) == pytest.approx(-6.0, abs=0.8)


def test_a_mix_stays_below_full_scale_and_places_keep_the_power() -> None:
    rng = np.random.default_rng(0)
    stems = {name: rng.normal(size=(2, 2 * RATE)).astype(np.float32) for name in ("bass", "drums", "other")}
    balanced = mixed(stems, rng)
    assert np.abs(sum(balanced.values())).max() <= 0.951
    assert list(balanced) == ["drums", "bass", "other"]
    left = panned(np.ones(4, dtype=np.float32), -1.0)
    np.testing.assert_allclose(left, [[np.sqrt(2)] * 4, [0.0] * 4], atol=1e-6)


def test_a_song_has_its_stems_and_comes_out_the_same(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sound font's program is replaced; a guitar takes the guitar's part, the rest of the song what remains."""
    song = melody()
    song.tracks[0].append(mido.Message("program_change", channel=2, program=30))
    song.tracks[0].append(mido.Message("note_on", channel=2, note=64, velocity=100))
    song.tracks[0].append(mido.Message("note_off", channel=2, note=64, time=960))
    (tmp_path / "midi").mkdir()
    song.save(tmp_path / "midi" / "a.mid")
    heard: list[set[int]] = []

    def soft(part: mido.MidiFile, *_: object, **options: object) -> np.ndarray:
        heard.append({message.channel for message in part.tracks[0] if message.type == "note_on"})
        return np.full((RATE, 2), 1000, dtype=np.int16)

    monkeypatch.setattr(songs, "synthesised", soft)
    band = songs.BandInstruments(
        kit=the_kit(samples),
        performances=read_performances(samples / "groove-midi", is_evaluation=False, shortest_seconds=5.0),
        basses=instruments_named(read_instruments(samples / "basses"), ["low"]),
        guitars=instruments_named(read_instruments(samples / "guitars"), ["high"]),
        sound_fonts=[tmp_path / "font.sf2"],
    )
    for name in ("first", "second"):
        collection = tmp_path / name
        assert songs.play_songs(band, tmp_path / "midi", collection, seed=1, songs=range(1), max_seconds=3.0) == 1
    assert heard == [{1}, {1}]
    first, second = (read_collection(tmp_path / name).songs[0] for name in ("first", "second"))
    assert set(first.stems) == {"drums", "bass", "other"}
    np.testing.assert_array_equal(first.stacked(), second.stacked())
    assert songs.play_songs(band, tmp_path / "midi", tmp_path / "first", seed=1, songs=range(1), max_seconds=3.0) == 1
    assert len(heard) == 2
    with pytest.raises(InputError, match=r"no \.mid"):
        songs.play_songs(band, samples, tmp_path / "third", seed=1, songs=range(1), max_seconds=3.0)
