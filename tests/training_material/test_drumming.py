"""Drums played with one-shots: strokes at their times, kits of what there is, songs that are repeatable."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from my_submission.errors import InputError
from training.data.songs import read_collection
from training_material.drumming import DRUM_OF_NOTE, MIN_NOTES, drum_folder, play, playable_notes, tuned
from training_material.midi import DrumNote, drum_notes

RATE = 44_100


def beat(n_bars: int = 10) -> mido.MidiFile:
    """Kick and snare in turn every half second, a hat with each, a piano that must not be played."""
    midi = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    midi.tracks.append(track)
    for index in range(4 * n_bars):
        track.append(mido.Message("note_on", channel=0, note=60, velocity=90))
        track.append(mido.Message("note_on", channel=9, note=36 if index % 2 == 0 else 38, velocity=127))
        track.append(mido.Message("note_on", channel=9, note=42, velocity=64))
        track.append(mido.Message("note_on", channel=9, note=81, velocity=64))
        track.append(mido.Message("note_off", channel=9, note=42, time=480))
    return midi


@pytest.fixture
def one_shots(tmp_path: Path) -> Path:
    folder = tmp_path / "shots"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, n_channels in (("bd_a", 1), ("bd_b", 2), ("sn_a", 1), ("hat_a", 1)):
        decay = np.exp(-np.arange(4_000) / 500.0)[:, None]
        soundfile.write(folder / f"{name}.flac", 0.5 * decay * rng.uniform(-1, 1, (4_000, n_channels)), RATE)
    return folder


def test_drum_notes_are_those_of_the_drum_channel() -> None:
    """Their times follow the tempo and end at the limit; notes without a drum are left out."""
    notes = playable_notes(drum_notes(beat(), tempo=2.0, max_seconds=1.0))
    assert [(round(note.seconds, 3), DRUM_OF_NOTE[note.note]) for note in notes] == [
        (0.25 * step, drum) for step in range(4) for drum in ("kick" if step % 2 == 0 else "snare", "closed")
    ]
    assert {note.velocity for note in notes} == {127, 64}


def test_a_note_sounds_at_its_time() -> None:
    """Within four deviations of the jitter; soft notes are softer, drums that the kit lacks are silent."""
    click = {"kick": np.ones((2, 1))}
    notes = [DrumNote(0.5, 36, 127), DrumNote(1.0, 36, 64), DrumNote(1.2, 51, 127), DrumNote(2.5, 36, 127)]
    out = play(notes, click, np.random.default_rng(0), seconds=2.0)
    places = np.flatnonzero(out[0])
    np.testing.assert_allclose(places / RATE, [0.5, 1.0], atol=0.012)
    assert out[0, places[1]] / out[0, places[0]] == pytest.approx(0.5**1.5, rel=0.6)


@pytest.mark.parametrize("semitones", [-3.0, 2.0])
def test_tuning_moves_pitch_and_length(semitones: float) -> None:
    tone = np.sin(2 * np.pi * 1_000 * np.arange(RATE) / RATE)
    moved = tuned(tone, semitones)
    ratio = 2 ** (semitones / 12)
    assert len(moved) == pytest.approx(RATE / ratio, abs=2)
    loudest = np.argmax(np.abs(np.fft.rfft(moved))) * RATE / len(moved)
    assert loudest == pytest.approx(1_000 * ratio, abs=2)


def test_songs_of_drums_and_loops_are_written_and_kept(tmp_path: Path, one_shots: Path) -> None:
    """The same seed gives the same songs; too few strokes make none; what is there is not written again."""
    midi = tmp_path / "midi"
    midi.mkdir()
    beat().save(midi / "long.mid")
    beat(n_bars=1).save(midi / "short.mid")
    assert len(playable_notes(drum_notes(beat(n_bars=1), max_seconds=9.0))) < MIN_NOTES

    def made(folder: Path) -> int:
        return drum_folder(one_shots, midi, [one_shots / "bd_b.flac"], folder, seed=3, max_seconds=9.0)

    assert made(tmp_path / "a") == made(tmp_path / "b") == 2
    first, second = (read_collection(tmp_path / name).songs for name in "ab")
    assert [song.name for song in first] == ["drums-long", "loop-bd_b"]
    for one, other in zip(first, second, strict=True):
        assert set(one.stems) == {"drums"}
        drums = one.window("drums", 0, one.n_samples)
        np.testing.assert_array_equal(drums, other.window("drums", 0, one.n_samples))
        assert float(np.abs(drums).max()) == pytest.approx(0.7, abs=0.01)
    assert abs(first[1].n_samples - 9 * RATE) <= 1
    stamp = (tmp_path / "a/loop-bd_b/drums.npy").stat().st_mtime_ns
    assert made(tmp_path / "a") == 2
    assert (tmp_path / "a/loop-bd_b/drums.npy").stat().st_mtime_ns == stamp


def test_missing_things_are_named(tmp_path: Path, one_shots: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.mid"):
        drum_folder(one_shots, tmp_path / "empty", [], tmp_path / "out", seed=0, max_seconds=5.0)
    beat().save(tmp_path / "empty" / "one.mid")
    with pytest.raises(InputError, match="kick"):
        drum_folder(tmp_path / "empty", tmp_path / "empty", [], tmp_path / "out", seed=0, max_seconds=5.0)
    (one_shots / "bad.flac").write_bytes(b"no audio")
    with pytest.raises(InputError, match="not a readable recording"):
        drum_folder(one_shots, tmp_path / "empty", [one_shots / "bad.flac"], tmp_path / "out", seed=0, max_seconds=5.0)
