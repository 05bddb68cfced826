"""The Mixer: a known matrix comes back, the ridge leads to the identity, descent agrees, the file is as published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluator.metrics import global_sdr
from my_submission.errors import UnknownNameError
from my_submission.mechanisms import Mixer
from my_submission.stems import MUSIC_SOURCES, Waveform, unstack_stems
from training.phase2.closed_form import choose_ridge, fit_mixer
from training.phase2.comparison import compare
from training.phase2.descent import DescentSettings, _gradient, descend
from training.phase2.mixer import MixerSettings, fit, save_mixer
from training.phase2.objective import AS_PUBLISHED, SONGS_EQUAL, Objective
from training.phase2.separated import SeparatedSong, network_predictor
from training.phase2.statistics import MixerStatistics, mean_sdr, mixer_inputs, moments, total, unchanged, windows
from training.settings.strict import SettingsError

N_SAMPLES = 4000


def noise(seed: int, channels: int, n_samples: int = N_SAMPLES) -> Waveform:
    return np.random.default_rng(seed).normal(size=(channels, 2, n_samples)).astype(np.float32)


def applied(matrix: Waveform, inputs: Waveform) -> Waveform:
    return (matrix @ inputs.reshape(10, -1)).reshape(4, 2, -1)


def symmetric_matrix(seed: int) -> Waveform:
    """A random matrix that treats left and right alike."""
    same, other = np.random.default_rng(seed).normal(size=(2, 4, 5))
    matrix = np.zeros((8, 10), dtype=np.float32)
    for side in range(2):
        matrix[side::2, side::2] = same
        matrix[side::2, 1 - side :: 2] = other
    return matrix


def imperfect_song(seed: int, n_samples: int = 60_000) -> tuple[Waveform, Waveform]:
    """Stems of different levels, estimates that leak into each other, each song a little differently, and noise."""
    rng = np.random.default_rng([7, seed])
    stems = noise(seed, 4, n_samples) * np.array([0.3, 0.5, 0.4, 0.6], np.float32)[:, None, None]
    leak = np.eye(4) * 0.75 + 0.12 + rng.normal(0.0, 0.02, (4, 4))
    estimates = np.einsum("ij,jcn->icn", leak, stems) + 0.15 * noise(seed + 1000, 4, n_samples)
    return mixer_inputs(estimates.astype(np.float32), stems.sum(axis=0)), stems


def imperfect_songs(seeds: Sequence[int], window_samples: int = 2_000) -> list[SeparatedSong]:
    return [SeparatedSong(f"song{s}", tuple(windows(*imperfect_song(s), window_samples))) for s in seeds]


def test_a_known_matrix_is_recovered() -> None:
    matrix = symmetric_matrix(1)
    songs = [moments(x, applied(matrix, x)) for x in (noise(2, 5), noise(3, 5))]
    assert np.allclose(fit_mixer(songs, ridge=0.0), matrix, atol=1e-5)


def test_it_agrees_with_least_squares_over_both_channel_orders() -> None:
    x, y = noise(5, 5), noise(4, 4)
    both_x = np.concatenate([a.reshape(10, -1) for a in (x, x[:, ::-1])], axis=1)
    both_y = np.concatenate([a.reshape(8, -1) for a in (y, y[:, ::-1])], axis=1)
    direct = np.linalg.lstsq(both_x.T, both_y.T, rcond=None)[0].T
    assert np.allclose(fit_mixer([moments(x, y)], ridge=0.0), direct, atol=1e-5)


def test_a_strong_ridge_changes_nothing_and_a_negative_one_is_refused() -> None:
    song = moments(noise(6, 5), np.zeros((4, 2, N_SAMPLES), dtype=np.float32))
    assert np.allclose(fit_mixer([song], ridge=1e6), unchanged(), atol=1e-4)
    with pytest.raises(ValueError, match="ridge"):
        fit_mixer([song], ridge=-1.0)


def test_a_mono_corpus_leaves_the_sides_as_they_are() -> None:
    inputs, stems = (np.repeat(noise(seed, n)[:, :1], 2, axis=1) for seed, n in ((8, 5), (9, 4)))
    matrix = fit_mixer([moments(inputs, stems)], ridge=0.0)
    side = np.zeros((5, 2, 10), dtype=np.float32)
    side[:4, 0], side[:4, 1] = 1.0, -1.0
    assert np.allclose(applied(matrix, side), side[:4], atol=1e-5)


def test_scores_from_moments_are_those_of_waveforms() -> None:
    inputs, stems = imperfect_song(3, 5_000)
    matrix = symmetric_matrix(4) * np.float32(0.2) + unchanged()
    scores = total(windows(inputs, stems, 777)).sdr(matrix)
    mixed = Mixer(matrix).mix(unstack_stems(inputs[:4], MUSIC_SOURCES), inputs[4])
    for row, source in enumerate(MUSIC_SOURCES):
        assert scores[source] == pytest.approx(global_sdr(stems[row], mixed[source]), abs=1e-4)


def test_a_silent_stem_is_not_scored() -> None:
    """Silence for silence is 0 dB, noise for silence far below: neither says anything about a separator."""
    inputs, stems = imperfect_song(3, 5_000)
    stems[2] = 1e-6
    assert set(moments(inputs, stems).sdr(unchanged())) == {"bass", "drums", "vocals"}
    assert mean_sdr([{"bass": 1.0}, {"bass": 3.0, "vocals": 5.0}]) == {"bass": 2.0, "vocals": 5.0}


def test_the_gradient_is_that_of_the_waveforms() -> None:
    inputs, stems = imperfect_song(5, 500)
    weight = torch.nn.Parameter(torch.from_numpy(symmetric_matrix(6).astype(np.float64)))
    x, y = (torch.from_numpy(a.reshape(len(a) * 2, -1).astype(np.float64)) for a in (inputs, stems))
    torch.mean((weight @ x - y) ** 2).backward()
    song = moments(inputs, stems)
    assert torch.allclose(_gradient(weight.detach(), song.gram, song.cross, song.n_samples), weight.grad, rtol=1e-6)


@pytest.fixture(scope="module")
def unequal_songs() -> list[SeparatedSong]:
    """Ten songs from quiet to 20 dB louder; loud ones leak otherwise than quiet ones, and left otherwise than right."""
    songs = []
    for seed in range(10):
        rng = np.random.default_rng([8, seed])
        loudness = np.float32(10.0 ** (seed % 5 / 4))
        stems = noise(seed, 4, 16_000) * np.array([0.3, 0.5, 0.4, 0.6], np.float32)[:, None, None] * loudness
        leak = np.eye(4) * (1.2 - 0.15 * (seed % 5)) + 0.1 + rng.normal(0.0, 0.02, (4, 4))
        estimates = np.einsum("ij,jcn->icn", leak, stems) + 0.15 * loudness * noise(seed + 1000, 4, 16_000)
        estimates[:, 0] *= np.float32(0.8)
        inputs = mixer_inputs(estimates.astype(np.float32), stems.sum(axis=0))
        songs.append(SeparatedSong(f"song{seed}", tuple(windows(inputs, stems, 1_000))))
    return songs


def apart_db(one: Waveform, other: Waveform, songs: Sequence[SeparatedSong]) -> float:
    """Largest difference over sources of the mean SDR of two Mixers."""
    first, second = (mean_sdr(total(song.windows).sdr(matrix) for song in songs) for matrix in (one, other))
    return max(abs(first[source] - second[source]) for source in MUSIC_SOURCES)


OBJECTIVES = [Objective(is_equal=equal, is_mirrored=mirrored) for equal in (False, True) for mirrored in (False, True)]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_converged_descent_ends_where_the_closed_form_of_its_objective_is(
    objective: Objective, unequal_songs: list[SeparatedSong]
) -> None:
    """To 0.02 dB on held-out songs; the closed forms of the other objectives are farther away than that."""
    fitted, scored = unequal_songs[:8], unequal_songs[8:]
    fitted_moments = [total(song.windows) for song in fitted]
    closed = {other: fit_mixer(fitted_moments, ridge=0.0, objective=other) for other in OBJECTIVES}
    parts = objective.windows([song.windows for song in fitted])
    descended = descend(parts, DescentSettings(tolerance=1e-5))
    apart = {other: apart_db(descended, closed[other], scored) for other in OBJECTIVES}
    assert apart.pop(objective) < 0.02
    assert min(apart.values()) > 0.1


def test_the_closed_form_is_least_squares_over_weighed_waveforms() -> None:
    """Independent of the moments: every song divided by its mixture's level, once as it is and once mirrored."""
    songs = [imperfect_song(seed, 3_000) for seed in (1, 2)]
    songs[1] = (songs[1][0] * np.float32(30.0), songs[1][1] * np.float32(30.0))
    x, y = [], []
    for inputs, stems in songs:
        level = np.sqrt(np.sum(np.square(inputs[4], dtype=np.float64)))
        for order in (slice(None), slice(None, None, -1)):
            x.append(inputs[:, order].reshape(10, -1) / level)
            y.append(stems[:, order].reshape(8, -1) / level)
    direct = np.linalg.lstsq(np.concatenate(x, axis=1).T, np.concatenate(y, axis=1).T, rcond=None)[0].T
    fitted_moments = [moments(*song) for song in songs]
    assert np.allclose(fit_mixer(fitted_moments, ridge=0.0, objective=SONGS_EQUAL), direct, atol=1e-5)
    assert not np.allclose(fit_mixer(fitted_moments, ridge=0.0, objective=AS_PUBLISHED), direct, atol=1e-3)


