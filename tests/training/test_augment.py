"""Augmentation: what each effect does, that it is repeatable and leaves its input alone, and copies made offline."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard
import pyloudnorm
import pytest
import scipy.signal
import scipy.stats
import soundfile

from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from tests.training_songs import write_audio_song
from training.augment import offline
from training.augment.effects import Effect, EffectChain, fitted
from training.augment.equaliser import EqualiserFilter, FilterKind, ParametricEqualiser
from training.augment.levels import Gain, Loudness, VolumeAutomation
from training.augment.limiting import LimitAug, MixtureEffect, SignalToNoise
from training.augment.offline import SEMITONES, TEMPO_PERCENT, plan_copies, write_copies
from training.augment.pedals import PedalEffect
from training.augment.timing import Speed, SpeedPerturb, interpolated
from training.augment.tone import Equalise, Flip, Swap, Widen, equalised, panned, saturated
from training.augment.vocoder import RandomPitch, pitch_percentage
from training.data.songs import read_collection
from training.settings.files import CONFIGS, read_table
from training.settings.strict import from_table

N_SAMPLES = 30_000
ALL_KINDS = sorted(Effect.kinds)


def tone(hertz: float, n_samples: int = N_SAMPLES) -> Waveform:
    time = np.arange(n_samples) / SAMPLE_RATE
    return np.stack([0.3 * np.sin(2 * np.pi * hertz * time + phase) for phase in (0.0, 0.4)]).astype(np.float32)


def noise(n_samples: int = N_SAMPLES) -> Waveform:
    return (0.1 * np.random.default_rng(0).standard_normal((2, n_samples))).astype(np.float32)


def rms(window: Waveform) -> float:
    return float(np.sqrt(np.mean(np.square(window, dtype=np.float64))))


def strongest_hz(window: Waveform) -> float:
    return float(
        np.argmax(np.abs(np.fft.rfft(window[0] * np.hanning(window.shape[1])))) * SAMPLE_RATE / window.shape[1]
    )


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_effect_is_repeatable_finite_and_leaves_its_input(kind: str) -> None:
    effect: Effect = from_table(Effect, {"kind": kind, "probability": 1.0})
    window = noise()
    before = window.copy()
    one, two, other = (np.asarray(effect.apply(window, np.random.default_rng(seed))) for seed in (1, 1, 2))
    assert np.array_equal(window, before)
    assert np.array_equal(one, two)
    assert np.isfinite(one).all()
    assert one.shape[0] == 2
    assert one.shape[1] >= int(N_SAMPLES / effect.reach) - 1
    assert kind in {"flip", "swap", "loudness", "random-pitch", "speed-perturb"} or not np.array_equal(one, other)
    assert np.isfinite(effect.apply(np.zeros_like(window), np.random.default_rng(3))).all()


def test_the_published_chain_is_complete_and_in_order() -> None:
    effects = read_table(CONFIGS / "augment" / "_aimless.toml")["augment"]["effects"]
    found = [(effect["kind"], effect.get("probability", 1.0)) for effect in effects]
    assert found == [
        ("parametric-equaliser", 0.3),
        ("distortion", 0.03),
        ("delay", 0.03),
        ("chorus", 0.03),
        ("phaser", 0.03),
        ("compressor", 0.3),
        ("reverb", 0.3),
        ("widen", 0.3),
        ("limiter", 0.3),
        ("volume-automation", 0.3),
        ("loudness", 0.3),
        ("gain", 0.3),
        ("flip", 0.3),
        ("swap", 0.3),
        ("speed-perturb", 0.3),
        ("random-pitch", 0.3),
    ]


def test_probabilities_are_kept_and_scaled() -> None:
    window = noise(8)

    def share_changed(scale: float) -> float:
        chain = EffectChain([Flip(probability=0.3)], scale)
        draws = [np.random.default_rng(seed) for seed in range(600)]
        return float(np.mean([chain(window, timing=d, rng=d)[0, 0] == -window[0, 0] for d in draws]))

    assert share_changed(1.0) == pytest.approx(0.3, abs=0.06)
    assert share_changed(1.666) == pytest.approx(0.5, abs=0.06)
    assert share_changed(9.0) == 1.0


def test_timing_draws_are_apart_from_the_others() -> None:
    """The same timing and other changes: two stems stay together in time."""
    chain = EffectChain([Speed(change=0.2), Swap(probability=0.5), Flip(probability=0.5)])
    results = [chain(noise(), timing=np.random.default_rng(7), rng=np.random.default_rng(seed)) for seed in range(12)]
    assert len({result.tobytes() for result in results}) == 4  # swapped or not, flipped or not
    assert len({np.abs(result).sum(axis=0).tobytes() for result in results}) == 1


def test_flip_negates_swap_exchanges_and_gain_scales() -> None:
    window, rng = noise(), np.random.default_rng(0)
    assert np.array_equal(Flip().apply(window, rng), -window)
    assert np.array_equal(Swap().apply(window, rng), window[::-1])
    ratios = [rms(Gain(low=0.25, high=1.25).apply(window, np.random.default_rng(s))) / rms(window) for s in range(40)]
    assert 0.25 <= min(ratios) < 0.45
    assert 1.05 < max(ratios) <= 1.25


def test_panning_and_saturation() -> None:
    window = noise()
    assert np.allclose(panned(window, 0.0)[0], panned(window, 0.0)[1], atol=1e-6)
    assert np.abs(panned(window, -1.0)[1]).max() < 1e-6
    assert rms(saturated(window, 1.0)) == pytest.approx(rms(window), rel=1e-4)
    assert not saturated(np.zeros_like(window), 1.0).any()


def test_widening_reaches_from_mono_to_sides_only() -> None:
    window, rng = noise(), np.random.default_rng(0)
    mono, same, sides = (Widen(low=w, high=w).apply(window, rng) for w in (0.0, 0.5, 1.0))
    assert np.allclose(mono[0], mono[1])
    assert np.allclose(same, window, atol=1e-6)
    assert np.allclose(sides[0], -sides[1])


@pytest.mark.parametrize("band", [2, 5, 8])
def test_an_equaliser_has_the_gains_it_was_given(band: int) -> None:
    gains = np.zeros(10)
    gains[band] = 6.0
    hertz = 31.25 * 2.0**band
    window = tone(hertz)
    inner = slice(3_000, -3_000)
    assert 20 * np.log10(rms(equalised(window, gains)[:, inner]) / rms(window[:, inner])) == pytest.approx(
        6.0, abs=0.15
    )
    assert np.allclose(equalised(window, np.zeros(10)), window, atol=1e-6)
    flat = Equalise(deviation_db=0.0).apply(window, np.random.default_rng(0))
    assert np.allclose(flat, window, atol=1e-6)


UNIFORM, LOG_UNIFORM = scipy.stats.uniform, scipy.stats.loguniform
PUBLISHED_RANGES: dict[str, tuple[str, dict[str, tuple[Any, float, float]]]] = {
    "distortion": ("Distortion", {"drive_db": (UNIFORM, -20, 12)}),
    "delay": (
        "Delay",
        {"delay_seconds": (LOG_UNIFORM, 0.1, 1), "feedback": (UNIFORM, 0.05, 0.6), "mix": (UNIFORM, 0, 0.7)},
    ),
    "chorus": (
        "Chorus",
        {
            "rate_hz": (UNIFORM, 0.25, 4),
            "depth": (UNIFORM, 0, 0.6),
            "centre_delay_ms": (UNIFORM, 5, 10),
            "feedback": (UNIFORM, 0.1, 0.6),
            "mix": (UNIFORM, 0.1, 0.7),
        },
    ),
    "phaser": (
        "Phaser",
        {
            "rate_hz": (UNIFORM, 0.25, 5),
            "depth": (UNIFORM, 0.1, 0.6),
            "centre_frequency_hz": (UNIFORM, 200, 200),
            "feedback": (UNIFORM, 0.1, 0.6),
            "mix": (UNIFORM, 0.1, 0.7),
        },
    ),
    "compressor": (
        "Compressor",
        {
            "threshold_db": (UNIFORM, -42, -6),
            "ratio": (UNIFORM, 1.5, 4),
            "attack_ms": (UNIFORM, 1, 50),
            "release_ms": (UNIFORM, 10, 250),
        },
    ),
    "reverb": (
        "Reverb",
        {
            "room_size": (UNIFORM, 0, 1),
            "damping": (UNIFORM, 0, 1),
            "width": (UNIFORM, 0, 1),
            "wet_level": (UNIFORM, 0, 0.7),
            "dry_level": (UNIFORM, 0.3, 1),
        },
    ),
    "limiter": ("Limiter", {"threshold_db": (UNIFORM, -32, -6), "release_ms": (UNIFORM, 10, 300)}),
}
"""Plug-in of each effect with the published distribution of every setting."""


def fits(values: list[float], distribution: Any, low: float, high: float) -> bool:
    """Whether a Kolmogorov-Smirnov test finds nothing wrong with 600 draws, one time in a thousand by chance."""
    if low == high:
        return set(values) == {low}
    given = distribution(low, high) if distribution is LOG_UNIFORM else distribution(low, high - low)
    return bool(scipy.stats.kstest(values, given.cdf).pvalue > 1e-3)


@pytest.mark.parametrize("kind", PUBLISHED_RANGES)
def test_settings_have_the_published_distributions(kind: str) -> None:
    effect = from_table(Effect, {"kind": kind})
    assert isinstance(effect, PedalEffect)
    draws = [effect.settings(np.random.default_rng([1, seed])) for seed in range(600)]
    plugin, settings = PUBLISHED_RANGES[kind]
    assert effect.plugin == plugin
    assert {tuple(sorted(draw)) for draw in draws} == {tuple(sorted(settings))}
    for name, (distribution, low, high) in settings.items():
        assert fits([draw[name] for draw in draws], distribution, low, high), name


def test_the_equaliser_draws_the_published_filters() -> None:
    draws = [ParametricEqualiser().filters(np.random.default_rng([1, seed])) for seed in range(600)]
    bands = [("low shelf", 20, 200), *[("peak", 1_000, 10_000)] * 3, ("high shelf", 8_000, 16_000)]
    for place, (kind, low, high) in enumerate(bands):
        drawn = [filters[place] for filters in draws]
        assert {one.kind for one in drawn} == {kind}
        assert fits([one.hertz for one in drawn], LOG_UNIFORM, low, high)
        assert fits([one.gain_db for one in drawn], UNIFORM, -6, 6)
        assert fits([one.q for one in drawn], UNIFORM, 0.1, 4)
    assert {len(filters) for filters in draws} == {len(bands)}


@pytest.mark.parametrize(
    ("kind", "plugin"), [("low shelf", "LowShelfFilter"), ("peak", "PeakFilter"), ("high shelf", "HighShelfFilter")]
)
def test_the_equaliser_s_filters_are_those_of_another_library(kind: FilterKind, plugin: str) -> None:
    """Impulse responses beside pedalboard's, which computes in float32: error below -80 dB."""
    impulse = np.zeros(8_192, dtype=np.float32)
    impulse[0] = 1.0
    for hertz, gain_db, q in ((150.0, 6.0, 0.1), (2_000.0, -6.0, 4.0), (12_000.0, 3.0, 1.0)):
        drawn = EqualiserFilter(kind=kind, hertz=hertz, gain_db=gain_db, q=q)
        own = scipy.signal.sosfilt(drawn.coefficients()[None], impulse.astype(np.float64))
        library: Any = pedalboard
        other = getattr(library, plugin)(cutoff_frequency_hz=hertz, gain_db=gain_db, q=q)(impulse, SAMPLE_RATE)
        assert np.sum((own - other) ** 2) < 1e-8 * np.sum(own**2)
    window = noise()
    effect = ParametricEqualiser()
    filtered = window.astype(np.float64)
    for one in effect.filters(np.random.default_rng(0)):
        filtered = scipy.signal.sosfilt(one.coefficients()[None], filtered)
    np.testing.assert_allclose(effect.apply(window, np.random.default_rng(0)), filtered, rtol=1e-6, atol=1e-7)


