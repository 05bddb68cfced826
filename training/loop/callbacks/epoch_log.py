"""One line an epoch on the log, where no progress bar is shown."""

from __future__ import annotations

import logging

import lightning

logger = logging.getLogger(__name__)


class EpochLog(lightning.Callback):
    """Says after every epoch how many steps were taken, and what was measured in it."""

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Logs on the first process."""
        if trainer.is_global_zero:
            measured = (f"{name} {float(value):.4f}" for name, value in sorted(trainer.callback_metrics.items()))
            logger.info("epoch %d, step %d: %s", trainer.current_epoch, trainer.global_step, ", ".join(measured))
