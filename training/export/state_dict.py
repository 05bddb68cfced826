"""State dicts of trained networks under their published key names, checked by the loader the predictor uses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from my_submission.engines.torch_engine import load_network
from my_submission.files.part_files import written_whole
from my_submission.weights import sha256_of
from training.export.graphs import PARITY_DB, Exported, agreement_db

logger = logging.getLogger(__name__)

STATE_SUFFIX = ".pt"


def export_state(network: nn.Module, path: Path, *, architecture: str, example: Sequence[int]) -> Exported:
    """Write ``path`` in one step and return what was written.

    Args:
        network: its weights, buffers too, are written as they are.
        path: the file to write.
        architecture: the manifest's word for it, which chooses the loader.
        example: shape of the input that parity is measured with.

    Raises:
        ValueError: what the loader makes of the file does not compute what the network does.
    """
    with written_whole(path) as partial:
        with partial.open("wb") as file:  # torch writes the name of a path, here that of this process, into the file
            torch.save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}, file)
        parity_db = _parity_db(network, load_network(partial, architecture), tuple(example))
        if not parity_db >= PARITY_DB:
            raise ValueError(f"{path}: the state is {parity_db:.1f} dB from the module, expected {PARITY_DB:.1f} dB")
    digest, n_bytes = sha256_of(path), path.stat().st_size
    logger.info("%s: %d bytes, parity %.1f dB", path, n_bytes, parity_db)
    return Exported(path, digest, n_bytes, parity_db)


@torch.no_grad()
def _parity_db(network: nn.Module, loaded: nn.Module, shape: tuple[int, ...]) -> float:
    """Signal-to-difference ratio of both on positive noise, in evaluation mode."""
    device = next(network.parameters()).device
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 0.01
    was_training = network.training
    expected: Tensor = network.eval()(x.to(device))
    network.train(was_training)
    return agreement_db(expected.cpu().numpy(), loaded.to(device)(x.to(device)).cpu().numpy())
