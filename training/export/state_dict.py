"""Export of state dicts under their published key names, checked with the loader of the predictor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from my_submission.engines.torch_engine import load_network
from my_submission.files.part_files import written_whole
from my_submission.weights import sha256_of
from training.export.graphs import PARITY_DB, Exported, agreement_db, in_eval_mode

logger = logging.getLogger(__name__)

STATE_SUFFIX = ".pt"


def export_state(network: nn.Module, path: Path, *, architecture: str, example: Sequence[int]) -> Exported:
    """Write the state dict of a network.

    Args:
        network: the network; its parameters and buffers are written unchanged.
        path: the output file.
        architecture: name of the architecture in the manifest, which selects the loader.
        example: input shape for the parity check.

    Raises:
        ValueError: the loaded network disagrees with the given one.
    """
    with written_whole(path) as partial:
        with partial.open("wb") as file:  # given a path, torch would write its name into the file
            torch.save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}, file)
        parity_db = _parity_db(network, load_network(partial, architecture), tuple(example))
        if not parity_db >= PARITY_DB:
            raise ValueError(
                f"{path}: the state dict agrees with the module to {parity_db:.1f} dB only, expected {PARITY_DB:.1f} dB"
            )
    digest, n_bytes = sha256_of(path), path.stat().st_size
    logger.info("%s: %d bytes, parity %.1f dB", path, n_bytes, parity_db)
    return Exported(path, digest, n_bytes, parity_db)


@torch.no_grad()
def _parity_db(network: nn.Module, loaded: nn.Module, shape: tuple[int, ...]) -> float:
    """Return the agreement of both networks on positive noise, in evaluation mode, over the samples of the first."""
    device = next(network.parameters()).device
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 0.01
    with in_eval_mode(network):
        expected: Tensor = network(x.to(device))
        actual: Tensor = loaded.to(device)(x.to(device))
    actual = actual[..., : expected.shape[-1]]  # zeros may follow what a loaded network estimates
    return agreement_db(expected.cpu().numpy(), actual.cpu().numpy())
