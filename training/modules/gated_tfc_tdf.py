"""The starter's conditioned network: each example asks for every source, since one encoder pass serves all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from my_submission.networks.lasaft import ConditionedNet, FrameworkConfig, GatedTfcTdfConfig
from my_submission.networks.lasaft.gated_tfc_tdf import GatedTfcTdfNet
from my_submission.networks.spectra import channel_major, part_major
from my_submission.networks.tfc_tdf import TfcTdfNet
from my_submission.stems import LASAFT_SOURCES
from training.export import Exported
from training.export_conditioned import export_conditioned
from training.modules.base import SeparationModule
from training.modules.tfc_tdf import TfcTdfModule, TfcTdfSettings
from training.settings.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class GatedTfcTdfSettings(TfcTdfSettings, kind="gated-tfc-tdf"):
    """Shape of a gated TFC-TDF network; its graph takes all bins of the transform.

    Attributes:
        graph: name of the artefact below the experiment's family.
        lowest_bins: bins that the U-Net sees; above them every estimate is silent.
    """

    graph: str = "network"
    lowest_bins: int = 1024

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


def _gated(network: nn.Module) -> GatedTfcTdfNet:
    return cast("GatedTfcTdfNet", cast("ConditionedNet", network).spec2spec)
