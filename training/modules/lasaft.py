"""Conditioned networks, LaSAFT and LASAFT-Net-v2: every example trains one randomly drawn source, or all of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from my_submission.networks.lasaft import ConditionedNet, FrameworkConfig, LasaftConfig, LasaftV1Config, LasaftV2Config
from my_submission.networks.lasaft.config import (
    STEREO,
    ConditionedUNetOptions,
    LasaftV1Options,
    LasaftV2Options,
    SpecEstMode,
    SpecType,
)
from my_submission.networks.lasaft.layers import DenseConvolutions
from my_submission.networks.lasaft.waveforms import FixedSourcesOfWaves, to_part_major
from my_submission.networks.spectra import channel_major
from my_submission.stems import LASAFT_SOURCES
from training.experiment import Experiment
from training.export.conditioned import export_conditioned
from training.export.graphs import Exported
from training.modules.base import ModuleSettings, SeparationModule
from training.modules.initial_weights import Initialiser, draw_weights
from training.optimisation.losses import COMBINATIONS, WHOLE_SUMS, LossValues, loss_of


@dataclass(frozen=True, kw_only=True)
class _ConditionedSettings(ConditionedUNetOptions, ModuleSettings):
    """Options of both generations, under the names published by their authors.

    ``n_fft``, ``hop_length`` and ``num_frame`` are ``transform.n_fft``, ``.hop`` and ``.frames``; ``input_channels``
    follows from ``spec_type``. All others are documented at :class:`ConditionedUNetOptions`.

    Attributes:
        graph: name of the exported graph, below the experiment's family.
        init: distribution of the initial weights, as in :func:`training.modules.initial_weights.draw_weights`; the
            default is the published one of each generation.
        multi_source_training: whether every window is trained on all targets in one step instead of a drawn one, as the
            option of LASAFT-Net-v2 is meant; ``data.batch`` counts windows, and an epoch has each window once.
    """

    graph: str = "network"
    init: Initialiser = "last_activation"
    spec_type: SpecType = "complex"
    spec_est_mode: SpecEstMode = "mapping"
    multi_source_training: bool = False

    @abstractmethod
    def config(self, experiment: Experiment) -> LasaftConfig:
        """Return the network's full shape."""

    def framework(self, experiment: Experiment) -> FrameworkConfig:
        """Return the network's shape and its framework."""
        network = self.config(experiment)
        return FrameworkConfig(network=network, spec_type=self.spec_type, spec_est_mode=self.spec_est_mode)

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError if the transform, sources or frames do not fit."""
        multiple = self.framework(experiment).network.frame_multiple
        transform = experiment.transform
        if transform.kept_bins != transform.n_fft // 2 + 1:
            raise ValueError(f"transform.kept_bins={transform.kept_bins} must be all {transform.n_fft // 2 + 1} bins")
        for name, frames in (("transform", transform.frames), ("export", experiment.export_chunking.frames)):
            if frames % multiple:
                raise ValueError(f"{name}.frames={frames} must be a multiple of {multiple}")
        if set(experiment.targets) - set(LASAFT_SOURCES):
            raise ValueError(f"targets={list(experiment.targets)} must be names of {', '.join(LASAFT_SOURCES)}")
        if self.multi_source_training and len(experiment.targets) < 2:
            raise ValueError(
                f"network.multi_source_training=true needs several targets, not {experiment.targets[0]} alone"
            )
        if experiment.loss in COMBINATIONS | WHOLE_SUMS and not self.multi_source_training:
            raise ValueError(f"loss={experiment.loss} compares sums of sources: set network.multi_source_training=true")
        if max(source_numbers(experiment)) >= self.control_input_dim:
            raise ValueError(f"network.control_input_dim={self.control_input_dim} leaves out {experiment.targets[-1]}")

    def branch(self, experiment: Experiment) -> str | None:
        """Return ``conditioned``."""
        return "conditioned"

    def graphs(self, experiment: Experiment) -> Mapping[str, str | None]:
        """Return one name for all sources."""
        return {self.graph: None}

    def epoch_windows(self, experiment: Experiment, lengths: Sequence[int]) -> int:
        """Return the windows of an epoch, as published: those that fit into each song, once for every drawn target."""
        times = 1 if self.multi_source_training else len(experiment.targets)
        return times * sum(length // experiment.window_samples for length in lengths)

    def network(self, experiment: Experiment) -> nn.Module:
        """Return a :class:`ConditionedNet`."""
        network = ConditionedNet(self.framework(experiment))
        draw_weights(network.spec2spec, self.init, self.last_activation)
        return network

    def trainer(self) -> type[SeparationModule]:
        """Return :class:`ConditionedModule`."""
        return ConditionedModule

    def _shape(self, experiment: Experiment, options: type[ConditionedUNetOptions]) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(options)}
        n_channels = STEREO if self.spec_type == "magnitude" else 2 * STEREO
        return {**values, "n_fft": experiment.transform.n_fft, "input_channels": n_channels}


@dataclass(frozen=True, kw_only=True)
class LasaftSettings(LasaftV1Options, _ConditionedSettings, kind="lasaft"):
    """LaSAFT, the first generation; the defaults are the network of the first paper."""

    def check(self, experiment: Experiment) -> None:
        """Raise ValueError as for both generations, or if a micro-batch has too few windows for batch norms."""
        super().check(experiment)
        has_batch_norms = self.pocm_norm == "batch_norm" or self.control_n_layer > 2
        is_pooled = experiment.run.sync_batchnorm and experiment.run.world_size > 1
        smallest = experiment.batch_split.smallest_part
        if has_batch_norms and smallest == 1 and not (is_pooled or self.multi_source_training):
            raise ValueError(
                f"data.batch={experiment.data.batch} leaves a micro-batch of one window, too few for batch norms: "
                "raise data.batch or data.micro_batch, lower run.devices, or set run.sync_batchnorm=true on several"
            )

    def config(self, experiment: Experiment) -> LasaftV1Config:
        """Return the network's full shape."""
        return LasaftV1Config(**self._shape(experiment, LasaftV1Options))


