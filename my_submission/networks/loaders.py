"""Networks from their checkpoints: state dicts, Lightning's checkpoints with or without settings, ONNX graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from my_submission.errors import WeightsError
from my_submission.networks import band_split_rnn, demucs_split, hybrid_demucs, tfc_tdf_weights, x_umx
from my_submission.networks.band_split_rnn import SPLIT_HZ, BandSplitRNN
from my_submission.networks.demucs import Demucs
from my_submission.networks.demucs_split import WholeLength
from my_submission.networks.hybrid_demucs import HybridDemucs
from my_submission.networks.hybrid_demucs.shape import PUBLISHED_ARGUMENTS
from my_submission.networks.lightning_checkpoints import read_checkpoint
from my_submission.networks.state_dict import load_state_dict
from my_submission.networks.tfc_tdf import TfcTdfNet
from my_submission.networks.x_umx import XUmx


def open_demucs(path: Path) -> Demucs:
    """Read a Demucs v2; errors as :func:`open_hybrid_demucs`."""
    return Demucs.from_state(load_state_dict(path), where=str(path))


def open_tfc_tdf(path: Path) -> TfcTdfNet:
    """Read a TFC-TDF network from a state dict or an ONNX graph; errors as :func:`open_hybrid_demucs`."""
    if path.suffix == ".onnx":
        return tfc_tdf_weights.from_onnx(path)
    return tfc_tdf_weights.from_state_dict(load_state_dict(path), where=path)


def open_hybrid_demucs(path: Path) -> HybridDemucs:
    """Read a Hybrid Demucs, on memory mapped from the file.

    Raises:
        WeightsError: the file is damaged, contains code, or is not such a network; or its settings do not fit it.
    """
    checkpoint = read_checkpoint(path, "hybrid-demucs")
    network = hybrid_demucs.from_state_dict(checkpoint.state, where=path)
    sizes = network.config
    fitted = {"sources": sizes.sources, "audio_channels": sizes.audio_channels, "channels": sizes.channels}
    checkpoint.check({**PUBLISHED_ARGUMENTS, **fitted})
    return network


def open_band_split_rnn(path: Path) -> BandSplitRNN:
    """Read a BandSplitRNN; errors as :func:`open_hybrid_demucs`."""
    checkpoint = read_checkpoint(path, "band-split-rnn")
    groups = checkpoint.arguments.get("norm_groups", band_split_rnn.BandSplitConfig().norm_groups)
    if not isinstance(groups, int):
        raise WeightsError(f"norm_groups={groups} is not a number", where=checkpoint.settings)
    network = band_split_rnn.from_state_dict(checkpoint.state, norm_groups=groups, where=path)
    sizes = network.config
    names = ("hidden_size", "num_layers", "norm_groups", "n_sources")
    fitted = {name: getattr(sizes, name) for name in names}
    checkpoint.check({"n_fft": 2 * (sizes.bins - 1), "split_freqs": list(SPLIT_HZ), **fitted})
    return network


def open_x_umx(path: Path) -> XUmx:
    """Read an X-UMX; errors as :func:`open_hybrid_demucs`."""
    checkpoint = read_checkpoint(path, "x-umx")
    network = x_umx.from_state_dict(checkpoint.state, where=path)
    names = ("n_fft", "hidden_channels", "max_bins", "nb_channels", "nb_layers")
    checkpoint.check({name: getattr(network.config, name) for name in names})
    return network


def open_demucs_split(path: Path) -> WholeLength:
    """Read a DemucsSplit, with an output as long as its input; errors as :func:`open_hybrid_demucs`."""
    checkpoint = read_checkpoint(path, "demucs-split")
    network = demucs_split.from_state_dict(checkpoint.state, where=path)
    checkpoint.check({"channels": network.config.channels, "depth": network.config.depth})
    return WholeLength(network)


LOADERS: dict[str, Callable[[Path], nn.Module]] = {
    "demucs-v2": open_demucs,
    "tfc-tdf": open_tfc_tdf,
    "hybrid-demucs": open_hybrid_demucs,
    "band-split-rnn": open_band_split_rnn,
    "x-umx": open_x_umx,
    "demucs-split": open_demucs_split,
}
"""Architecture in the manifest to the function that reads its files."""
