"""Weights of the conditioned U-Nets under their published key names, from state dicts and Lightning checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from my_submission.errors import WeightsError
from my_submission.networks.lasaft.framework import ConditionedNet
from my_submission.networks.lasaft.options import Options, StatedOptions, read_options
from my_submission.networks.lasaft.shapes import infer_framework
from my_submission.networks.state_dict import load_state_dict
from my_submission.networks.strict_loading import Where, load_strictly

NETWORK_PREFIXES = ("spec2spec.", "conditional_spec2spec.")
"""Prefixes of the network's weights in a checkpoint of the authors' programs, newest first."""

WINDOW_KEY = "stft.stft.window"

_WINDOW_TOLERANCE = 1e-5
"""Maximum difference of windows, which differ between versions of torch in the last bits."""

_RENAMED = (
    (re.compile(r"\.parametrizations\.weight\.original0$"), ".weight_g"),
    (re.compile(r"\.parametrizations\.weight\.original1$"), ".weight_v"),
    (re.compile(r"^(encoders\.\d+|mid_block|decoders\.\d+)\.H\."), r"\1.tfc.H."),
)
"""New names of weight norms, and blocks that are nothing but convolutions."""


def canonical_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's part of a state without its prefix, with weight norms under torch's first names.

    A state without prefix is used as it is.
    """
    prefix = next((each for each in NETWORK_PREFIXES if any(key.startswith(each) for key in state)), "")
    renamed = {}
    for key, value in state.items():
        if key == WINDOW_KEY:
            continue
        name = key.removeprefix(prefix)
        for pattern, replacement in _RENAMED:
            name = pattern.sub(replacement, name)
        renamed[name] = value
    return renamed


def from_state_dict(
    state: Mapping[str, Tensor], options: StatedOptions | Options, *, where: Where = None
) -> ConditionedNet:
    """Return the network of a state, in evaluation mode.

    Args:
        state: under the published key names.
        options: what the weights do not show, under the names of the authors' programs.
        where: the file, for error messages.

    Raises:
        WeightsError: a key is missing, unexpected or of another shape; an option that matters is missing, or differs
            from what the weights show; or the window is not a Hann window.
    """
    stated = options if isinstance(options, StatedOptions) else StatedOptions.of(options, where=where)
    window = state.get(WINDOW_KEY)
    n_fft = None if window is None or window.dim() != 1 else len(window)
    separator = ConditionedNet(infer_framework(canonical_state(state), stated, n_fft=n_fft, where=where))
    return load_weights(separator, state, where=where).eval()


def load_weights(separator: ConditionedNet, state: Mapping[str, Tensor], *, where: Where = None) -> ConditionedNet:
    """Copy a state strictly into ``separator``, and return it; errors as :func:`from_state_dict`."""
    load_strictly(separator.spec2spec, canonical_state(state), where=where)
    if WINDOW_KEY in state:
        _check_window(state[WINDOW_KEY], separator.config.network.n_fft, where)
    return separator


def from_checkpoint(path: Path, *, manifest: Options | None = None) -> ConditionedNet:
    """As :func:`from_state_dict`, from a file of the authors' training program; code in it is never executed.

    Args:
        path: the checkpoint; its options are read from it and from files beside it.
        manifest: options of its manifest entry.

    Raises:
        WeightsError: the file is damaged, contains code, is not such a network, or its options are not known.
    """
    return from_state_dict(load_state_dict(path), read_options(path, manifest=manifest), where=path)


def _check_window(window: Tensor, n_fft: int, where: Where) -> None:
    if tuple(window.shape) != (n_fft,):
        shapes = f"{tuple(window.shape)}, expected {(n_fft,)}"
        raise WeightsError(f"the weight {WINDOW_KEY} has the shape {shapes}", where=where)
    expected = torch.hann_window(n_fft, periodic=True)
    stored = (expected, expected.half().float(), expected.bfloat16().float())  # as states of these types hold it
    difference = min(float((window.float() - each).abs().nan_to_num(torch.inf).max()) for each in stored)
    if not difference <= _WINDOW_TOLERANCE:
        problem = f"the weight {WINDOW_KEY} is not a periodic Hann window (it differs by {difference:.2g})"
        raise WeightsError(problem, where=where, hint="use a checkpoint that was trained with one")
