"""The filter over all estimates: one solve a point as reference, known shares through the predictor, deadlines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluator.metrics import global_sdr
from my_submission.dsp.wiener import filtered_together
from my_submission.events import Finished, StageAdvanced
from my_submission.geometry import FadeChunking, StftGeometry
from my_submission.mechanisms import MultichannelWienerFilter, WienerRecipe
from my_submission.planning import Calibration
from my_submission.predictor import Predictor
from my_submission.stems import MUSIC_SOURCES, Stems
from my_submission.systems import Branch, LoadedSystem
from my_submission.systems.starters import WIENER
from my_submission.systems.whole_system import WholeSystemMechanism
from tests.rigs import GAINS, HALVES, FakeClock, two_branches

RATE = 44_100
STFT = StftGeometry(512, 256, 257)
FILTER = WienerRecipe(HALVES, STFT, FadeChunking(20_000, 2_000))
SQUARES = sum(gain**2 for gain in GAINS.values())


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def spectra(*shape: int, seed: int = 0) -> np.ndarray:
    return (noise(*shape, seed=seed) + 1j * noise(*shape, seed=seed + 1)).astype(np.complex64)


def networks(clock: FakeClock | None = None, *, chunk_seconds: float = 0.0) -> LoadedSystem:
    """Networks that give every source a fixed share of the mixture, and the filter after them."""
    whole = two_branches(clock=clock, chunk_seconds=chunk_seconds)
    ones = dict.fromkeys(MUSIC_SOURCES, 1.0)
    branch = replace(whole.recipe.branches[0], shares=ones)
    recipe = replace(whole.recipe, branches=(branch,), wiener=FILTER)
    return replace(whole, recipe=recipe, branches=(replace(whole.branches[0], shares=ones),))


def separated(made: LoadedSystem, song: np.ndarray, clock: FakeClock, budget: float | None) -> tuple[Stems, int]:
    """Stems, and how many samples the filter has done."""
    filtered = 0
    for event in Predictor(made, clock=clock).stream(song, budget_seconds=budget, refine=False):
        if isinstance(event, StageAdvanced) and event.part == "Wiener filter":
            filtered = event.done
        if isinstance(event, Finished):
            stems = event.result
    return stems, filtered


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("loud", [0.1, 1.0, 1e3])
def test_every_point_is_a_solved_equation(channels: int, loud: float) -> None:
    """Against numpy.linalg.solve at every point, to 1e-4 of the loudest; 37 frames are no whole number of blocks."""
    estimates, mixture = loud * spectra(3, channels, 37, 5), loud * spectra(channels, 37, 5, seed=7)
    powers = (np.abs(estimates) ** 2).mean(axis=1)
    covariances = np.einsum("jctf,jdtf->jfcd", estimates, estimates.conj()) / powers.sum(axis=1)[..., None, None]
    models = np.einsum("jtf,jfcd->jtfcd", powers, covariances)
    whitened = np.linalg.solve(models.sum(axis=0), mixture.transpose(1, 2, 0)[..., None])[..., 0]
    expected = np.einsum("jtfcd,tfd->jctf", models, whitened)
    filtered = filtered_together(estimates, mixture)
    np.testing.assert_allclose(filtered, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(filtered.sum(axis=0), mixture, atol=1e-3 * np.abs(mixture).max())


def test_silence_stays_silence() -> None:
    assert not filtered_together(np.zeros((4, 2, 3, 5), np.complex64), spectra(2, 3, 5)).any()
    assert not filtered_together(spectra(4, 2, 3, 5), np.zeros((2, 3, 5), np.complex64)).any()


def test_a_window_does_not_hear_where_it_is_cut() -> None:
    """Of a filter that hears the whole song, a window inside is the same where the covariances are: to 1e-4."""
    shares = np.array([0.2, 0.5, 0.3], np.float32)[:, None, None]
    song = noise(2, 30_000)
    joint = MultichannelWienerFilter(STFT)
    context = joint.context_samples
    window = joint.filter(shares * song, song)
    expected = shares**2 / (shares**2).sum() * song[:, context:-context]
    np.testing.assert_allclose(window, expected, atol=1e-4)


def test_all_bins_are_needed() -> None:
    with pytest.raises(ValueError, match="needs all 257"):
        MultichannelWienerFilter(StftGeometry(512, 256, 200))


@pytest.mark.parametrize("samples", [1, 255, 19_000, 22_001, 70_000])
def test_shares_of_the_mixture_become_shares_of_power(samples: int) -> None:
    """Half of each, to 1e-4, for songs shorter than a frame, shorter than a window and longer."""
    song, clock = noise(2, samples), FakeClock()
    stems, filtered = separated(networks(), song, clock, None)
    assert filtered == samples
    for source, gain in GAINS.items():
        np.testing.assert_allclose(stems[source], (gain + gain**2 / SQUARES) / 2 * song, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 19_000, 70_000])
def test_answers_can_be_made_to_add_up(samples: int) -> None:
    """To the mixture, to 1e-5; each source gets a quarter of what the four lack without it."""
    song, made = noise(2, samples), networks()
    shares = {source: 0.25 * (1 + index % 4) for index, source in enumerate(MUSIC_SOURCES)}
    before, after = (
        separated(replace(made, recipe=replace(made.recipe, wiener=wiener)), song, FakeClock(), None)[0]
        for wiener in (replace(FILTER, shares=shares), replace(FILTER, shares=shares, adds_up=True))
    )
    missing = song - sum(before.values())
    assert np.abs(missing).max() > 0.01
    np.testing.assert_allclose(sum(after.values()), song, atol=1e-5)
    for source in MUSIC_SOURCES:
        np.testing.assert_allclose(after[source], before[source] + missing / 4, atol=1e-5)


@pytest.mark.parametrize("budget", [0.6, 1.0, 2.0, 2.6, 3.0, 10.0, 100.0])
def test_stems_add_up_whatever_the_deadline_left_out(budget: float) -> None:
    """To the mixture, to 1e-5: without the filter, with a part of it, and refined after it."""
    song, clock = noise(2, 4 * RATE), FakeClock()
    made = networks(clock, chunk_seconds=0.01)
    made = replace(made, recipe=replace(made.recipe, wiener=replace(FILTER, adds_up=True)))
    stems = Predictor(made, clock=clock).separate(song, budget_seconds=budget)
    np.testing.assert_allclose(sum(stems.values()), song, atol=1e-5)


def test_a_rest_takes_all_that_the_filtered_stems_lack() -> None:
    """The filtered stems are those of a filter that does not add up, to the bit; the rest is the song minus them."""
    song, made = noise(2, 30_000), networks()
    ones = {source: 1.0 for source in MUSIC_SOURCES if source != "other"}
    branch, opened = replace(made.recipe.branches[0], shares=ones), replace(made.branches[0], shares=ones)
    stems = []
    for adds_up in (False, True):
        wiener = replace(FILTER, shares=dict.fromkeys(ones, 0.5), adds_up=adds_up)
        recipe = replace(made.recipe, branches=(branch,), wiener=wiener, rest="other")
        stems.append(separated(replace(made, recipe=recipe, branches=(opened,)), song, FakeClock(), None)[0])
    np.testing.assert_allclose(sum(stems[1].values()), song, atol=1e-5)
    for source in MUSIC_SOURCES:
        np.testing.assert_array_equal(stems[0][source], stems[1][source])


def test_a_deadline_keeps_what_is_filtered_and_leaves_the_rest_as_it_was() -> None:
    """Every budget gives stems between unfiltered and filtered ones, without a step; more time filters no less."""
    song = np.ones((2, 4 * RATE), np.float32)  # whose stems show a step as one
    done = []
    for budget in (1.0, 2.0, 2.6, 3.0, 4.0, 100.0):
        clock = FakeClock()
        made = networks(clock, chunk_seconds=0.01)
        began = clock.now
        stems, filtered = separated(made, song, clock, budget)
        assert clock.now - began <= budget
        done.append(filtered)
        if filtered:
            inside = stems["vocals"][:, 1_000:-1_000]
            assert np.abs(np.diff(inside)).max() < 2e-3
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == song.shape[1]


def inside(made: LoadedSystem, *, has_filter: bool) -> LoadedSystem:
    """The system as the only branch of another one, which may have a filter of its own."""
    recipe = made.recipe if has_filter else replace(made.recipe, wiener=None)
    branch = Branch("inner", WholeSystemMechanism(made), made.branches[0].shares)
    return replace(made, recipe=recipe, branches=(branch,))


@pytest.mark.parametrize("budget", [None, 100.0, 400.0])
@pytest.mark.parametrize("nested", [None, "filtered inside", "filtered inside and outside"])
def test_what_is_filtered_was_refined_before(budget: float | None, nested: str | None) -> None:
    """With time for some refinements or for all; a filter that comes first would hide what they change."""
    clock, calibration, song = FakeClock(), Calibration(), 0.1 * noise(2, 60_000)
    for _ in range(2):  # what the filter costs is known the second time
        made = networks(clock, chunk_seconds=1.0)
        if nested is not None:
            made = inside(made, has_filter=nested == "filtered inside and outside")
        predictor = Predictor(made, clock=clock, calibration=calibration)
        events = list(predictor.stream(song, budget_seconds=budget, refine=True))
    done = [event.part for event in events if isinstance(event, StageAdvanced)]
    assert any(part.endswith("overlapped") for part in done)
    filtered = [index for index, part in enumerate(done) if part.endswith("Wiener filter")]
    assert all(part.endswith("Wiener filter") for part in done[filtered[0] : filtered[-1]])
    assert not any(part.endswith("overlapped") for part in done[filtered[0] :])
    assert [event.done for event in events if isinstance(event, StageAdvanced)][filtered[-1]] == song.shape[1]
    names = {None: 1, "filtered inside": 1, "filtered inside and outside": 2}
    assert len({done[index] for index in filtered}) == names[nested]


def test_the_time_of_a_filter_inside_is_kept_while_refinements_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter of 5 s per window of 0.45 s in a system in a system: refined before, whole, and in time."""
    clock, song, calibration = FakeClock(), 0.1 * noise(2, 60_000), Calibration()
    plain = MultichannelWienerFilter.filter

    def slow(self: MultichannelWienerFilter, estimates: np.ndarray, mixture: np.ndarray) -> np.ndarray:
        clock.pass_(5.0)
        return plain(self, estimates, mixture)

    monkeypatch.setattr(MultichannelWienerFilter, "filter", slow)
    for budget in (None, 170.0):
        made = inside(networks(clock, chunk_seconds=1.0), has_filter=False)
        began = clock.now
        events = list(Predictor(made, clock=clock, calibration=calibration).stream(song, budget_seconds=budget))
    assert clock.now - began <= 170.0
    done = [event for event in events if isinstance(event, StageAdvanced)]
    assert any(event.part.endswith("overlapped") for event in done)
    assert done[-1].part == "inner: Wiener filter"
    assert done[-1].done == song.shape[1]


def test_estimates_that_claim_too_little_get_what_nobody_else_asks_for() -> None:
    """Two sources in different bands, both taken at a quarter: 2.5 dB before the filter, above 12 dB after it."""
    spectrum = np.fft.rfft(noise(2, 2, 60_000))
    spectrum[0, :, 8_000:] = 0
    spectrum[1, :, :8_000] = 0
    sources = np.fft.irfft(spectrum).astype(np.float32)
    mixture = sources.sum(axis=0)
    context = MultichannelWienerFilter(STFT).context_samples
    filtered = MultichannelWienerFilter(STFT).filter(sources / 4, mixture)
    for source, estimate in zip(sources[..., context:-context], filtered, strict=True):
        assert global_sdr(source, source / 4) == pytest.approx(2.5, abs=0.1)
        assert global_sdr(source, estimate) > 12


def test_shares_are_checked() -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        replace(WIENER, shares={"bass": 1.5})
    made = networks()
    with pytest.raises(ValueError, match="no share of 'drums'"):
        replace(made.recipe, wiener=replace(FILTER, shares={"bass": 0.5}))
