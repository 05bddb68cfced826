"""The starter's conditioned network: each example asks for every source, since one encoder pass serves all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from my_submission.networks.lasaft import ConditionedNet, FrameworkConfig, GatedTfcTdfConfig
from my_submission.networks.lasaft.gated_tfc_tdf import GatedTfcTdfNet
from my_submission.networks.spectra import channel_major, part_major, to_channels
from my_submission.networks.tfc_tdf import TfcTdfNet
from my_submission.stems import LASAFT_SOURCES
from training.export_conditioned import export_conditioned
from training.graphs import Exported
from training.last_layer import TrainingWindow, fold, solve
from training.modules.base import SeparationModule
from training.modules.tfc_tdf import TfcTdfModule, TfcTdfSettings
from training.settings.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class GatedTfcTdfSettings(TfcTdfSettings, kind="gated-tfc-tdf"):
    """Shape of a gated TFC-TDF network; its graph takes all bins of the transform.

    Attributes:
        graph: name of the artefact below the experiment's family.
        lowest_bins: bins that the U-Net sees; above them every estimate is silent.
        solved_windows: windows over which a fresh run solves the last layer of the targets that no graph in ``start``
            brings, in closed form; 0 leaves them random.
    """

    graph: str = "network"
    lowest_bins: int = 1024
    solved_windows: int = 0

    def bins_seen(self, experiment: Experiment) -> int:
        """Bins that the U-Net sees."""
        return self.lowest_bins

    def framework(self, experiment: Experiment) -> FrameworkConfig:
        """The network, and what it is given and asked for: a complex mask."""
        network = GatedTfcTdfConfig(n_fft=experiment.transform.n_fft, trunk=self.config(experiment))
        return FrameworkConfig(network=network, spec_est_mode="masking")

    def check(self, experiment: Experiment) -> None:
        """Raises ValueError where transform, sources or frames do not fit."""
        super().check(experiment)
        transform = experiment.transform
        if transform.kept_bins != transform.n_fft // 2 + 1:
            raise ValueError(f"transform.kept_bins={transform.kept_bins} must be all {transform.n_fft // 2 + 1} bins")
        if experiment.targets != LASAFT_SOURCES:
            raise ValueError(f"targets={list(experiment.targets)} must be {', '.join(LASAFT_SOURCES)}: source numbers")
        self.framework(experiment)

    def graphs(self, experiment: Experiment) -> Mapping[str, str | None]:
        """One graph for all sources."""
        return {self.graph: None}

    def module(self, experiment: Experiment, *, total_steps: int) -> SeparationModule:
        """With weights drawn from the seed; torch's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(experiment.seed)
            network = ConditionedNet(self.framework(experiment))
        return GatedTfcTdfModule(experiment, network, total_steps=total_steps)

    def begin(self, module: SeparationModule, experiment: Experiment, examples: Dataset[Tensor]) -> None:
        """Takes the weights of the graphs in ``start``, and solves the last layer for all other targets."""
        super().begin(module, experiment, examples)
        rows = [row for row, target in enumerate(experiment.targets) if target not in self.start]
        if not self.solved_windows or not rows:
            return
        # From the far end of the stream: the first examples are those of the first steps.
        numbers = range(len(cast("Sized", examples)) - self.solved_windows, len(cast("Sized", examples)))
        network = _gated(module.network)
        windows = (_window(network, examples[number], experiment) for number in numbers)
        network.set_last_layer(solve(windows, network.last_layer(), rows))
        if module.averaged is not None:
            module.averaged.load_state_dict(module.network.state_dict())

    def trunk(self, network: nn.Module) -> TfcTdfNet:
        """The U-Net that is gated."""
        return _gated(network).trunk


class GatedTfcTdfModule(TfcTdfModule):
    """Trains a gated network on the waveforms or spectra of all sources of every example."""

    def blocks(self) -> Iterable[nn.Module]:
        """The U-Net's blocks."""
        return _gated(self.network).trunk.blocks

    def _estimated(self, network: nn.Module, mixture_spectra: Tensor) -> Tensor:
        sources = torch.arange(len(LASAFT_SOURCES), device=mixture_spectra.device)
        estimates = cast("ConditionedNet", network).separate(part_major(mixture_spectra), sources)
        return channel_major(estimates.flatten(0, 1))

    def export_graphs(self, folder: Path) -> list[Exported]:
        """One graph that takes source numbers as its second input."""
        experiment = self.experiment
        return [
            export_conditioned(
                cast("ConditionedNet", self.evaluated),
                folder / f"{name}.onnx",
                hop=experiment.transform.hop,
                frames=experiment.export_chunking.frames,
                architecture=experiment.network.kind,
                half_weights=experiment.export.half_weights,
            )
            for name in experiment.network.graphs(experiment)
        ]


@torch.no_grad()
def _window(network: GatedTfcTdfNet, stems: Tensor, experiment: Experiment) -> TrainingWindow:
    """Features while all gates are evenly open, when they are the same for every source."""
    order = [experiment.sources.index(target) for target in experiment.targets]
    bins, per_row = network.config.trunk.bins, network.config.trunk.bins_per_row
    spectra = to_channels(torch.cat((stems.sum(dim=0, keepdim=True), stems[order])), experiment.transform.stft)
    features = network.features(part_major(spectra[:1]), torch.zeros(1, dtype=torch.int64))
    folded = fold(spectra[:, :, :bins], per_row)
    return TrainingWindow(features[0], folded[0], folded[1:])


def _gated(network: nn.Module) -> GatedTfcTdfNet:
    return cast("GatedTfcTdfNet", cast("ConditionedNet", network).spec2spec)
