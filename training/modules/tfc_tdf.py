"""TFC-TDF networks: one that predicts the spectrum of one target, or of several to be split at export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from my_submission.networks.spectra import from_channels, to_channels
from my_submission.networks.tfc_tdf import Norm, Output, TfcTdfConfig, TfcTdfNet
from training.export import export
from training.graphs import Exported
from training.losses import LossValues, loss_of
from training.modules.base import SeparationModule
from training.settings.experiment import Experiment, NetworkSettings
from training.starting import start_from

ARCHITECTURE = "tfc-tdf"


@dataclass(frozen=True, kw_only=True)
class TfcTdfSettings(NetworkSettings, kind=ARCHITECTURE):
    """Shape of a TFC-TDF network, as :class:`TfcTdfConfig`; bins and targets follow from the experiment.

    The defaults are the published form of leaderboard A.

    Attributes:
        start: target to an exported graph of a network of this shape, as :func:`start_from` takes them; a fresh run
            begins with their weights. Paths are relative to where the program is started.
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
    start: Mapping[str, str] = field(default_factory=dict)

    def config(self, experiment: Experiment) -> TfcTdfConfig:
        """The network's full shape."""
        return TfcTdfConfig(
            bins=self.bins_seen(experiment),
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

    def bins_seen(self, experiment: Experiment) -> int:
        """Bins that the U-Net sees."""
        return experiment.transform.kept_bins

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

    def begin(self, module: SeparationModule, experiment: Experiment, examples: Dataset[Tensor]) -> None:
        """Takes the weights of the graphs in ``start``."""
        for network in (module.network, module.averaged):
            if self.start and network is not None:
                start_from(self.trunk(network), experiment.targets, {t: Path(path) for t, path in self.start.items()})

    def trunk(self, network: nn.Module) -> TfcTdfNet:
        """The U-Net of a network of this kind."""
        return cast("TfcTdfNet", network)


class TfcTdfModule(SeparationModule):
    """Trains a TFC-TDF network on the waveforms or spectra of its targets."""

    def blocks(self) -> Iterable[nn.Module]:
        """The U-Net's blocks."""
        return cast("TfcTdfNet", self.network).blocks

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
        spectra = self._estimated(self.network, mixture_spectra)
        with torch.autocast(self.device.type, enabled=False):
            outcome = LossValues(
                spectra.float().reshape(target_spectra.shape), targets, target_spectra, mixtures, mixture_spectra, stft
            )
            return loss_of(self.experiment.loss, outcome, torch.tensor(self.experiment.weights, device=self.device))

    def estimate(self, mixtures: Tensor) -> Tensor:
        """Through transform, network and back."""
        stft, n_samples = self.experiment.transform.stft, mixtures.shape[-1]
        with torch.autocast(self.device.type, enabled=False):
            spectra = to_channels(mixtures, stft)
        estimated = self._estimated(self.evaluated, spectra)
        with torch.autocast(self.device.type, enabled=False):
            waves = from_channels(estimated.float().reshape(-1, *spectra.shape[1:]), stft, samples=n_samples)
        return waves.reshape(len(mixtures), -1, *mixtures.shape[1:])

    def _estimated(self, network: nn.Module, mixture_spectra: Tensor) -> Tensor:
        """Spectra of all targets, ``[N · targets, 4, bins, frames]`` or of as many values."""
        spectra: Tensor = network(mixture_spectra)
        return spectra

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
