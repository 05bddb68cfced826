"""Activation checkpointing: activations inside blocks are recomputed in the backward pass instead of kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute_in_backward(blocks: Iterable[nn.Module]) -> None:
    """Replace the forward methods of blocks; weights, their names and results stay the same."""
    for block in blocks:
        block.forward = _Recomputed(block)


class _Recomputed:
    """Forward method of a block that is recomputed in the backward pass."""

    def __init__(self, block: nn.Module) -> None:
        self._block = block
        self._forward = block.forward

    def __call__(self, x: Tensor) -> Tensor:
        if not self._block.training or not x.requires_grad:
            return self._plain(x)
        recomputed: Tensor = checkpoint(self._forward, x, use_reentrant=False, context_fn=self._contexts)
        return recomputed

    def _plain(self, x: Tensor) -> Tensor:
        y: Tensor = self._forward(x)
        return y

    def _contexts(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return contextlib.nullcontext(), _statistics_kept(self._block)


@contextlib.contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Keep the running statistics of batch norms, which must not count the same batch twice."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter
