"""Electronic songs: basses in tune and low, oscillators without aliases, songs that are repeatable and resumed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mido
import numpy as np
import pytest

from my_submission.errors import InputError
from training.cli.main import main
from training.data.songs import read_collection
from training_material.band.strings import StringNote
from training_material.midi import DrumNote
from training_material.synthesiser import basses, electronic_kit, layers, lines
from training_material.synthesiser.lines import Grid, at_times, bass_line, folded, held, repeated, syncopated
from training_material.synthesiser.oscillators import LowPass, cutoff_positions, cycle_tables, looked_up
from training_material.synthesiser.patches import Tone, hertz_of, voice
from training_material.synthesiser.signal_chain import driven, ducking, split_bands, widened, with_echoes
from training_material.synthesiser.songs import synthesise_songs

RATE = 44_100
SETTLED = slice(int(0.5 * RATE), int(1.5 * RATE))


def spectrum(wave: np.ndarray) -> np.ndarray:
    """Magnitudes at whole hertz of one second."""
    return np.abs(np.fft.rfft(wave * np.hanning(len(wave))))


def comb_cents(wave: np.ndarray, hertz: float) -> float:
    """Cents from ``hertz`` to the fundamental whose eight partials have most energy, in ±60 cents."""
    size = 16 * len(wave)
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size)) ** 2
    cents = np.arange(-60, 61)
    fundamentals = hertz * 2.0 ** (cents / 1200.0)
    places = np.rint(fundamentals[:, None] * np.arange(1, 9) * size / RATE).astype(int)
    return float(cents[np.argmax(power[places].sum(axis=1))])


@pytest.mark.parametrize("kind", list(basses.KINDS))
@pytest.mark.parametrize("seed", [0, 1])
def test_every_bass_is_in_tune_and_low(kind: str, seed: int) -> None:
    """Within the patch's own detuning and 4 cents; more than half of the stem's energy is below 250 Hz."""
    rng = np.random.default_rng(seed)
    patch = basses.KINDS[kind](rng)
    pitch = (26, 38)[seed]
    tone = Tone(hertz=hertz_of(pitch), seconds=1.6)
    found = voice(replace(patch, wobble_octaves=0.0), tone, rng)[SETTLED]  # a wobble adds side lines
    assert abs(comb_cents(found, hertz_of(pitch))) <= max(patch.detunes_cents) + 4.0
    notes = [StringNote(0.0, 1.4, pitch, 100)]
    stem = basses.bass_stem(patch, notes, [0.5], np.random.default_rng(seed), n_samples=2 * RATE)
    power = np.abs(np.fft.rfft(stem)) ** 2
    assert np.isfinite(stem).all()
    assert power[:, : 250 * 2].sum() > 0.5 * power.sum()
    assert power[:, : 15 * 2].sum() < 0.05 * power.sum()


@pytest.mark.parametrize("hertz", [55.0, 1864.0])
@pytest.mark.parametrize("wave", ["saw", "pulse", "triangle"])
def test_oscillators_have_no_aliases(wave: str, hertz: float) -> None:
    """Energy between the partials is 55 dB below the rest."""
    phase = hertz * np.arange(RATE) / RATE
    power = spectrum(looked_up(cycle_tables(wave, hertz, None, width=0.3), phase, None)) ** 2
    is_partial = np.zeros(len(power), dtype=bool)
    for place in np.arange(hertz, 19_100, hertz).astype(int):
        is_partial[place - 4 : place + 5] = True
    assert power[~is_partial].sum() < 10**-5.5 * power.sum()


def test_the_filter_follows_its_formula() -> None:
    """A partial has the gain of the second-order low-pass at its frequency, within 0.5 dB between two tables."""
    low_pass, hertz, cutoff = LowPass(2.0, 1), 100.0, 613.0
    phase = hertz * np.arange(RATE) / RATE
    positions = cutoff_positions(np.full(RATE, cutoff))
    filtered, plain = (
        spectrum(looked_up(cycle_tables("saw", hertz, kind), phase, place))
        for kind, place in ((low_pass, positions), (None, None))
    )
    for order in (1, 3, 10, 30):
        ratio = order * hertz / cutoff
        expected = 1.0 / np.hypot(1.0 - ratio**2, ratio / 2.0)
        assert 20 * np.log10(filtered[order * 100] / plain[order * 100] / expected) == pytest.approx(0.0, abs=0.5)


def test_lines_are_single_notes_between_30_and_200_hertz() -> None:
    notes = [StringNote(0.5 * index, 0.5 * index + 0.6, 20 + 7 * (index % 9), 90) for index in range(40)]
    for seed in range(24):
        kicks = [] if seed % 2 else list(np.arange(0.0, 20.0, 0.75))
        line = bass_line(notes, Grid(0.5), kicks, np.random.default_rng(seed), seconds=20.0)
        assert len(line) > 2
        assert all(30.0 < hertz_of(note.pitch) < 200.0 for note in line)
        assert all(first.end <= second.seconds + 1e-6 for first, second in pairwise(line))
        assert line[-1].end <= 20.0 + 0.6
    assert [folded(pitch, 30) for pitch in (5, 29, 30, 46, 47, 90)] == [41, 41, 30, 46, 35, 42]


def test_styles_place_notes_on_the_grid() -> None:
    line = [StringNote(0.0, 2.0, 33, 90), StringNote(2.0, 4.0, 36, 90)]
    roots = held(line, Grid(0.5), beats=4.0, seconds=4.0)
    assert [(note.seconds, note.end, note.pitch) for note in roots] == [(0.0, 2.0, 33), (2.0, 4.0, 36)]
    offbeats = repeated(line, Grid(0.5), lines.OFFBEAT, seconds=4.0)
    assert [note.seconds for note in offbeats] == list(np.arange(0.25, 4.0, 0.5))
    assert [note.pitch for note in repeated(line, Grid(0.5), lines.ROLLING, seconds=4.0)] == [33] * 16 + [36] * 16


def test_a_syncopated_line_repeats_its_rhythm_every_bar() -> None:
    """On sixteenths, four to nine notes per bar, each up to the next one and never longer than two beats."""
    line = [StringNote(0.0, 8.0, 33, 80)]
    found = syncopated(line, Grid(0.5), np.random.default_rng(3), seconds=8.0)
    places = [round(note.seconds / 0.125) for note in found]
    assert np.allclose([note.seconds for note in found], np.array(places) * 0.125)
    bars = [[place - 16 * bar for place in places if place // 16 == bar] for bar in range(4)]
    assert bars[0] == bars[1] == bars[2] == bars[3]
    assert 4 <= len(bars[0]) <= 9
    assert all(note.end <= min(after.seconds, note.seconds + 1.0) + 1e-9 for note, after in pairwise(found))


def test_a_line_on_kicks_plays_at_each_kick_up_to_the_next_one() -> None:
    """Two kicks at once are one note; a note lasts two beats at most."""
    line = [StringNote(0.0, 2.0, 33, 90), StringNote(2.0, 4.0, 36, 90)]
    found = at_times(line, [0.0, 0.75, 0.75, 2.0, 3.5], Grid(0.5), seconds=4.0)
    assert [(note.seconds, note.end, note.pitch) for note in found] == [
        (0.0, 0.75, 33),
        (0.75, 1.75, 33),
        (2.0, 3.0, 36),
        (3.5, 4.0, 36),
    ]


def test_effects_do_what_they_say() -> None:
    rng = np.random.default_rng(0)
    mono = rng.standard_normal(RATE).astype(np.float32)
    low, high = split_bands(mono, 250.0)
    np.testing.assert_allclose(low + high, mono, atol=1e-5)
    wide = widened(mono, 0.5, above_hertz=200.0, hertz=0.5)
    np.testing.assert_allclose(wide.mean(axis=0), mono, atol=1e-5)
    clipped = driven(np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE).astype(np.float32), 3.0)
    assert np.abs(clipped).max() == pytest.approx(np.tanh(3.0), abs=0.02)
    assert spectrum(clipped)[300] > 0.1 * spectrum(clipped)[100]
    gain = ducking([0.5], RATE, depth=0.8, seconds=0.2)
    assert gain[: RATE // 2].min() == 1.0
    assert gain.min() == pytest.approx(0.2, abs=0.01)
    assert gain[int(0.71 * RATE) :].min() == 1.0
    click = np.zeros((2, RATE), dtype=np.float32)
    click[0, 0] = 1.0
    echoed = with_echoes(click, seconds=0.25, feedback=0.5, level=0.4)
    assert echoed[1, RATE // 4] == pytest.approx(0.4)
    assert echoed[0, RATE // 2] == pytest.approx(0.2)


@pytest.mark.parametrize("kind", list(layers.KINDS))
def test_layers_play_their_notes(kind: str) -> None:
    """Sound begins with the first note; the level is the target within its deviation of 3.5 dB, four times."""
    rng = np.random.default_rng(2)
    notes = [StringNote(0.5, 1.5, 60, 90), StringNote(0.5, 1.5, 64, 90)]
    wave = layers.layer(layers.KINDS[kind](rng), notes, Grid(0.5), rng, n_samples=2 * RATE)
    assert wave is not None
    assert np.abs(wave[:, : RATE // 2]).max() < 1e-6
    rms = np.sqrt(np.mean(wave[:, RATE // 2 :] ** 2))
    assert 0.05 * 10 ** (-20 / 20) < rms < 0.05 * 10 ** (14 / 20)


def test_kits_have_low_kicks_and_high_hats() -> None:
    for seed in range(3):
        kit = electronic_kit.draw_kit(np.random.default_rng(seed))
        assert set(kit) >= {"kick", "snare", "closed", "open", "crash"}
        shares = {}
        for drum, sound in kit.items():
            assert np.isfinite(sound).all()
            power = np.abs(np.fft.rfft(sound[0])) ** 2
            shares[drum] = power[: int(250 * sound.shape[1] / RATE)].sum() / power.sum()
        assert shares["kick"] > 0.7
        assert shares["closed"] < 0.01
    beat = electronic_kit.four_to_the_floor(0.5, 0.0, np.random.default_rng(0), seconds=4.0)
    assert electronic_kit.kick_onsets(beat) == list(np.arange(0.0, 4.0, 0.5))
    assert all(isinstance(note, DrumNote) and note.seconds < 4.0 for note in beat)


def tune(folder: Path) -> Path:
    """Write a song of a synthesiser bass, chords and drums, eight bars at 120 beats per minute."""
    midi = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    midi.tracks.append(track)
    for channel, program in ((0, 38), (1, 81)):
        track.append(mido.Message("program_change", channel=channel, program=program))
    for index in range(32):
        pitches = ((0, 36 + index % 5), (1, 60 + index % 5), (1, 64), (9, (36, 38)[index % 2]))
        for channel, pitch in pitches:
            track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=100))
        for place, (channel, pitch) in enumerate(pitches):
            track.append(mido.Message("note_off", channel=channel, note=pitch, time=0 if place else 480))
    folder.mkdir(exist_ok=True)
    midi.save(folder / "tune.mid")
    return folder


def test_songs_are_repeatable_whole_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A seed is a song, to the byte; stems are below full scale; the command goes on where it was stopped."""
    midi = tune(tmp_path / "midi")
    synthesise_songs([midi], tmp_path / "a", seed=5, songs=range(1), max_seconds=5.0)
    before = (tmp_path / "a/synth-0000/bass.npy").stat().st_mtime_ns
    command = ["synthesise", str(midi), "--collection", "b", "--corpus", str(tmp_path)]
    assert main([*command, "--songs", "1", "--max-seconds", "5", "--seed", "5"]) == 0
    assert capsys.readouterr().out == "1 songs\n"
    assert synthesise_songs([midi], tmp_path / "a", seed=5, songs=range(1), max_seconds=5.0) == 1
    assert (tmp_path / "a/synth-0000/bass.npy").stat().st_mtime_ns == before
    synthesise_songs([midi], tmp_path / "c", seed=6, songs=range(1), max_seconds=5.0)
    (first,), (second,) = (read_collection(tmp_path / name).songs for name in "ac")
    (again,) = read_collection(tmp_path / "b").songs
    assert {"bass", "other"} <= set(first.stems) <= {"bass", "drums", "other"}
    for source, stem in first.stems.items():
        assert stem.path.read_bytes() == again.stems[source].path.read_bytes()
    assert first.stems["bass"].path.read_bytes() != second.stems["bass"].path.read_bytes()
    for song in (first, second):
        stacked = song.stacked()
        assert np.abs(stacked).max() < 0.96
        assert np.abs(stacked.sum(axis=0)).max() < 0.96
        assert [path.name for path in (tmp_path / "a").iterdir() if path.name.startswith(".")] == []


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.mid"):
        synthesise_songs([tmp_path], tmp_path / "out", seed=0, songs=range(1), max_seconds=5.0)
    midi = mido.MidiFile()
    midi.tracks.append(mido.MidiTrack())
    midi.save(tmp_path / "empty.mid")
    with pytest.raises(InputError, match=r"1 of 1 songs failed: .*no MIDI song has a part for the bass"):
        synthesise_songs([tmp_path], tmp_path / "out", seed=0, songs=range(1), max_seconds=5.0)