def test_volume_automation_draws_lines_from_0_db() -> None:
    """Up to one line per 3 s, each from the last gain to a uniform one; shares of a Dirichlet draw."""
    effect, n_samples = VolumeAutomation(segment_seconds=0.03), SAMPLE_RATE // 10  # as 10 s are to 3 s
    counts, ends, shares = [], [], []
    for seed in range(300):
        gains = effect.gains_db(n_samples, np.random.default_rng([2, seed]))
        assert gains[0] == 0.0
        slope = np.diff(gains)
        bends = np.flatnonzero(np.abs(np.diff(slope)) > 1e-9)
        corners = bends[np.flatnonzero(np.diff(bends, prepend=-9) > 3)]
        counts.append(len(corners) + 1)
        ends.append(float(gains[-1]))
        shares += [corners[0] / n_samples] if len(corners) == 1 else []
    assert [counts.count(n) / 300 for n in (1, 2, 3)] == pytest.approx([1 / 3] * 3, abs=0.1)
    assert fits(ends, UNIFORM, -6, 6)
    rng = np.random.default_rng(3)
    published = [rng.dirichlet(rng.uniform(0, 10, 2))[0] for _ in range(2_000)]
    assert scipy.stats.ks_2samp(shares, published).pvalue > 1e-3
    window = noise()
    moved = effect.apply(window, np.random.default_rng(4))
    expected = window * 10 ** (effect.gains_db(N_SAMPLES, np.random.default_rng(4)) / 20)
    np.testing.assert_allclose(moved, expected, rtol=1e-6)


