"""TFC-TDF networks: one that predicts the spectrum of one target, or of several to be split at export."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from my_submission.networks.spectra import from_channels, to_channels
from my_submission.networks.tfc_tdf import Norm, Output, TfcTdfConfig, TfcTdfNet
from training.export import Exported, export
from training.losses import Outcome, loss_of
from training.modules.base import SeparationModule
from training.settings.experiment import Experiment, NetworkSettings

ARCHITECTURE = "tfc-tdf"


@dataclass(frozen=True, kw_only=True)
class TfcTdfSettings(NetworkSettings, kind=ARCHITECTURE):
    """Shape of a TFC-TDF network, as :class:`TfcTdfConfig`; bins and targets follow from the experiment.

    The defaults are the published form of leaderboard A.
    """

    depth: int = 11
    growth: int = 32
    convs_per_block: int = 3
    kernel: int = 3
    bottleneck: int = 8
    tdf_bias: bool = False
    norm: Norm = "batch"
    output: Output = "mapping"
    bins_per_row: int = 1
    compression: float = 1.0

    def config(self, experiment: Experiment) -> TfcTdfConfig:
        """The network's full shape."""
        return TfcTdfConfig(
            bins=experiment.transform.kept_bins,
            depth=self.depth,
            growth=self.growth,
            convs_per_block=self.convs_per_block,
            kernel=self.kernel,
            bottleneck=self.bottleneck,
            tdf_bias=self.tdf_bias,
            norm=self.norm,
            output=self.output,
            bins_per_row=self.bins_per_row,
            compression=self.compression,
            targets=len(experiment.targets),
        )

    def check(self, experiment: Experiment) -> None:
        """Raises ValueError where bins or frames do not fit the depth."""
        multiple = self.config(experiment).frame_multiple
        for name, frames in (
            ("transform.frames", experiment.transform.frames),
            ("export.frames", experiment.export_chunking.frames),
        ):
            if frames % multiple:
                raise ValueError(f"{name}={frames} must be a multiple of {multiple} at network.depth={self.depth}")

    def module(self, experiment: Experiment, *, total_steps: int) -> SeparationModule:
        """With weights drawn from the seed; torch's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(experiment.seed)
            network = TfcTdfNet(self.config(experiment))
        return TfcTdfModule(experiment, network, total_steps=total_steps)


class TfcTdfModule(SeparationModule):
    """Trains a TFC-TDF network on the waveforms or spectra of its targets."""

    def blocks(self) -> Iterable[nn.Module]:
        """The U-Net's blocks."""
        network = cast("TfcTdfNet", self.network)
        return [*network.ds_dense, network.mid_dense, *network.us_dense]

    def batch_loss(self, stems: Tensor) -> Tensor:
        """The experiment's loss; transforms and loss are computed in float32 whatever the network's precision."""
        stft = self.experiment.transform.stft
        rows = [self.experiment.sources.index(target) for target in self.experiment.targets]
        with torch.autocast(self.device.type, enabled=False):
            mixtures, targets = stems.sum(dim=1), stems[:, rows]
            mixture_spectra = to_channels(mixtures, stft)
            target_spectra = to_channels(targets.flatten(0, 1), stft).reshape(
                *targets.shape[:2], *mixture_spectra.shape[1:]
            )
        spectra = self.network(mixture_spectra)
        with torch.autocast(self.device.type, enabled=False):
            outcome = Outcome(
                spectra.float().reshape(target_spectra.shape), targets, target_spectra, mixtures, mixture_spectra, stft
            )
            return loss_of(self.experiment.loss, outcome, torch.tensor(self.experiment.weights, device=self.device))

    def estimate(self, mixtures: Tensor) -> Tensor:
        """Through transform, network and back."""
        stft, n_samples = self.experiment.transform.stft, mixtures.shape[-1]
        with torch.autocast(self.device.type, enabled=False):
            spectra = to_channels(mixtures, stft)
        estimated = self.evaluated(spectra)
        with torch.autocast(self.device.type, enabled=False):
            waves = from_channels(estimated.float().reshape(-1, *spectra.shape[1:]), stft, samples=n_samples)
        return waves.reshape(len(mixtures), -1, *mixtures.shape[1:])

    def export_graphs(self, folder: Path) -> list[Exported]:
        """One ``<target>.onnx`` each; a network of several targets is split."""
        network = cast("TfcTdfNet", self.evaluated)
        settings = self.experiment.export
        return [
            export(
                network.for_target(row),
                self.experiment.export_chunking,
                target,
                folder / f"{target}.onnx",
                half_weights=settings.half_weights,
            )
            for row, target in enumerate(self.experiment.targets)
        ]
