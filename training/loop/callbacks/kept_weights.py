"""Weights on the way that are kept for good."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint


class KeptWeights(ModelCheckpoint):
    """Saves the weights alone, every so many epochs, and never removes a file.

    Args:
        folder: where they go.
        filename: pattern of their names.
        every_epochs: epochs between two of them.
    """

    def __init__(self, folder: Path, filename: str, *, every_epochs: int) -> None:
        super().__init__(
            dirpath=folder,
            filename=filename,
            auto_insert_metric_name=False,
            save_top_k=-1,
            save_weights_only=True,
            every_n_epochs=every_epochs,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    @property
    def state_key(self) -> str:
        """Another than that of the checkpoint a run goes on from, which may be as frequent."""
        return type(self).__qualname__
