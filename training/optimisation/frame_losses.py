"""Losses over frames of waveforms, from the programs of LaSAFT and LASAFT-Net-v2.

Estimate e and target t are cut into overlapping frames. Per frame and channel, ``s = (⟨e, t⟩ + ε) / (|t|² + ε) · t`` is
the target scaled to its level in the estimate, and ``d = e − s`` the distortion, with ε = 1e-8.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

FrameLossName = Literal[
    "distortion", "sdr-like", "sdr", "dsr", "nsdr", "nsdr-44100", "ldsr", "ncs", "ncs-44100", "nlcs"
]
FRAME_LOSSES: tuple[str, ...] = get_args(FrameLossName)

EPSILON = 1e-8
LONG_FRAME = (44_100, 22_050)
"""Length and hop of the frames of losses whose names end in 44100, in samples; the others take those of the STFT."""

LONG_SUFFIX = "-44100"


def frame_loss(name: str, estimates: Tensor, targets: Tensor, weights: Tensor, *, length: int, hop: int) -> Tensor:
    """Return the named loss of waveforms ``[N, targets, channels, samples]``.

    ========== ======================================== ==========
    name       value per frame and channel              over frames
    ========== ======================================== ==========
    distortion ``|d|``                                  sum
    sdr-like   ``|d|² − |s|²``                          sum
    sdr        ``(|s|² + ε) / (|d|² + ε)``              mean
    dsr        ``(|d|² + ε) / (|s|² + ε)``              mean
    nsdr       ``−sdr``                                 mean
    ldsr       ``ln dsr``                               mean
    ncs        ``−cos(e, t)``                           mean
    nlcs       ``−ln(cos(e, t) + 1 + ε)``               mean
    ========== ======================================== ==========

    ``sdr`` grows with the quality of the estimate, as published: it is not a loss to minimise.

    Args:
        name: one of :data:`FRAME_LOSSES`.
        estimates: the estimates.
        targets: their targets.
        weights: one value per target.
        length: length of a frame in samples, unless the name sets it.
        hop: distance between frames in samples, unless the name sets it.
    """
    if name.endswith(LONG_SUFFIX):
        name = name.removesuffix(LONG_SUFFIX)
        length, hop = LONG_FRAME
    e, t = frames(estimates, length, hop), frames(targets, length, hop)
    value = _per_frame(name, e, t)
    over_frames = value.sum(dim=-1) if name in {"distortion", "sdr-like"} else value.mean(dim=-1)
    return torch.mean(over_frames.mean(dim=2) * weights)


def frames(waves: Tensor, length: int, hop: int) -> Tensor:
    """Cut waveforms ``[..., samples]`` into ``[..., frames, length]``.

    As published, half of the missing samples are zeros at each end; an odd one is not added, so the last frame that
    needs it is left out.
    """
    samples = waves.shape[-1]
    missing = samples // hop * hop + length - samples
    return functional.pad(waves, (missing // 2, missing // 2)).unfold(-1, length, hop)


def _per_frame(name: str, e: Tensor, t: Tensor) -> Tensor:
    if name in {"ncs", "nlcs"}:
        norms = [torch.linalg.vector_norm(x, dim=-1).clamp_min(EPSILON) for x in (e, t)]
        cosine = (e * t).sum(dim=-1) / (norms[0] * norms[1])
        return -cosine if name == "ncs" else -torch.log(cosine + 1.0 + EPSILON)
    product, power = (e * t).sum(dim=-1, keepdim=True), t.square().sum(dim=-1, keepdim=True)
    s = (product + EPSILON) / (power + EPSILON) * t
    d = e - s
    if name == "distortion":
        length: Tensor = torch.linalg.vector_norm(d, dim=-1)
        return length
    signal, distortion = s.square().sum(dim=-1), d.square().sum(dim=-1)
    if name == "sdr-like":
        return distortion - signal
    if name == "ldsr":
        return torch.log(distortion + EPSILON) - torch.log(signal + EPSILON)
    if name == "dsr":
        return (distortion + EPSILON) / (signal + EPSILON)
    ratio = (signal + EPSILON) / (distortion + EPSILON)
    return -ratio if name == "nsdr" else ratio
