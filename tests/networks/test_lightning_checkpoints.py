"""AIMLESS' Lightning checkpoints with their settings: what loads, what is left out, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from my_submission.engines import parse_device
from my_submission.engines.torch_engine import open_torch
from my_submission.errors import WeightsError
from my_submission.networks.band_split_rnn import SPLIT_HZ, BandSplitConfig, BandSplitRNN
from my_submission.networks.demucs_split import DemucsSplit, DemucsSplitConfig
from my_submission.networks.hybrid_demucs import HybridDemucs
from my_submission.networks.hybrid_demucs.shape import PUBLISHED_ARGUMENTS
from my_submission.networks.lightning_checkpoints import CLASSES, rows_of
from my_submission.networks.loaders import open_band_split_rnn, open_hybrid_demucs, open_x_umx
from my_submission.networks.state_dict import load_state_dict
from my_submission.networks.x_umx import XUmx, XUmxConfig
from tests.networks.test_aimless_networks import made, magnitudes, relative_error, run
from tests.networks.test_lasaft_weights import Harm, as_lightning_saves, lightning  # noqa: F401  a fixture

HYBRID_ARGUMENTS = {
    **PUBLISHED_ARGUMENTS,
    "sources": ["sfx", "music", "speech"],
    "audio_channels": 1,
    "channels": 4,
}
BANDS = BandSplitConfig(hidden_size=8, num_layers=1, norm_groups=2)
BAND_ARGUMENTS = {
    "n_fft": 4096,
    "split_freqs": list(SPLIT_HZ),
    "hidden_size": 8,
    "num_layers": 1,
    "norm_groups": 2,
}
UMX = XUmxConfig(n_fft=32, hidden_channels=8, max_bins=11, nb_layers=2)
UMX_ARGUMENTS = {"n_fft": 32, "hidden_channels": 8, "max_bins": 11, "nb_channels": 2, "nb_layers": 2}
KINDS: dict[str, tuple[Callable[[], nn.Module], Callable[[Path], nn.Module], dict[str, Any], tuple[int, ...]]] = {
    "torchaudio.models.HDemucs": (
        lambda: made(HybridDemucs, 3, 1, 4),
        open_hybrid_demucs,
        HYBRID_ARGUMENTS,
        (1, 1, 3_000),
    ),
    "aimless.models.band_split_rnn.BandSplitRNN": (
        lambda: made(BandSplitRNN, BANDS),
        open_band_split_rnn,
        BAND_ARGUMENTS,
        (1, 2, 2_049, 3),
    ),
    "aimless.models.band_split_rnn.BandSplitRNNMulti": (
        lambda: made(BandSplitRNN, replace(BANDS, n_sources=3)),
        open_band_split_rnn,
        {**BAND_ARGUMENTS, "n_sources": 3},
        (1, 2, 2_049, 3),
    ),
    "aimless.models.xumx.X_UMX": (lambda: made(XUmx, UMX), open_x_umx, UMX_ARGUMENTS, (1, 2, 17, 3)),
}


def module_state(network: nn.Module) -> dict[str, Tensor]:
    """What the training program's module stores: the network below ``model.``, and buffers of what is around it."""
    state = {f"model.{key}": value for key, value in network.state_dict().items()}
    for key in ("targets_idx", "transforms.0.window", "criterion.window", "spec.window", "inv_spec.window", "mwf.a.b"):
        state[key] = torch.zeros(3)
    return state