def test_loudness_is_brought_to_its_target() -> None:
    """Within 40 dB; a stem that is too quiet to be measured gets all of them."""
    brought = Loudness(target_lufs=-32.0).apply(noise(), np.random.default_rng(0))
    assert pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(brought.T) == pytest.approx(-32.0, abs=0.05)
    short = noise(1_000)
    assert np.array_equal(Loudness().apply(short, np.random.default_rng(0)), short)
    for factor in (1e-4, 1e-5):  # below and at the limit of the measurement
        quiet = noise() * np.float32(factor)
        np.testing.assert_allclose(Loudness().apply(quiet, np.random.default_rng(0)), 100.0 * quiet, rtol=1e-5)


def test_speed_moves_pitch_and_length_together() -> None:
    window = tone(1000.0)
    effect = Speed(change=0.12)
    heard = [strongest_hz(effect.apply(window, np.random.default_rng(seed))) / 1000.0 for seed in range(12)]
    assert all(0.87 < ratio < 1.13 for ratio in heard)
    assert max(heard) - min(heard) > 0.1
    with pytest.raises(ValueError, match="below 1"):
        Speed(change=1.0)


def test_speed_perturb_below_100_is_faster_and_higher() -> None:
    window = tone(1000.0)
    faster = SpeedPerturb(percentages=(80,)).apply(window, np.random.default_rng(0))
    assert faster.shape == window.shape
    assert not faster[:, int(0.81 * N_SAMPLES) :].any()
    assert strongest_hz(faster[:, : int(0.79 * N_SAMPLES)]) == pytest.approx(1250.0, rel=0.01)
    assert np.array_equal(SpeedPerturb(percentages=(100,)).apply(window, np.random.default_rng(0)), window)
    with pytest.raises(ValueError, match="positive"):
        SpeedPerturb(percentages=(0,))


