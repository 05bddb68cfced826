"""The training program on tiny synthetic songs: it learns, resumes, and refuses what is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from my_submission.networks.tfc_tdf import TfcTdfConfig
from my_submission.stems import MUSIC_SOURCES, Waveform
from training.corpus import SAMPLE_RATE, scan, write_stem
from training.evaluate import global_sdr, separate
from training.experiments import EXPERIMENTS, STARTER, Experiment
from training.fit import TrainingState, draw_spectra, fit, load_collections
from training.loss import energy_ratio
from training.mixing import STARTER_AUGMENTATION, Remixer, equaliser, panned, resampled, saturated
from training.spectra import Geometry, spectrum, waveform

TINY = Experiment(
    name="tiny",
    geometry=Geometry(n_fft=512, hop=256, bins=128, frames=32),
    network=TfcTdfConfig(
        bins=128,
        depth=5,
        growth=6,
        convs_per_block=1,
        bottleneck=4,
        norm="instance",
        output="complex_mask",
        bins_per_row=2,
        compression=0.3,
        targets=2,
    ),
    targets=("drums", "vocals"),
    target_weights=(1.0, 1.0),
    collections={"songs": 1.0},
    augmentation=replace(STARTER_AUGMENTATION, level_db=1.0),
    batch=4,
    steps=120,
    warmup_steps=5,
    cooldown_steps=20,
    learning_rate=5e-3,
    ema=0.9,
)
SECONDS = 4


def synthetic_stem(source: str, seed: int) -> Waveform:
    """Stems that a small network can tell apart: low tone, clicks, mid noise, gliding high tone."""
    rng = np.random.default_rng([seed, MUSIC_SOURCES.index(source)])
    time = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    if source == "bass":
        mono = np.sin(2 * np.pi * rng.uniform(60, 110) * time)
    elif source == "drums":
        beat = (time * rng.uniform(3.0, 5.0)) % 1.0
        mono = rng.normal(size=time.size) * np.exp(-40 * beat)
    elif source == "other":
        mono = sum(np.sin(2 * np.pi * rng.uniform(300, 800) * time + k) for k in range(4)) / 2
    else:
        mono = np.sin(2 * np.pi * 2500 * time + 40 * np.sin(2 * np.pi * rng.uniform(4, 7) * time))
    return np.asarray(0.2 * np.stack((mono, 0.7 * mono)), dtype=np.float32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    for seed in range(3):
        for source in MUSIC_SOURCES:
            pcm = (synthetic_stem(source, seed).T * 32767).clip(-32768, 32767).astype(np.int16)
            write_stem(root / "songs" / f"song{seed}", source, pcm)
    return root


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingState:
    return fit(TINY, corpus, tmp_path_factory.mktemp("run"), save_every=30, n_threads=1)


def test_it_learns(trained: TrainingState) -> None:
    stems = {source: synthetic_stem(source, 99) for source in MUSIC_SOURCES}
    mixture = np.asarray(sum(stems.values()), dtype=np.float32)
    fresh = TrainingState.fresh(TINY).averaged
    for row, source in enumerate(TINY.targets):
        before = global_sdr(stems[source], separate(fresh, TINY.geometry, mixture)[row])
        after = global_sdr(stems[source], separate(trained.averaged, TINY.geometry, mixture)[row])
        assert after > before + 3.0, f"{source}: {before:.2f} dB before, {after:.2f} dB after {TINY.steps} steps"


def test_a_resumed_run_ends_with_the_same_weights(corpus: Path, tmp_path: Path) -> None:
    short = replace(TINY, steps=6)
    whole = fit(short, corpus, tmp_path / "whole", save_every=100, n_threads=1)
    interrupted = TrainingState.fresh(short)
    remixer = Remixer(load_collections(corpus, short), short.augmentation, n_samples=short.geometry.chunk_samples)
    from training.fit import train_step

    for step in range(3):
        train_step(short, interrupted, draw_spectra(short, remixer, step))
    interrupted.save(tmp_path / "broken" / "state.pt")
    resumed = fit(short, corpus, tmp_path / "broken", save_every=100, n_threads=1)
    for nets in ((whole.net, resumed.net), (whole.averaged, resumed.averaged)):
        first, second = (net.state_dict() for net in nets)
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_log_has_a_row_per_checkpoint(corpus: Path, tmp_path: Path) -> None:
    fit(replace(TINY, steps=3), corpus, tmp_path, save_every=2, n_threads=1)
    rows = (tmp_path / "loss.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["2", "3"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["loss.csv", "state.pt"]


def test_a_missing_collection_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="songs"):
        load_collections(tmp_path, TINY)


def test_examples_depend_on_the_step_only(corpus: Path) -> None:
    remixer = Remixer(load_collections(corpus, TINY), TINY.augmentation, n_samples=TINY.geometry.chunk_samples)
    first = draw_spectra(TINY, remixer, 5)
    draw_spectra(TINY, remixer, 6)
    assert torch.equal(draw_spectra(TINY, remixer, 5), first)
    assert not torch.equal(draw_spectra(TINY, remixer, 6), first)
    assert first.shape == (4, 3, 4, 128, 32)


def test_absent_sources_are_silent(corpus: Path) -> None:
    absent = dict.fromkeys(MUSIC_SOURCES, 0.0) | {"vocals": 0.999999}
    change = replace(TINY.augmentation, absent=absent)
    batch = Remixer(load_collections(corpus, TINY), change, n_samples=4096).batch(np.random.default_rng(0), 8)
    assert not batch[:, MUSIC_SOURCES.index("vocals")].any()
    assert all(batch[:, row].any() for row in range(3))


def test_stems_are_read_back(corpus: Path) -> None:
    stems = list(scan(corpus / "songs"))
    assert len(stems) == 12
    bass = next(s for s in stems if s.source == "bass" and s.song == "song0")
    expected = synthetic_stem("bass", 0)
    assert np.allclose(bass.window(1000, 500), expected[:, 1000:1500], atol=1e-4)
    end = bass.window(bass.n_samples - 10, 20)
    assert end[:, :10].any()
    assert not end[:, 10:].any()
    assert bass.active_rms == pytest.approx(float(np.sqrt(np.mean(expected**2))), rel=1e-3)


@pytest.mark.parametrize("n_fft", [512, 1024])
def test_spectrum_and_back(n_fft: int) -> None:
    geometry = Geometry(n_fft=n_fft, hop=256, bins=n_fft // 2 + 1, frames=16)
    waves = torch.randn(2, 2, geometry.chunk_samples, generator=torch.Generator().manual_seed(0))
    spectra = spectrum(waves, geometry)
    assert spectra.shape == (2, 4, geometry.bins, 16)
    assert torch.allclose(waveform(spectra, geometry, geometry.chunk_samples), waves, atol=1e-5)
    window = np.hanning(n_fft + 1)[:-1]
    start = 4 * 256 - n_fft // 2
    direct = np.fft.rfft(waves[1, 1, start : start + n_fft].numpy() * window)
    assert np.allclose(spectra[1, 2, :, 4], direct.real, atol=1e-3)
    assert np.allclose(spectra[1, 3, :, 4], direct.imag, atol=1e-3)


@pytest.mark.parametrize("n_samples", [1, 5000, 40_000])
def test_separation_keeps_length_and_an_all_pass_net_the_signal(n_samples: int) -> None:
    geometry = Geometry(n_fft=256, hop=128, bins=128, frames=32)
    config = TfcTdfConfig(bins=128, depth=3, growth=4, norm="instance", output="complex_mask", compression=0.5)
    net = TrainingState.fresh(replace(TINY, geometry=geometry, network=replace(config, targets=2))).net
    with torch.no_grad():
        net.final_conv[0].weight.zero_()
        net.final_conv[0].bias.copy_(torch.tensor([1.0, 0.0]).repeat(4))
    time = np.arange(n_samples) / SAMPLE_RATE
    mixture = np.sin(2 * np.pi * np.array([[300.0], [1000.0]]) * time).astype(np.float32)
    separated = separate(net, geometry, mixture)
    assert separated.shape == (2, 2, n_samples)
    assert np.allclose(separated, mixture, atol=2e-3)


def test_loss_of_a_known_error() -> None:
    targets = torch.ones(1, 2, 4, 3, 5)
    mixture = torch.full((1, 4, 3, 5), 2.0)
    estimates = targets.clone()
    estimates[:, 0] += 1.0
    weights = torch.tensor([3.0, 1.0])
    assert float(energy_ratio(estimates, targets, mixture, weights)) == pytest.approx(3.0 / 4.0 / 2.0, rel=1e-3)
    silence = torch.zeros(1, 2, 4, 3, 5)
    assert float(energy_ratio(silence, silence, torch.zeros(1, 4, 3, 5), weights)) == 0.0


def test_changes_of_a_window() -> None:
    window = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    assert np.allclose(resampled(window, 1000), window, atol=1e-5)
    ramp = np.linspace(0, 1, 101, dtype=np.float32)[None].repeat(2, 0)
    assert np.allclose(resampled(ramp, 51), ramp[:, ::2], atol=1e-5)
    bent = saturated(window, 1.0)
    assert np.sqrt(np.mean(bent**2)) == pytest.approx(np.sqrt(np.mean(window**2)), rel=1e-4)
    assert not saturated(np.zeros_like(window), 1.0).any()
    assert np.allclose(panned(window, 0.0)[0], panned(window, 0.0)[1], atol=1e-6)
    assert np.abs(panned(window, -1.0)[1]).max() < 1e-6
    flat = equaliser(np.random.default_rng(0), 3, 128, 512, 0.0)
    assert np.array_equal(flat, np.ones((3, 128), dtype=np.float32))


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [TINY.rate(step) for step in range(TINY.steps)]
    assert rates[0] == pytest.approx(TINY.learning_rate / 5)
    assert rates[4:101] == [TINY.learning_rate] * 97
    assert rates[-1] == pytest.approx(TINY.learning_rate / 20)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_every_starter_source_has_an_experiment() -> None:
    assert tuple(STARTER) == MUSIC_SOURCES
    assert all(source in EXPERIMENTS[name].targets for source, name in STARTER.items())


@pytest.mark.parametrize("fields", [{"target_weights": (1.0,)}, {"geometry": replace(TINY.geometry, frames=30)}])
def test_an_experiment_refuses_what_does_not_fit(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="tiny"):
        replace(TINY, **fields)  # type: ignore[arg-type]