def published(folder: Path, class_path: str, **changed: object) -> Path:
    """A run's folder as Lightning lays it out."""
    network, _, arguments, _ = KINDS[class_path]
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoints" / "last.ckpt"
    torch.save(as_lightning_saves(module_state(network())), path)
    model = {"class_path": class_path, "init_args": {**arguments, **changed}}
    settings = {"model": {"class_path": "aimless.lightning.waveform.WaveformSeparator", "init_args": {"model": model}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("lightning")
@pytest.mark.parametrize("class_path", KINDS)
def test_published_checkpoints_load(tmp_path: Path, class_path: str) -> None:
    """The same numbers come out, through the function that engines use; mapped memory may round sums."""
    network, load, _, fed = KINDS[class_path]
    path, x = published(tmp_path, class_path), magnitudes(*fed)
    expected = run(network(), x)
    assert relative_error(run(load(path), x), expected.numpy()) < 1e-6
    engine = open_torch(path, CLASSES[class_path], device=parse_device("cpu"), threads=1)
    assert relative_error(torch.from_numpy(engine.run(x.numpy())), expected.numpy()) < 1e-6


@pytest.mark.usefixtures("lightning")
def test_settings_are_not_needed(tmp_path: Path) -> None:
    """Without them the shapes say everything, and a bare state is one too."""
    path = published(tmp_path, "torchaudio.models.HDemucs")
    (tmp_path / "config.yaml").unlink()
    network, x = made(HybridDemucs, 3, 1, 4), magnitudes(1, 1, 3_000)
    torch.save(network.state_dict(), tmp_path / "bare.pt")
    for file in (path, tmp_path / "bare.pt"):
        assert relative_error(run(open_hybrid_demucs(file), x), run(network, x).numpy()) < 1e-6


@pytest.mark.usefixtures("lightning")
@pytest.mark.parametrize(
    ("class_path", "changed", "message"),
    [
        ("torchaudio.models.HDemucs", {"channels": 48}, "channels=48 does not fit the weights"),
        ("torchaudio.models.HDemucs", {"sources": ["vocals"]}, r"sources=\['vocals'\] does not fit"),
        ("torchaudio.models.HDemucs", {"dconv_lstm": 5}, "dconv_lstm=5 does not fit"),
        ("torchaudio.models.HDemucs", {"wiener": True}, "an argument 'wiener', which is not known"),
        ("aimless.models.band_split_rnn.BandSplitRNN", {"split_freqs": [100, 200]}, "split_freqs"),
        ("aimless.models.band_split_rnn.BandSplitRNN", {"norm_groups": "four"}, "norm_groups=four is not a number"),
        ("aimless.models.band_split_rnn.BandSplitRNNMulti", {"n_sources": 4}, "n_sources=4 does not fit the weights"),
        ("aimless.models.xumx.X_UMX", {"max_bins": 12}, "max_bins=12 does not fit"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    tmp_path: Path, class_path: str, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        KINDS[class_path][1](published(tmp_path, class_path, **changed))


@pytest.mark.usefixtures("lightning")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {init_args: {model: {class_path: os.system}}}", "class 'os.system' is none of torchaudio"),
        ("model: {init_args: {model: {class_path: models.xumx.X_UMX}}}", "those of a x-umx, not of a hybrid-demucs"),
        ("model: !!python/object/apply:os.system ['touch harm']", "cannot be read as settings"),
        ("- 1", "no model.init_args.model.class_path"),
        ("model: {init_args: {model: {class_path: torchaudio.models.HDemucs, init_args: 3}}}", "are not a table"),
        ("#" * (1 << 21), "has more than 0.125 MiB"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = published(tmp_path, "torchaudio.models.HDemucs")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=message):
        open_hybrid_demucs(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.usefixtures("lightning")
def test_what_is_not_the_network_is_named_or_left_out(tmp_path: Path) -> None:
    network = made(HybridDemucs, 3, 1, 4)
    path = tmp_path / "last.ckpt"
    torch.save(as_lightning_saves({**module_state(network), "teacher.weight": torch.zeros(1)}), path)
    with pytest.raises(WeightsError, match=r"teacher\.weight belongs to no known part"):
        open_hybrid_demucs(path)
    torch.save(as_lightning_saves(module_state(network), hyper_parameters={"x": Harm()}), path)
    with pytest.raises(WeightsError, match="contains code"):
        open_hybrid_demucs(path)


def test_rows_follow_the_trainer_s_list() -> None:
    """The published music settings name vocals first; the network's rows do not."""
    assert rows_of(["vocals", "drums", "bass", "other"]) == ("drums", "bass", "other", "vocals")
    assert rows_of(["speech", "sfx", "music"]) == ("music", "effect", "dialog")
    assert rows_of(["music"]) == ("music",)
    with pytest.raises(ValueError, match="no system of AIMLESS"):
        rows_of(["piano"])


def test_mapped_weights_may_be_written_to_and_leave_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "bare.pt"
    torch.save({"a": torch.arange(5.0)}, path)
    before = path.read_bytes()
    load_state_dict(path)["a"].add_(1)
    assert path.read_bytes() == before
    torch.save({"a": torch.arange(5.0)}, path, _use_new_zipfile_serialization=False)
    assert load_state_dict(path)["a"].tolist() == [0, 1, 2, 3, 4]


def test_a_split_demucs_is_an_engine(tmp_path: Path) -> None:
    network = made(DemucsSplit, DemucsSplitConfig(channels=4, depth=2))
    torch.save(network.state_dict(), tmp_path / "split.th")
    engine = open_torch(tmp_path / "split.th", "demucs-split", device=parse_device("cpu"), threads=1)
    x = magnitudes(1, 2, network.config.valid_length(500))
    estimated = run(network, x)
    found = torch.from_numpy(engine.run(x.numpy()))
    assert found.shape[-1] == x.shape[-1]
    assert relative_error(found[..., : estimated.shape[-1]], estimated.numpy()) < 1e-6