def test_pitch_percentages_are_the_published_ones() -> None:
    """Rounded down to a whole per cent, odd ones raised by one."""
    assert [pitch_percentage(n) for n in (-12, -7, -1, 0, 1, 2, 7, 12)] == [50, 66, 94, 100, 106, 112, 150, 200]


@pytest.mark.parametrize("semitones", [-7, 2, 7])
def test_the_vocoder_shifts_pitch_and_keeps_length_and_level(semitones: int) -> None:
    window = tone(1000.0)
    shifted = RandomPitch(semitones=(semitones,)).apply(window, np.random.default_rng(0))
    inside = slice(4096, -4096)
    assert shifted.shape == window.shape
    assert strongest_hz(shifted[:, inside]) == pytest.approx(10.0 * pitch_percentage(semitones), rel=0.005)
    assert rms(shifted[:, inside]) == pytest.approx(rms(window[:, inside]), rel=0.02)
    with pytest.raises(ValueError, match="must contain an interval"):
        RandomPitch(semitones=())
    with pytest.raises(ValueError, match="hop=2000"):
        RandomPitch(hop=2000)


def test_limit_aug_masters_the_mixture_and_its_stems_follow() -> None:
    """As loud as asked for, no longer peaky, stems still the mixture's parts and changed by one gain."""

    stems = np.stack([tone(200.0, SAMPLE_RATE), noise(SAMPLE_RATE), noise(SAMPLE_RATE)[:, ::-1]])
    stems[1, :, 20_000:20_400] *= 8
    effect: MixtureEffect = from_table(MixtureEffect, {"kind": "limit-aug"})
    mastered = effect.apply(stems, np.random.default_rng(0))
    mixture, loud = stems.sum(axis=0), mastered.sum(axis=0)
    measured = pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(loud.T.astype(np.float64))
    assert measured == pytest.approx(-14.0, abs=0.1)
    assert np.abs(loud).max() / rms(loud) < 0.8 * np.abs(mixture).max() / rms(mixture)
    clear = np.abs(stems).min(axis=0) > 1e-3
    gains = (mastered / np.where(stems == 0, 1, stems))[:, clear]
    assert np.abs(gains - gains[0]).max() < 1e-4 * gains.max()
    assert np.array_equal(effect.apply(stems, np.random.default_rng(0)), mastered)
    silent = np.zeros((3, 2, SAMPLE_RATE), dtype=np.float32)
    assert not effect.apply(silent, np.random.default_rng(0)).any()
    with pytest.raises(ValueError, match="between 0 and 1"):
        LimitAug(probability=2.0)