def test_a_converged_descent_does_not_depend_on_its_start(unequal_songs: list[SeparatedSong]) -> None:
    parts = AS_PUBLISHED.windows([song.windows for song in unequal_songs[:8]])
    identity, random = DescentSettings(start="identity"), DescentSettings(start="random")
    ends = [descend(parts, replace(settings, tolerance=1e-5)) for settings in (identity, random)]
    assert apart_db(ends[0], ends[1], unequal_songs[8:]) < 0.02
    early = [descend(parts, replace(settings, epochs=1)) for settings in (identity, random)]
    assert apart_db(early[0], early[1], unequal_songs[8:]) > 1.0


def test_a_descent_that_does_not_converge_says_so(caplog: pytest.LogCaptureFixture) -> None:
    inputs, stems = imperfect_song(1, 1_000)
    settings = DescentSettings(tolerance=1e-12, epochs=1, learning_rate=1e-7)
    descend([moments(inputs, stems)], settings)
    assert "has not converged" in caplog.text
    with pytest.raises(ValueError, match="has no best epoch"):
        descend([moments(inputs, stems)], settings, validation=[moments(inputs, stems)])


def test_methods_are_compared_on_held_out_songs(unequal_songs: list[SeparatedSong]) -> None:
    settings = MixerSettings(held_out=("song8", "song9"))
    ways = compare(unequal_songs, settings)
    assert (len(ways.fitted), ways.scored) == (8, ("song8", "song9"))
    assert ways.disagreement_db < 0.02
    assert ways.published.excess > 10 * ways.converged.excess >= 0.0 == ways.closed_form.excess
    assert ways.without.excess > ways.closed_form.excess
    assert min(ways.ridge.sdr_db[source] - ways.without.sdr_db[source] for source in MUSIC_SOURCES) > 0.1
    with pytest.raises(SettingsError, match="no song is held out to compare on"):
        compare(unequal_songs, MixerSettings())


