"""The starter's conditioned network: every example trains all sources, because one encoder pass serves them all."""

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
from training.experiment import Experiment
from training.export.conditioned import export_conditioned
from training.export.graphs import Exported
from training.modules.base import SeparationModule
from training.modules.last_layer import TrainingWindow, fold, solve
from training.modules.tfc_tdf import TfcTdfModule, TfcTdfSettings


@dataclass(frozen=True, kw_only=True)
class GatedTfcTdfSettings(TfcTdfSettings, kind="gated-tfc-tdf"):
    """Shape of a gated TFC-TDF network; its graph takes all bins of the transform.

    Attributes:
        graph: name of the exported graph, below the experiment's family.
        lowest_bins: number of lowest bins in the U-Net's input; estimates are silent above them.
        solved_windows: number of windows on which a fresh run solves the last layer in closed form, for the targets
            without a graph in ``start``; 0 leaves that layer random.
    """

    graph: str = "network"
    lowest_bins: int = 1024
    solved_windows: int = 0

    def branch(self, experiment: Experiment) -> str | None:
        """Return ``conditioned``."""
        return "conditioned"

    def bins_seen(self, experiment: Experiment) -> int:
        """Return the number of bins in the U-Net's input."""
        return self.lowest_bins

    def framework(self, experiment: Experiment) -> FrameworkConfig:
        """Return the network's shape and its framework, complex masking."""
        network = GatedTfcTdfConfig(n_fft=experiment.transform.n_fft, trunk=self.config(experiment))
        return FrameworkConfig(network=network, spec_est_mode="complex_masking")

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError if the transform, sources or frames do not fit."""
        super().check(experiment)
        transform = experiment.transform
        if transform.kept_bins != transform.n_fft // 2 + 1:
            raise ValueError(f"transform.kept_bins={transform.kept_bins} must be all {transform.n_fft // 2 + 1} bins")
        if experiment.targets != LASAFT_SOURCES:
            raise ValueError(f"targets={list(experiment.targets)} must be {', '.join(LASAFT_SOURCES)}: source numbers")
        self.framework(experiment)

    def graphs(self, experiment: Experiment) -> Mapping[str, str | None]:
        """Return one name for all sources."""
        return {self.graph: None}

    def network(self, experiment: Experiment) -> nn.Module:
        """Return a :class:`ConditionedNet`."""
        return ConditionedNet(self.framework(experiment))

    def trainer(self) -> type[SeparationModule]:
        """Return :class:`GatedTfcTdfModule`."""
        return GatedTfcTdfModule

    def initialise(self, module: SeparationModule, experiment: Experiment, examples: Dataset[Tensor]) -> None:
        """Load the weights of the graphs in ``start`` and solve the last layer for all other targets."""
        super().initialise(module, experiment, examples)
        rows = [row for row, target in enumerate(experiment.targets) if target not in self.start]
        if not self.solved_windows or not rows:
            return
        # The last examples of the run, because the first ones are those of the first steps.
        numbers = range(len(cast("Sized", examples)) - self.solved_windows, len(cast("Sized", examples)))
        network = _gated(module.network)
        windows = (_window(network, examples[number], experiment) for number in numbers)
        network.set_last_layer(solve(windows, network.last_layer(), rows))
        if module.averaged is not None:
            module.averaged.load_state_dict(module.network.state_dict())

    def trunk(self, network: nn.Module) -> TfcTdfNet:
        """Return the gated U-Net."""
        return _gated(network).trunk


class GatedTfcTdfModule(TfcTdfModule):
    """Training of a gated network on all sources of every example."""

    def blocks(self) -> Iterable[nn.Module]:
        """Return the U-Net's blocks."""
        return _gated(self.network).trunk.blocks

    def _estimated(self, network: nn.Module, mixture_spectra: Tensor) -> Tensor:
        sources = torch.arange(len(LASAFT_SOURCES), device=mixture_spectra.device)
        estimates = cast("ConditionedNet", network).separate(part_major(mixture_spectra), sources)
        return channel_major(estimates.flatten(0, 1))

    def export_graphs(self, folder: Path) -> list[Exported]:
        """Write one graph that takes source numbers as its second input."""
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
    """Return features and spectra of one example, with all gates evenly open: then all sources share features."""
    bins, per_row = network.config.trunk.bins, network.config.trunk.bins_per_row
    spectra = to_channels(
        torch.cat((stems.sum(dim=0, keepdim=True), stems[experiment.target_rows])), experiment.transform.stft
    )
    features = network.features(part_major(spectra[:1]), torch.zeros(1, dtype=torch.int64))
    folded = fold(spectra[:, :, :bins], per_row)
    return TrainingWindow(features[0], folded[0], folded[1:])


def _gated(network: nn.Module) -> GatedTfcTdfNet:
    return cast("GatedTfcTdfNet", cast("ConditionedNet", network).spec2spec)