@dataclass(frozen=True, kw_only=True)
class LasaftV2Settings(LasaftV2Options, _ConditionedSettings, kind="lasaft-v2"):
    """LASAFT-Net-v2; the defaults are the medium network."""

    init: Initialiser = "kaiming"

    def config(self, experiment: Experiment) -> LasaftV2Config:
        """Return the network's full shape."""
        return LasaftV2Config(**self._shape(experiment, LasaftV2Options))


def source_numbers(experiment: Experiment) -> tuple[int, ...]:
    """Return the network's source number of each target of the experiment, in order."""
    return tuple(LASAFT_SOURCES.index(target) for target in experiment.targets)


class ConditionedModule(SeparationModule):
    """Training of a conditioned network: the example's number determines the source it is trained on."""

    def blocks(self) -> Iterable[nn.Module]:
        """Return the convolutions of every block, which hold most of the activations."""
        return [module for module in self.network.modules() if isinstance(module, DenseConvolutions)]

    def batch_loss(self, stems: Tensor) -> Tensor:
        """Return the experiment's loss; transforms and loss are always computed in float32."""
        experiment, stft = self.experiment, self.experiment.transform.stft
        rows = torch.as_tensor(self._trained_targets(len(stems)), device=stems.device)
        with torch.autocast(self.device.type, enabled=False):
            mixtures = stems.sum(dim=1)
            order = torch.tensor(experiment.target_rows, device=stems.device)
            targets = stems[torch.arange(len(stems), device=stems.device)[:, None], order[rows]]
            mixture_spectra, target_spectra = to_part_major(mixtures, stft), to_part_major(targets.flatten(0, 1), stft)
        numbers = torch.tensor(source_numbers(experiment), device=stems.device)[rows]
        spectra = self._estimated(mixture_spectra, numbers)
        with torch.autocast(self.device.type, enabled=False):
            estimated, wanted = channel_major(spectra.float()), channel_major(target_spectra)
            outcome = LossValues(
                estimated.view(*rows.shape, *estimated.shape[1:]),
                targets,
                wanted.view(*rows.shape, *wanted.shape[1:]),
                mixtures,
                channel_major(mixture_spectra),
                stft,
                are_magnitudes=cast("ConditionedNet", self.network).config.spec_type == "magnitude",
            )
            weights = torch.tensor(experiment.weights, device=self.device)[rows]
            return loss_of(experiment.loss, outcome, weights, experiment.loss_options)

    def _estimated(self, mixture_spectra: Tensor, numbers: Tensor) -> Tensor:
        """Return spectra ``[N · trained targets, 4, frames, bins]`` of sources numbered ``[N, trained targets]``."""
        network = cast("ConditionedNet", self.network)
        if self._is_multi_source:
            return network.separate(mixture_spectra, numbers[0]).flatten(0, 1)
        estimates: Tensor = network(mixture_spectra, numbers[:, 0])
        return estimates

    def estimate(self, mixtures: Tensor) -> Tensor:
        """Separate all targets; the encoder runs once if the architecture allows it."""
        network = cast("ConditionedNet", self.evaluated)
        whole = FixedSourcesOfWaves(network, source_numbers(self.experiment), self.experiment.transform.stft)
        estimates: Tensor = whole.to(mixtures.device)(mixtures)
        return estimates

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
            )
            for name in experiment.network.graphs(experiment)
        ]

    @property
    def _is_multi_source(self) -> bool:
        return cast("_ConditionedSettings", self.experiment.network).multi_source_training

    def _trained_targets(self, n_examples: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the numbers of the targets that each example of a micro-batch is trained on: all, or one.

        The drawn one depends only on the seed and the example's number in the run, so that resumed and distributed runs
        draw the same targets as an uninterrupted run on one process.
        """
        n_targets = len(self.experiment.targets)
        if self._is_multi_source:
            return np.tile(np.arange(n_targets), (n_examples, 1))
        split = self.experiment.batch_split
        numbers = split.numbers(self.global_step, len(self._micro_losses), self.global_rank)
        draws = [
            np.random.default_rng([self.experiment.seed, number]).integers(n_targets) for number in numbers[:n_examples]
        ]
        return np.array(draws, dtype=np.int64)[:, None]
