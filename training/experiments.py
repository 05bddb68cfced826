"""The experiments as constants: what is trained, on which windows, for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from my_submission.networks.tfc_tdf import TfcTdfConfig
from training.mixing import STARTER_AUGMENTATION, Augmentation
from training.spectra import Geometry


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One network and its training.

    Args:
        name: folder and log name.
        geometry: transform and window.
        network: its shape; ``network.targets`` is the number of sources predicted.
        targets: sources predicted, in order.
        target_weights: weight of each target in the loss.
        collections: collections of the corpus and the weight each is drawn with.
        augmentation: how windows are changed.
        batch: windows per step.
        steps: optimisation steps in all.
        warmup_steps: steps over which the rate rises from 0.
        cooldown_steps: last steps, over which the rate falls to 0.
        learning_rate: AdamW's rate in between.
        weight_decay: AdamW's decay.
        clip: largest gradient norm.
        ema: decay of the averaged weights, which are the ones exported.
        seed: of windows and of the initial weights.
        bf16: whether the forward pass runs under bfloat16 autocast.
    """

    name: str
    geometry: Geometry
    network: TfcTdfConfig
    targets: tuple[str, ...]
    target_weights: tuple[float, ...]
    collections: Mapping[str, float]
    augmentation: Augmentation
    batch: int
    steps: int
    warmup_steps: int = 100
    cooldown_steps: int = 600
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 2021
    bf16: bool = True

    def __post_init__(self) -> None:
        if not len(self.targets) == len(self.target_weights) == self.network.targets:
            raise ValueError(
                f"{self.name}: {self.targets} and {self.target_weights} for {self.network.targets} targets"
            )
        if self.geometry.bins != self.network.bins:
            raise ValueError(f"{self.name}: {self.geometry.bins} bins in, the network has {self.network.bins}")
        if self.geometry.frames % self.network.frame_multiple:
            raise ValueError(f"{self.name}: frames must be a multiple of {self.network.frame_multiple}")

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear rise, plateau, linear fall."""
        rise = (step + 1) / self.warmup_steps if self.warmup_steps else 1.0
        fall = (self.steps - step) / self.cooldown_steps if self.cooldown_steps else 1.0
        return self.learning_rate * max(0.0, min(1.0, rise, fall))


COLLECTIONS = {"songs": 0.4, "midi": 0.4, "sung": 0.1, "voices": 0.12, "guitars": 0.1}
"""What the starter is trained on; a source is drawn from the collections that have it."""


def _starter(
    name: str,
    targets: tuple[str, ...],
    *,
    n_fft: int,
    bins: int,
    bins_per_row: int,
    steps: int,
) -> Experiment:
    """A starter experiment; sources that share a transform share a network until export."""
    return Experiment(
        name=name,
        geometry=Geometry(n_fft=n_fft, hop=1024, bins=bins, frames=128),
        network=TfcTdfConfig(
            bins=bins,
            depth=9,
            growth=24,
            convs_per_block=2,
            bottleneck=4,
            norm="instance",
            output="complex_mask",
            bins_per_row=bins_per_row,
            compression=0.3,
            targets=len(targets),
        ),
        targets=targets,
        target_weights=(1.0,) * len(targets),
        collections=COLLECTIONS,
        augmentation=STARTER_AUGMENTATION,
        batch=4,
        steps=steps,
    )


_ALL = (
    _starter("bass", ("bass",), n_fft=8192, bins=256, bins_per_row=2, steps=2600),
    _starter("drums", ("drums",), n_fft=2048, bins=768, bins_per_row=4, steps=2200),
    _starter("wide", ("other", "vocals"), n_fft=4096, bins=1024, bins_per_row=4, steps=1650),
)

EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}

STARTER = {"bass": "bass", "drums": "drums", "other": "wide", "vocals": "wide"}
"""The experiment that each of the starter's networks comes from."""
