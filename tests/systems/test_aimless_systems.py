"""AIMLESS' systems from checkpoints of random weights: the published arithmetic once more, segments, entry points."""

from __future__ import annotations

import functools
import runpy
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import my_submission as mdx
from my_submission.aicrowd_wrapper import AIcrowdWrapper
from my_submission.audio_io import WAV_FLOAT
from my_submission.dsp.wiener import WienerSettings
from my_submission.engines import Device, torch_engine
from my_submission.engines.torch_engine import TorchEngine
from my_submission.errors import WeightsError
from my_submission.geometry import FrameChunking, OverlapChunking, WholeSong
from my_submission.mechanisms import MaskingRecipe, WaveformMechanism, WaveformRecipe
from my_submission.networks.band_split_rnn import BandSplitConfig, BandSplitRNN
from my_submission.networks.demucs_split import DemucsSplit, DemucsSplitConfig
from my_submission.networks.hybrid_demucs import HybridDemucs
from my_submission.networks.x_umx import XUmx, XUmxConfig
from my_submission.stems import CINEMA_SOURCES, DEMUCS_SOURCES, MUSIC_SOURCES
from my_submission.systems import SYSTEMS, SystemRecipe
from my_submission.systems.aimless import (
    AIMLESS_SYSTEMS,
    BOTTOM_STRIDE,
    CINEMA_SEGMENTS,
    MUSIC_SEGMENTS,
    REDUCED_OVERLAPS,
)
from tests.model_makers import entry, write_manifest, write_torch
from tests.rigs import estimated
from tests.whole_files import wiener

ROOT = Path(__file__).resolve().parents[2]
RATE = 44_100
TRANSFORM = {"n_fft": 4096, "hop": 1024}
SHORT_SEGMENTS = OverlapChunking(80 * BOTTOM_STRIDE, 0.25)
SHORT_STRETCHES = FrameChunking(120, 20)


def random_networks() -> dict[str, torch.nn.Module]:
    """One small network for every artefact."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return {
            "aimless/cdx-hdemucs": HybridDemucs(3, 1, 8),
            "aimless/cdx-band-split-rnn": BandSplitRNN(BandSplitConfig(hidden_size=8, num_layers=1)),
            "aimless/mdx-hdemucs": HybridDemucs(4, 2, 8),
            "aimless/x-umx": XUmx(XUmxConfig(hidden_channels=8, nb_layers=1)),
            "aimless/demucs-split": DemucsSplit(DemucsSplitConfig(channels=4)),
            "hdemucs/musdb-plus": HybridDemucs(4, 2, 8),
            "hdemucs/musdb": HybridDemucs(4, 2, 8),
        }


ARCHITECTURES = {
    HybridDemucs: "hybrid-demucs",
    BandSplitRNN: "band-split-rnn",
    XUmx: "x-umx",
    DemucsSplit: "demucs-split",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every artefact of the AIMLESS systems, small and random."""
    folder = tmp_path_factory.mktemp("models")
    write_manifest(folder, [written_network(folder, name, network) for name, network in random_networks().items()])
    return folder


def written_network(folder: Path, name: str, network: torch.nn.Module) -> dict[str, Any]:
    """Write a network, and return its entry of the manifest."""
    written = write_torch(folder, name, network.state_dict(), ARCHITECTURES[type(network)])
    return {**written, "geometry": TRANSFORM if isinstance(network, BandSplitRNN | XUmx) else None}


def test_a_network_of_other_sources_is_refused(tmp_path: Path) -> None:
    """A BandSplitRNN of three sources under the name of the one of music."""
    networks = {
        **random_networks(),
        "aimless/cdx-band-split-rnn": BandSplitRNN(BandSplitConfig(hidden_size=8, num_layers=1, n_sources=3)),
    }
    write_manifest(
        tmp_path, [written_network(tmp_path, name, network) for name, network in networks.items() if "cdx" in name]
    )
    with pytest.raises(WeightsError, match="it masks 3 sources, but the system expects music"):
        mdx.load("aimless-cdx-a", models_dir=tmp_path, device="cpu", threads=1)


def shortened(system: SystemRecipe) -> SystemRecipe:
    """The system with short segments, so that a song of a few seconds has several."""
    branches = []
    for branch in system.branches:
        recipe = branch.recipe
        if isinstance(recipe, MaskingRecipe):
            recipe = replace(recipe, chunking=SHORT_STRETCHES)
        elif isinstance(recipe, WaveformRecipe):
            is_whole = isinstance(recipe.chunking, WholeSong)
            recipe = replace(recipe, chunking=WholeSong(SHORT_SEGMENTS) if is_whole else SHORT_SEGMENTS)
        branches.append(replace(branch, recipe=recipe))
    return replace(system, branches=tuple(branches))


