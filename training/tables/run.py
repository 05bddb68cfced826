"""``[run]`` and ``[wandb]``: length, precision, devices and logs of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Length, precision and devices of a run.

    Attributes:
        epochs: maximum number of epochs.
        min_epochs: minimum number of epochs before early stopping.
        epoch_steps: optimisation steps per epoch; None derives them from ``data.windows_per_song`` or, as published
            for the KUIELab networks, from the total length of the training songs.
        precision: precision of Lightning; transforms and loss are always computed in float32.
        ema: decay of the average of the weights, which is validated and exported; 0 uses the weights themselves.
        clip: maximum gradient norm; None does not clip.
        checkpoint_activations: recompute activations in the backward pass instead of keeping them.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: devices per node.
        nodes: number of machines.
        sync_batchnorm: compute batch norms over all devices together.
        deterministic: use deterministic algorithms; layers without one cause a warning.
        tf32: allow GPUs to round the factors of float32 matrix products to 10 bits of mantissa.
        threads: CPU threads per process; None is torch's default.
        loggers: any of ``csv``, ``tensorboard`` and ``wandb``.
        log_every_steps: optimisation steps per row of the log.
        keep_every_epochs: epochs between weights that are kept permanently in ``weights/``; None keeps none.
        may_change_data: whether a resumed run may use other collections and augmentations.
        save_weights_only: whether the best checkpoints contain weights alone; ``last.ckpt`` always contains what
            resuming needs.
        auto_lr_find: search the learning rate in 100 steps before the first one, instead of using
            ``optimiser.learning_rate``. A resumed run keeps the rate that was found.
        dev: trial run: one epoch of two steps on few songs, and ten seconds of one validation song.
    """

    epochs: int = 3000
    min_epochs: int | None = None
    epoch_steps: int | None = None
    precision: Precision = "32-true"
    ema: float = 0.0
    clip: float | None = None
    checkpoint_activations: bool = False
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 1
    nodes: int = 1
    sync_batchnorm: bool = False
    deterministic: bool = False
    tf32: bool = False
    threads: int | None = None
    loggers: tuple[Literal["csv", "tensorboard", "wandb"], ...] = ("csv", "tensorboard")
    log_every_steps: int = 10
    keep_every_epochs: int | None = None
    may_change_data: bool = False
    save_weights_only: bool = False
    auto_lr_find: bool = False
    dev: bool = False

    def __post_init__(self) -> None:
        counts = ("epochs", "min_epochs", "epoch_steps", "devices", "nodes", "threads", "log_every_steps")
        for name in (*counts, "keep_every_epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        if not 0.0 <= self.ema < 1.0:
            raise ValueError(f"ema={self.ema} must be at least 0 and below 1")
        if self.clip is not None and self.clip <= 0.0:
            raise ValueError(f"clip={self.clip} must be positive")

    @property
    def world_size(self) -> int:
        """Total number of processes."""
        return self.devices * self.nodes


@dataclass(frozen=True, kw_only=True)
class WandbSettings:
    """Options of the logger ``wandb``; see :class:`lightning.pytorch.loggers.WandbLogger`.

    Attributes:
        project: name of the project; None is wandb's default.
        id: id of the run, to continue its curves; None begins new ones.
        entity: team or user; None is the user who is logged in.
        group: group of the run.
        job_type: type of the run.
        tags: labels of the run.
        offline: whether logs stay on this machine.
        watch: quantities of the network to log; None logs none.
    """

    project: str | None = None
    id: str | None = None
    entity: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: tuple[str, ...] = ()
    offline: bool = False
    watch: Literal["gradients", "parameters", "all"] | None = None
