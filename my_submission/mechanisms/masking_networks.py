"""Masking networks from their artefacts, with their transforms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from my_submission.engines import Engine
from my_submission.engines.torch_engine import open_torch
from my_submission.errors import WeightsError
from my_submission.geometry import StftGeometry
from my_submission.mechanisms.options import RunOptions
from my_submission.mechanisms.spectral_networks import stft_of
from my_submission.weights import Artefact

if TYPE_CHECKING:
    from my_submission.networks.band_split_rnn import BandSplitRNN
    from my_submission.networks.x_umx import XUmx


@dataclass(frozen=True)
class OpenedMasking:
    """An engine from magnitudes to masks, and the transform that gives the magnitudes."""

    engine: Engine
    stft: StftGeometry


def open_masking(artefact: Artefact, path: Path, options: RunOptions) -> OpenedMasking:
    """Open a masking network in torch.

    Args:
        artefact: its manifest entry.
        path: its file, verified.
        options: device, precision, threads.

    Raises:
        WeightsError: the file is damaged, no network of its architecture, or does not fit the manifest's transform.
        DeviceError: the device cannot be used.
    """
    stft = stft_of(artefact, path, 1)
    stft = replace(stft, kept_bins=stft.n_bins)
    engine = open_torch(
        path,
        artefact.architecture,
        device=options.device,
        precision=options.torch_precision,
        threads=options.threads,
    )
    bins = cast("BandSplitRNN | XUmx", engine.network).config.bins
    if bins != stft.n_bins:
        problem = f"the network has {bins} bins, which does not fit n_fft={stft.n_fft} of the manifest"
        raise WeightsError(problem, where=path, hint="correct n_fft in the manifest")
    return OpenedMasking(engine, stft)