@pytest.fixture(autouse=True)
def short_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short segments, and one thread: small networks gain nothing by more of them."""
    monkeypatch.setattr(torch_engine, "available_cpus", lambda: 1)
    for system in AIMLESS_SYSTEMS:
        monkeypatch.setitem(SYSTEMS, system.name, shortened(system))


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal((2, round(seconds * RATE)))).astype(np.float32)


def scene(seconds: float) -> dict[str, np.ndarray]:
    """A film's sound: a voice-like tone in the middle, noise bursts, and a chord with a side and some noise.

    Where there is nothing at all in a band, the masking network looks at the rounding of the transform.
    """
    time = np.arange(round(seconds * RATE)) / RATE
    voice = 0.1 * np.sin(2 * np.pi * 180 * time) * (np.sin(2 * np.pi * 1.3 * time) > 0)
    bursts = noise(seconds, 1) * (np.sin(2 * np.pi * 0.7 * time) > 0.8)
    chord = 0.05 * np.stack([np.sin(2 * np.pi * hertz * time) for hertz in (330.0, 440.0)])
    chord += 0.01 * noise(seconds, 2)
    return {
        name: np.asarray(stem, np.float32)
        for name, stem in zip(CINEMA_SOURCES, ([voice] * 2, bursts, chord), strict=True)
    }


def ratio_db(reference: np.ndarray, other: np.ndarray) -> float:
    wide = reference.astype(np.float64)
    return float(10 * np.log10(np.sum(wide**2) / np.sum((wide - other) ** 2)))


def published_cdx_a(mixture: np.ndarray) -> dict[str, np.ndarray]:
    """The published inference over a whole film, once more: torch's own transforms, no separator, no segments."""
    networks = random_networks()
    x = torch.from_numpy(mixture)
    with torch.inference_mode():
        rows = torch.stack([x[0], x[1], 0.5 * (x[0] - x[1]), 0.5 * (x[0] + x[1])])
        estimates = networks["aimless/cdx-hdemucs"].eval()(rows[:, None])[:, :, 0]
        (ml, el, dl), (mr, er, dr), (ms, es, _), (mm, em, dm) = estimates
        window = torch.hann_window(4096)
        spectrum = torch.stft(x, 4096, 1024, window=window, return_complex=True)
        mask = networks["aimless/cdx-band-split-rnn"].eval()(spectrum.abs()[None])[0]
        masks, mixed = (np.swapaxes(value.numpy(), -1, -2) for value in (mask[None], spectrum))
        target = wiener(masks, mixed, WienerSettings())[0]
        masked = torch.istft(torch.from_numpy(target.swapaxes(-1, -2).copy()), 4096, 1024, window=window)
        masked = torch.nn.functional.pad(masked, (0, x.shape[-1] - masked.shape[-1]))
        side_music, side_effect = rows[2] - es, rows[2] - ms
        dialog = (dl + dr + dm) / 3
        effect = torch.stack([(side_effect + em + el) / 2, (em - side_effect + er) / 2])
        music = torch.stack([(side_music + mm + ml) / 2, (mm - side_music + mr) / 2])
    stems = {"dialog": torch.stack([dialog, dialog]), "effect": effect, "music": (music + masked) / 2}
    return {name: stem.numpy() for name, stem in stems.items()}


@pytest.mark.slow
def test_the_whole_chain_is_the_published_one(models: Path) -> None:
    """At least 80 dB, at a rate that the published program passes through."""
    mixture = sum(scene(1.02).values())
    expected = published_cdx_a(mixture)
    separator = mdx.load("aimless-cdx-a-whole", models_dir=models, device="cpu")
    for rate in (44_100, 48_000):
        stems = separator.separate(mixture, sample_rate=rate)
        agreement = {name: ratio_db(expected[name], stems[name]) for name in CINEMA_SOURCES}
        print(rate, {name: f"{value:.1f} dB" for name, value in agreement.items()})
        assert min(agreement.values()) >= 80


