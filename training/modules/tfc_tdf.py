"""TFC-TDF networks: one network predicts the spectra of one or several targets; the export has one graph per target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from my_submission.networks.spectra import from_channels, to_channels
from my_submission.networks.tfc_tdf import Norm, Output, TfcTdfConfig, TfcTdfNet
from training.experiment import Experiment
from training.export.graphs import Exported
from training.export.spectral import export
from training.modules.base import ModuleSettings, SeparationModule
from training.modules.initial_weights import start_from
from training.optimisation.losses import LossValues, loss_of

ARCHITECTURE = "tfc-tdf"


@dataclass(frozen=True, kw_only=True)
class TfcTdfSettings(ModuleSettings, kind=ARCHITECTURE):
    """Shape of a TFC-TDF network, as in :class:`TfcTdfConfig`; bins and targets follow from the experiment.

    The defaults are the published shape of leaderboard A.

    Attributes:
        start: exported graph per target, of networks of this shape, whose weights a fresh run starts from; see
            :func:`start_from`. Paths are relative to the working directory.
    """

    depth: int = 11
    growth: int = 32
    convs_per_block: int = 3
    kernel: int = 3
    bottleneck: int = 8
    has_tdf: bool = True
    tdf_bias: bool = False
    norm: Norm = "batch"
    output: Output = "mapping"
    bins_per_row: int = 1
    compression: float = 1.0
    start: Mapping[str, str] = field(default_factory=dict)

    def config(self, experiment: Experiment) -> TfcTdfConfig:
        """Return the network's full shape."""
        return TfcTdfConfig(
            bins=self.bins_seen(experiment),
            depth=self.depth,
            growth=self.growth,
            convs_per_block=self.convs_per_block,
            kernel=self.kernel,
            bottleneck=self.bottleneck,
            has_tdf=self.has_tdf,
            tdf_bias=self.tdf_bias,
            norm=self.norm,
            output=self.output,
            bins_per_row=self.bins_per_row,
            compression=self.compression,
            targets=len(experiment.targets),
        )

    def bins_seen(self, experiment: Experiment) -> int:
        """Return the number of bins in the U-Net's input."""
        return experiment.transform.kept_bins

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError if the bins or frames do not fit the depth."""
        multiple = self.config(experiment).frame_multiple
        for name, frames in (
            ("transform.frames", experiment.transform.frames),
            ("export.frames", experiment.export_chunking.frames),
        ):
            if frames % multiple:
                raise ValueError(f"{name}={frames} must be a multiple of {multiple} at network.depth={self.depth}")

    def network(self, experiment: Experiment) -> nn.Module:
        """Return a :class:`TfcTdfNet`."""
        return TfcTdfNet(self.config(experiment))

    def trainer(self) -> type[SeparationModule]:
        """Return :class:`TfcTdfModule`."""
        return TfcTdfModule

    def load_start(self, network: nn.Module, experiment: Experiment) -> None:
        """Load the weights of the graphs in ``start``."""
        if self.start:
            start_from(self.trunk(network), experiment.targets, {t: Path(path) for t, path in self.start.items()})

    def trunk(self, network: nn.Module) -> TfcTdfNet:
        """Return the U-Net inside a network of this kind."""
        return cast("TfcTdfNet", network)


class TfcTdfModule(SeparationModule):
    """Training of a TFC-TDF network on the waveforms or spectra of its targets."""

    def blocks(self) -> Iterable[nn.Module]:
        """Return the U-Net's blocks."""
        return cast("TfcTdfNet", self.network).blocks

    def batch_loss(self, stems: Tensor) -> Tensor:
        """Return the experiment's loss; transforms and loss are always computed in float32."""
        stft = self.experiment.transform.stft
        with torch.autocast(self.device.type, enabled=False):
            mixtures, targets = stems.sum(dim=1), stems[:, self.experiment.target_rows]
            mixture_spectra = to_channels(mixtures, stft)
            target_spectra = to_channels(targets.flatten(0, 1), stft).reshape(
                *targets.shape[:2], *mixture_spectra.shape[1:]
            )
        spectra = self._estimated(self.network, mixture_spectra)
        with torch.autocast(self.device.type, enabled=False):
            outcome = LossValues(
                spectra.float().reshape(target_spectra.shape), targets, target_spectra, mixtures, mixture_spectra, stft
            )
            weights = torch.tensor(self.experiment.weights, device=self.device)
            return loss_of(self.experiment.loss, outcome, weights, self.experiment.loss_options)

    def estimate(self, mixtures: Tensor) -> Tensor:
        """Separate by transform, network and inverse transform."""
        stft, n_samples = self.experiment.transform.stft, mixtures.shape[-1]
        with torch.autocast(self.device.type, enabled=False):
            spectra = to_channels(mixtures, stft)
        estimated = self._estimated(self.evaluated, spectra)
        with torch.autocast(self.device.type, enabled=False):
            waves = from_channels(estimated.float().reshape(-1, *spectra.shape[1:]), stft, samples=n_samples)
        return waves.reshape(len(mixtures), -1, *mixtures.shape[1:])

    def _estimated(self, network: nn.Module, mixture_spectra: Tensor) -> Tensor:
        """Return the spectra of all targets, ``[N · targets, 4, bins, frames]`` or a shape of as many values."""
        spectra: Tensor = network(mixture_spectra)
        return spectra

    def export_graphs(self, folder: Path) -> list[Exported]:
        """Write one ``<target>.onnx`` per target; a network of several targets is split."""
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