def test_cross_validation_prefers_no_change_where_songs_contradict_each_other() -> None:
    one, other = noise(11, 5), noise(12, 5)
    contradicting = [
        moments(one, applied(symmetric_matrix(1), one)),
        moments(other, applied(-symmetric_matrix(1), other)),
    ]
    agreeing = [moments(x, applied(symmetric_matrix(1), x)) for x in (one, other)]
    assert choose_ridge(contradicting, (0.0, 100.0)).ridge == 100.0
    assert choose_ridge(agreeing, (0.0, 100.0)).ridge == 0.0
    with pytest.raises(ValueError, match="1 songs"):
        choose_ridge(agreeing[:1], (0.0,))


@pytest.mark.parametrize("method", ["closed-form", "rmsprop"])
def test_a_mixer_gains_on_held_out_songs(method: str) -> None:
    settings = MixerSettings(method=method, held_out=("song3",), descent=DescentSettings(epochs=10))  # type: ignore[arg-type]
    fitted = fit(imperfect_songs(range(4)), settings)
    assert (fitted.scored, fitted.is_held_out) == (("song3",), True)
    assert all(fitted.with_db[source] > fitted.without_db[source] for source in MUSIC_SOURCES)
    with pytest.raises(SettingsError, match="held out"):
        fit(imperfect_songs((3,)), settings)


def test_the_best_epoch_is_kept() -> None:
    """Trained towards the wrong thing, later epochs are worse on the held-out song, and one of the first stays."""
    wrong = [moments(x, -x[:4]) for x in (noise(1, 5), noise(2, 5))]
    held_out = [moments(noise(3, 5), noise(3, 5)[:4])]
    kept, last = (descend(wrong, DescentSettings(epochs=60), validation=songs) for songs in (held_out, ()))
    assert np.mean(list(held_out[0].sdr(kept).values())) > np.mean(list(held_out[0].sdr(last).values())) + 3.0


def test_moments_add_up_and_refuse_nothing_silently() -> None:
    inputs, stems = imperfect_song(9, 1_000)
    whole, parts = moments(inputs, stems), list(windows(inputs, stems, 300))
    assert [part.n_samples for part in parts] == [300, 300, 300, 100]
    summed = total(parts)
    assert isinstance(summed, MixerStatistics)
    assert np.allclose(summed.gram, whole.gram)
    assert np.allclose(summed.cross, whole.cross)
    assert summed.mixture_energy == pytest.approx(float(np.sum(np.square(inputs[4], dtype=np.float64))))


def test_the_file_is_the_published_format(tmp_path: Path) -> None:
    path = tmp_path / "models" / "mixer.ckpt"
    save_mixer(symmetric_matrix(8), path)
    stored = torch.load(path, weights_only=True)
    assert list(stored) == ["linear.weight"]
    assert np.array_equal(stored["linear.weight"].numpy(), symmetric_matrix(8))
    assert [p.name for p in path.parent.iterdir()] == ["mixer.ckpt"]


def test_missing_networks_are_all_named_with_the_command_that_trains_them(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema": 1, "artefacts": []}', encoding="utf-8")
    with pytest.raises(UnknownNameError, match=r"lacks the networks mine/bass, .*Train them first .*fit mine/bass"):
        network_predictor(tmp_path, "mine")


@pytest.mark.parametrize("fields", [{"ridges": ()}, {"ridges": (-1.0,)}, {"window_samples": 0}])
def test_settings_refuse_nonsense(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        MixerSettings(**fields)  # type: ignore[arg-type]