def test_interpolation_of_a_ramp_is_exact() -> None:
    ramp = np.linspace(0, 1, 101, dtype=np.float32)[None].repeat(2, 0)
    assert np.allclose(interpolated(ramp, 51), ramp[:, ::2], atol=1e-5)
    assert np.allclose(interpolated(noise(), N_SAMPLES), noise(), atol=1e-5)
    assert interpolated(noise(1), 5).shape == (2, 5)


def test_fitting_cuts_or_fills() -> None:
    assert fitted(noise(10), 4).shape == (2, 4)
    assert not fitted(noise(10), 14)[:, 10:].any()


def test_all_25_copies_are_planned_but_the_original(tmp_path: Path) -> None:
    write_audio_song(tmp_path / "train" / "song", ["bass", "vocals"])
    copies = plan_copies(
        read_collection(tmp_path / "train"), tmp_path, semitones=SEMITONES, tempo_percent=TEMPO_PERCENT
    )
    assert len({copy.path.parents[1] for copy in copies}) == 24
    assert len(copies) == 48
    vocals = next(c for c in copies if c.stem.source == "vocals" and (c.semitones, c.tempo_percent) == (-2, 10))
    assert vocals.path == tmp_path / "train_p=-2_t=10" / "song" / "vocals.wav"
    assert vocals.command == ["-pitch=-2", "-tempo=10", "-speech"]
    assert "-speech" not in next(copy for copy in copies if copy.stem.source == "bass").command


@pytest.mark.skipif(shutil.which(offline.PROGRAM) is None, reason="the program soundstretch is not installed")
def test_copies_are_stretched_once_and_found_as_a_collection(tmp_path: Path) -> None:
    song = write_audio_song(tmp_path / "train" / "song", ["bass"])
    soundfile.write(song / "bass.wav", tone(440.0, 2 * SAMPLE_RATE).T, SAMPLE_RATE)
    copies = plan_copies(read_collection(tmp_path / "train"), tmp_path, semitones=(0, 2), tempo_percent=(0, 20))
    assert write_copies(copies, n_processes=2) == 3
    assert write_copies(copies, n_processes=2) == 0
    (faster,) = (copy for copy in copies if (copy.semitones, copy.tempo_percent) == (2, 20))
    wave, rate = soundfile.read(faster.path, dtype="float32")
    assert (rate, soundfile.info(faster.path).subtype) == (SAMPLE_RATE, "PCM_16")
    assert len(wave) == pytest.approx(2 * SAMPLE_RATE / 1.2, rel=0.05)
    assert strongest_hz(wave.T[:, 10_000:60_000]) == pytest.approx(440.0 * 2 ** (2 / 12), rel=0.01)
    assert read_collection(tmp_path / "train_p=2_t=20").is_augmented
    assert [path.name for path in faster.path.parent.iterdir()] == ["bass.wav"]


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "PROGRAM", "no-such-program")
    with pytest.raises(InputError, match="no-such-program is not installed"):
        write_copies([], n_processes=1)


def test_noise_is_set_against_speech_at_a_drawn_ratio() -> None:
    """The ratio of energies in dB is twice r, as published; speech stays, and so does silence."""
    rng = np.random.default_rng(0)
    stems = rng.normal(size=(2, 2, 1000)).astype(np.float32) * np.array([0.1, 3.0], dtype=np.float32)[:, None, None]
    changed = SignalToNoise(low=5.0, high=5.0).apply(stems, rng)
    np.testing.assert_array_equal(changed[0], stems[0])
    assert 10 * np.log10(np.sum(changed[0] ** 2) / np.sum(changed[1] ** 2)) == pytest.approx(10.0, abs=1e-3)
    silent = np.zeros_like(stems)
    np.testing.assert_array_equal(SignalToNoise().apply(silent, rng), silent)
    with pytest.raises(ValueError, match=r"reaches from 3\.0"):
        SignalToNoise(low=3.0, high=1.0)