@pytest.mark.slow
def test_another_rate_is_resampled_unless_it_is_passed_through(models: Path, tmp_path: Path) -> None:
    """From a file: as long as the input and at its rate in both cases, and not the same."""
    path = tmp_path / "film.wav"
    soundfile.write(path, noise(1.0).T, 48_000, subtype="FLOAT")
    stems = {}
    for name in ("aimless-cdx-a", "aimless-cdx-a-whole"):
        report = mdx.load(name, models_dir=models, device="cpu").separate_file(
            path, tmp_path / name, audio_format=WAV_FLOAT
        )
        stems[name], rate = soundfile.read(report.outputs["effect"])
        assert (rate, stems[name].shape, report.is_as_published) == (48_000, (44_100, 2), True)
    assert ratio_db(stems["aimless-cdx-a-whole"], stems["aimless-cdx-a"]) < 30


@pytest.mark.slow
def test_segments_are_near_the_whole_song(models: Path) -> None:
    """Hybrid Demucs on steady sound: at least 40 dB away from the joins; the network scales by what it hears."""
    network = random_networks()["aimless/mdx-hdemucs"]
    engine = TorchEngine(network, device=Device("cpu"), threads=1)
    mixture = noise(8.0)
    stems = []
    grid = OverlapChunking(150 * BOTTOM_STRIDE, 0.25)
    for chunking in (WholeSong(grid), grid):
        mechanism = WaveformMechanism(
            engine, DEMUCS_SOURCES, valid_length=lambda samples: samples, chunking=chunking, normalisation="none"
        )
        stems.append(np.stack(list(estimated(mechanism, mixture).values())))
    is_kept = np.ones(mixture.shape[1], bool)
    overlap = grid.segment_samples - grid.stride_samples
    for offset in grid.offsets(mixture.shape[1])[1:]:
        is_kept[offset - RATE // 4 : offset + overlap + RATE // 4] = False
    agreement = ratio_db(stems[0][..., is_kept], stems[1][..., is_kept])
    print(f"{agreement:.1f} dB over {is_kept.mean():.0%} of the song")
    assert agreement >= 40


@pytest.mark.parametrize("grid", [MUSIC_SEGMENTS, CINEMA_SEGMENTS])
def test_segments_begin_where_the_whole_song_has_frames(grid: OverlapChunking) -> None:
    for overlap in (grid.overlap_ratio, *REDUCED_OVERLAPS):
        assert replace(grid, overlap_ratio=overlap).stride_samples % BOTTOM_STRIDE == 0


@pytest.mark.slow
def test_a_mono_film_has_no_side(models: Path) -> None:
    mono = np.repeat(noise(1.5)[:1], 2, axis=0)
    for system in ("aimless-cdx-a", "aimless-cdx-a-whole"):
        stems = mdx.load(system, models_dir=models, device="cpu").separate(mono)
        for name in ("dialog", "effect"):
            np.testing.assert_array_equal(stems[name][0], stems[name][1])
        # Rounding of the Wiener filter, which inverts a matrix that is all but singular.
        np.testing.assert_allclose(stems["music"][0], stems["music"][1], atol=1e-6)


@pytest.mark.parametrize("name", [system.name for system in AIMLESS_SYSTEMS])
@pytest.mark.parametrize("samples", [1, 50_001])
def test_every_system_separates_any_length(models: Path, name: str, samples: int) -> None:
    separator = mdx.load(name, models_dir=models, device="cpu", allow_unverified=True)
    stems = separator.separate(noise(1.2)[:, :samples])
    assert tuple(stems) == (CINEMA_SOURCES if "cdx" in name else MUSIC_SOURCES)
    for stem in stems.values():
        assert stem.shape == (2, samples)
        assert np.isfinite(stem).all()


def configure(folder: Path, system: str) -> None:
    lines = [f'system = "{system}"', 'track = "cdx23"', 'authors = ["a"]', 'description = "d"']
    lines += ["song_limit_seconds = 600", "external_dataset_used = false"]
    (folder / "submission.toml").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("system", ["aimless-cdx-a", "aimless-cdx-a-whole"])
def test_the_grader_of_2023_gets_three_whole_stems(
    models: Path, system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner that stands for the organisers, over both forms of a cinema song, with ten minutes for each."""
    configure(tmp_path, system)
    mixture = sum(scene(0.7).values())
    for folder in ("songs/whole", "songs/split", "shared/predictions"):
        (tmp_path / folder).mkdir(parents=True)
    soundfile.write(tmp_path / "songs/whole/mix.wav", mixture.T, RATE, subtype="FLOAT")
    for side, channel in zip(("Lt", "Rt"), mixture, strict=True):
        soundfile.write(tmp_path / f"songs/split/split_mixture_{side}.wav", channel, RATE, subtype="FLOAT")
    values = {
        "MDX_SUBMISSION_FILE": tmp_path / "submission.toml",
        "MDX_MODELS_DIR": models,
        "AICROWD_DATASET_DIR": tmp_path / "songs",
        "AICROWD_PUBLIC_SHARED_DIR": tmp_path / "shared",
        "REHEARSAL_RECORD": tmp_path / "record.jsonl",
        "REHEARSAL_INSTRUMENTS": ",".join(CINEMA_SOURCES),
        "REHEARSAL_SECONDS": 600,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    for name in ("MDX_SYSTEM", "MDX_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    handler = signal.getsignal(signal.SIGALRM)
    try:
        assert runpy.run_path(str(ROOT / "my_submission/submission/graders/sdx23.py"))["main"]() == 0
    finally:
        signal.signal(signal.SIGALRM, handler)
    stems = {
        song: [soundfile.read(tmp_path / f"shared/predictions/{song}/{song}_{name}.wav")[0] for name in CINEMA_SOURCES]
        for song in ("whole", "split")
    }
    assert np.shape(stems["whole"]) == (3, mixture.shape[1], 2)
    np.testing.assert_array_equal(stems["whole"], stems["split"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "form"),
    [
        ("aimless-cdx-a", "whole"),
        ("aimless-cdx-a", "split"),
        ("aimless-cdx-a", "mono"),
        ("aimless-cdx-a-whole", "whole"),
    ],
)
def test_a_scene_goes_through_the_2023_door(
    models: Path, system: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both forms of the cinematic track, and mono, which is doubled: the stems written equal those of the system."""
    configure(tmp_path, system)
    monkeypatch.setenv("MDX_SUBMISSION_FILE", str(tmp_path / "submission.toml"))
    monkeypatch.setenv("MDX_MODELS_DIR", str(models))
    for variable in ("AICROWD_DATASET_DIR", "AICROWD_PUBLIC_SHARED_DIR", "MDX_SYSTEM", "MDX_DEVICE"):
        monkeypatch.delenv(variable, raising=False)
    folder, out = tmp_path / "songs" / "scene", tmp_path / "out"
    folder.mkdir(parents=True)
    out.mkdir()
    mixture = sum(scene(0.8).values())
    if form == "mono":
        mixture[1] = mixture[0]
    if form == "split":
        for side, channel in zip(("Lt", "Rt"), mixture, strict=True):
            soundfile.write(folder / f"scene_mixture_{side}.wav", channel, RATE, subtype="FLOAT")
    else:
        sound = mixture[0] if form == "mono" else mixture.T
        soundfile.write(folder / "mix.wav", sound, RATE, subtype="FLOAT")
    wrapped = AIcrowdWrapper(str(tmp_path / "songs"), str(out))
    predictor = wrapped.model.predictor
    # What is left of ten minutes would go into shifted passes.
    monkeypatch.setattr(predictor, "stream", functools.partial(predictor.stream, refine=False))
    assert wrapped.separate_music_file("scene")
    expected = predictor.separate(mixture)
    for name in CINEMA_SOURCES:
        written, rate = soundfile.read(out / "scene" / f"scene_{name}.wav")
        assert rate == RATE
        assert written.shape == mixture.T.shape
        np.testing.assert_allclose(written, expected[name].T, atol=2**-15)


def test_checkpoints_of_other_shapes_are_refused(models: Path, tmp_path: Path) -> None:
    def folder_of(name: str, source: str, architecture: str, **more: object) -> Path:
        folder = tmp_path / name.replace("/", "-")
        (folder / "aimless").mkdir(parents=True)
        (folder / "aimless/x.th").write_bytes((models / f"{source}.th").read_bytes())
        write_manifest(folder, [entry(name, folder, "aimless/x.th", format="torch", architecture=architecture, **more)])
        return folder

    stereo = folder_of("aimless/mdx-hdemucs", "aimless/cdx-hdemucs", "hybrid-demucs")
    with pytest.raises(WeightsError, match="4 sources and 2 channels"):
        mdx.load("aimless-mdx-a", models_dir=stereo, device="cpu")
    small = folder_of("aimless/x-umx", "aimless/x-umx", "x-umx", geometry={"n_fft": 2048, "hop": 1024})
    with pytest.raises(WeightsError, match="2049 bins"):
        mdx.load("aimless-xumx", models_dir=small, device="cpu")
