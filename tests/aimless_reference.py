"""AIMLESS' networks once more, from their definitions and their states alone, in float64.

No module, no batch, no tiles: one item at a time, recurrences step by step, attention frame by frame, and spectra by
the sum that defines them. Parameters come by their published key names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Parameters:
    """Parameters below a prefix, in double precision."""

    def __init__(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        self.state, self.prefix = state, prefix

    def __getitem__(self, key: str) -> Tensor:
        return self.state[self.prefix + key].double()

    def __contains__(self, key: str) -> bool:
        return self.prefix + key in self.state

    def at(self, key: str | int) -> Parameters:
        return Parameters(self.state, f"{self.prefix}{key}.")


def linear(x: Tensor, p: Parameters) -> Tensor:
    return x @ p["weight"].T + p["bias"]


def one_way(x: Tensor, p: Parameters, suffix: str) -> Tensor:
    """An LSTM over [steps, features], step by step."""
    w, u, b = p[f"weight_ih{suffix}"], p[f"weight_hh{suffix}"], p[f"bias_ih{suffix}"] + p[f"bias_hh{suffix}"]
    projection = p[f"weight_hr{suffix}"] if f"weight_hr{suffix}" in p else torch.eye(u.shape[1], dtype=x.dtype)
    h, c = x.new_zeros(projection.shape[0]), x.new_zeros(projection.shape[1])
    outputs = []
    for step in x:
        i, f, g, o = (w @ step + u @ h + b).chunk(4)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = projection @ (torch.sigmoid(o) * torch.tanh(c))
        outputs.append(h)
    return torch.stack(outputs)


def lstm(x: Tensor, p: Parameters) -> Tensor:
    """All layers, both ways, over [steps, features]."""
    layer = 0
    while f"weight_ih_l{layer}" in p:
        backward = one_way(x.flip(0), p, f"_l{layer}_reverse").flip(0)
        x = torch.cat([one_way(x, p, f"_l{layer}"), backward], dim=1)
        layer += 1
    return x


# ---- Hybrid Demucs -------------------------------------------------------------------------------------------------


def spectrum(wave: Tensor) -> Tensor:
    """[S] to complex [2048, frames] by the sum that defines a Fourier transform."""
    frames = math.ceil(len(wave) / 1024)
    right = 1536 + frames * 1024 - len(wave)
    if len(wave) <= right:
        wave = torch.cat([wave, wave.new_zeros(right - len(wave) + 1)])
    padded = torch.from_numpy(np.pad(wave.numpy(), (1536, right), mode="reflect"))
    n = torch.arange(4096, dtype=torch.float64)
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * n / 4096)
    transform = torch.exp(-2j * math.pi * n[None] * torch.arange(2048)[:, None] / 4096)
    parts = torch.stack([padded[1024 * t : 1024 * t + 4096] * window for t in range(frames)], dim=1)
    return transform @ parts.to(torch.complex128) / 64


def wave_of(spec: Tensor, samples: int) -> Tensor:
    """Complex [2048, frames] to [samples] by windowed overlap-add; two silent frames stand at each side."""
    frames = spec.shape[1]
    n = torch.arange(4096, dtype=torch.float64)
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * n / 4096)
    total, envelope = torch.zeros(2, 1024 * (frames + 3) + 4096, dtype=torch.float64)
    for t in range(frames + 4):
        if 2 <= t < frames + 2:
            full = np.concatenate([spec[:, t - 2].numpy(), [0]])
            total[1024 * t : 1024 * t + 4096] += torch.from_numpy(np.fft.irfft(full, 4096)) * 64 * window
        envelope[1024 * t : 1024 * t + 4096] += window**2
    start = 2048 + 1536
    return total[start : start + samples] / envelope[start : start + samples]


def dconv(x: Tensor, p: Parameters) -> Tensor:
    """[C, T]."""
    for depth in range(2):
        layer = p.at(f"dconv.layers.{depth}")
        second, scale = ("5", "8") if "8.scale" in layer else ("3", "6")
        y = F.conv1d(x[None], layer["0.weight"], layer["0.bias"], dilation=2**depth, padding=2**depth)
        y = F.gelu(F.group_norm(y, 1, layer["1.weight"], layer["1.bias"]))[0]
        if second == "5":
            y = attention(spans(y, layer.at(3)), layer.at(4))
        y = layer[f"{second}.weight"][:, :, 0] @ y + layer[f"{second}.bias"][:, None]
        norm = str(int(second) + 1)
        y = F.glu(F.group_norm(y[None], 1, layer[f"{norm}.weight"], layer[f"{norm}.bias"]), dim=1)[0]
        x = x + layer[f"{scale}.scale"][:, None] * y
    return x


def spans(x: Tensor, p: Parameters) -> Tensor:
    """The recurrence over [C, T], in spans of 200 where there are more steps."""
    steps = x.shape[1]
    if steps <= 200:
        return x + linear(lstm(x.T, p.at("lstm")), p.at("linear")).T
    n_spans = math.ceil(steps / 100)
    padded = F.pad(x, (0, 100 * n_spans + 100 - steps))
    y = torch.zeros(x.shape[0], 100 * n_spans + 100, dtype=x.dtype)
    for index in range(n_spans):
        part = linear(lstm(padded[:, 100 * index : 100 * index + 200].T, p.at("lstm")), p.at("linear")).T
        first, last = (0 if index == 0 else 50), (200 if index == n_spans - 1 else 150)
        y[:, 100 * index + first : 100 * index + last] = part[:, first:last]
    return x + y[:, :steps]


def attention(x: Tensor, p: Parameters) -> Tensor:
    """[C, T], one head and one querying frame after the other."""
    channels, frames = x.shape
    content, query, key, decay = (
        p[f"{name}.weight"][:, :, 0] @ x + p[f"{name}.bias"][:, None]
        for name in ("content", "query", "key", "query_decay")
    )
    size = channels // 4
    heard = torch.zeros_like(x)
    for head in range(4):
        rows = slice(head * size, (head + 1) * size)
        for s in range(frames):
            scores = torch.stack([key[rows, t] @ query[rows, s] for t in range(frames)]) / math.sqrt(size)
            for f in range(4):
                strength = torch.sigmoid(decay[4 * head + f, s]) / 2
                scores -= (f + 1) * (torch.arange(frames) - s).abs() / 2 * strength
            scores[s] = -100
            heard[rows, s] = content[rows] @ torch.softmax(scores, dim=0)
    return x + p["proj.weight"][:, :, 0] @ heard + p["proj.bias"][:, None]


def normed(x: Tensor, p: Parameters, name: str) -> Tensor:
    return F.group_norm(x[None], 4, p[f"{name}.weight"], p[f"{name}.bias"])[0] if f"{name}.weight" in p else x


def encode(x: Tensor, p: Parameters, *, pad: int, injected: Tensor | None = None) -> Tensor:
    """A level, [C, F, T] or [C, T]."""
    is_flat = x.dim() == 2
    if is_flat:
        stride = 4 if p["conv.weight"].shape[2] == 8 else 2
        x = F.pad(x, (0, -x.shape[1] % stride))
        y = F.conv1d(x[None], p["conv.weight"], p["conv.bias"], stride, pad)[0]
    else:
        y = F.conv2d(x[None], p["conv.weight"], p["conv.bias"], (4, 1), (pad, 0))[0]
    if "rewrite.weight" not in p:
        return y
    if injected is not None:
        y = y + injected[:, None]
    y = F.gelu(normed(y, p, "norm1"))
    y = dconv(y, p) if is_flat else torch.stack([dconv(y[:, bin_], p) for bin_ in range(y.shape[1])], dim=1)
    weight = p["rewrite.weight"].reshape(p["rewrite.weight"].shape[:2])
    y = torch.tensordot(weight, y, dims=1) + p["rewrite.bias"].reshape(-1, *[1] * (y.dim() - 1))
    return F.glu(normed(y, p, "norm2"), dim=0)


def decode(x: Tensor, p: Parameters, *, is_last: bool, pad: int, length: int | None = None) -> tuple[Tensor, Tensor]:
    """A level upwards, and what it knew before the transposed convolution."""
    before = x
    if "rewrite.weight" in p:
        convolve = F.conv1d if x.dim() == 2 else F.conv2d
        before = F.glu(normed(convolve(x[None], p["rewrite.weight"], p["rewrite.bias"], padding=1)[0], p, "norm1"), 0)
    if x.dim() == 2:
        stride = 4 if p["conv_tr.weight"].shape[2] == 8 else 2
        y = F.conv_transpose1d(before[None], p["conv_tr.weight"], p["conv_tr.bias"], stride)[0]
        y = normed(y, p, "norm2")[:, pad : pad + length]
    else:
        y = F.conv_transpose2d(before[None], p["conv_tr.weight"], p["conv_tr.bias"], (4, 1))[0]
        y = normed(y, p, "norm2")[:, pad : y.shape[1] - pad]
    return (y if is_last else F.gelu(y)), before


def hybrid_demucs(mixture: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    """[channels, S] to [sources, channels, S]."""
    p = Parameters(state)
    channels, samples = mixture.shape
    specs = [spectrum(row.double()) for row in mixture]
    x = torch.stack([part for spec in specs for part in (spec.real, spec.imag)])
    x_mean, x_std, t_mean, t_std = x.mean(), x.std(), mixture.double().mean(), mixture.double().std()
    x, t = (x - x_mean) / (1e-5 + x_std), (mixture.double() - t_mean) / (1e-5 + t_std)
    skips, time_skips, lengths = [], [], []
    for level in range(5):
        lengths.append(t.shape[1])
        t = encode(t, p.at(f"time_encoder.{level}"), pad=2)
        time_skips.append(t)
        deep = level == 4
        x = encode(x, p.at(f"freq_encoder.{level}"), pad=0 if deep else 2, injected=t if deep else None)
        if level == 0:
            x = x + 0.2 * 10 * p["freq_emb.embedding.weight"].T[:, :, None]
        skips.append(x)
    frames = x.shape[2]
    bottom = encode(x[:, 0], p.at("freq_encoder.5"), pad=1)
    x, _ = decode(bottom, p.at("freq_decoder.0"), is_last=False, pad=1, length=frames)
    x, before = decode(x[:, None] + skips[4], p.at("freq_decoder.1"), is_last=False, pad=0)
    t, _ = decode(before[:, 0], p.at("time_decoder.0"), is_last=False, pad=2, length=lengths[4])
    for index, level in enumerate((3, 2, 1, 0)):
        x, _ = decode(x + skips[level], p.at(f"freq_decoder.{index + 2}"), is_last=level == 0, pad=2)
        t = t + time_skips[level]
        t, _ = decode(t, p.at(f"time_decoder.{index + 1}"), is_last=level == 0, pad=2, length=lengths[level])
    x, t = x * x_std + x_mean, t * t_std + t_mean
    rows = [wave_of(torch.complex(x[2 * row], x[2 * row + 1]), samples) for row in range(len(x) // 2)]
    return (torch.stack(rows) + t).view(-1, channels, samples)


# ---- networks of magnitudes ----------------------------------------------------------------------------------------


def band_split_rnn(magnitude: Tensor, state: Mapping[str, Tensor], n_sources: int = 1) -> Tensor:
    """[channels, bins, frames] to a mask, or to [sources, channels, bins, frames]; four groups in the norms."""
    logits = torch.stack([_band_split_channel(channel.double(), Parameters(state), n_sources) for channel in magnitude])
    if n_sources == 1:
        return torch.sigmoid(logits[:, 0])
    exponentials = torch.exp(logits.transpose(0, 1))
    return exponentials / exponentials.sum(dim=0)


def _band_split_channel(magnitude: Tensor, p: Parameters, n_sources: int) -> Tensor:
    """[bins, frames] to [sources, bins, frames]; a band's last layer has one source after another."""
    loudness = torch.log(magnitude + 1e-8).T
    features, start, band = [], 0, 0
    while f"fc1_list.{band}.weight" in p:
        norm = p.at(f"norm1_list.{band}")
        width = len(norm["weight"])
        part = F.layer_norm(loudness[:, start : start + width], (width,), norm["weight"], norm["bias"])
        features.append(linear(part, p.at(f"fc1_list.{band}")))
        start, band = start + width, band + 1
    x = torch.stack(features)  # [bands, frames, size]
    layer = 0
    while f"time_group_norms.{layer}.weight" in p:
        x = torch.stack([_added(sequence, p, "time", layer) for sequence in x])
        x = torch.stack([_added(sequence, p, "band", layer) for sequence in x.unbind(1)], dim=1)
        layer += 1
    logits: list[list[Tensor]] = [[] for _ in range(n_sources)]
    for index, sequence in enumerate(x):
        norm, mlp = p.at(f"norm2_list.{index}"), p.at(f"mlps.{index}")
        y = F.layer_norm(sequence, (sequence.shape[1],), norm["weight"], norm["bias"])
        estimates = linear(torch.tanh(linear(y, mlp.at(0))), mlp.at(2)).chunk(n_sources, dim=1)
        for of_source, estimate in zip(logits, estimates, strict=True):
            of_source.append(estimate)
    return torch.stack([torch.cat(of_source, dim=1).T for of_source in logits])


def _added(sequence: Tensor, p: Parameters, axis: str, layer: int) -> Tensor:
    norm = p.at(f"{axis}_group_norms.{layer}")
    y = F.group_norm(sequence.T[None], 4, norm["weight"], norm["bias"])[0].T
    return sequence + lstm(y, p.at(f"{axis}_lstms.{layer}"))


def x_umx(magnitude: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    """[channels, bins, frames] to masks [4, channels, bins, frames]."""
    p = Parameters(state)
    x, (channels, bins, frames) = magnitude.double(), magnitude.shape
    heard = len(p["input_means"]) // 4
    means, scales = p["input_means"].view(4, heard), p["input_scale"].view(4, heard)
    hidden = []
    for source in range(4):
        scaled = (x[:, :heard] + means[source][:, None]) * scales[source][:, None]
        hidden.append(_affine(scaled.reshape(channels * heard, frames), p, source, "affine1.0", "affine1.1"))
    mean = sum(torch.tanh(each) for each in hidden) / 4
    recurred = sum(lstm(mean.T, p.at(f"{name}_lstm")) for name in ("bass", "drums", "vocals", "other")) / 4
    both = torch.cat([mean, recurred.T])
    masks = []
    for source in range(4):
        y = torch.relu(_affine(both, p, source, "affine2.0", "affine2.1"))
        y = _affine(y, p, source, "affine2.3", "affine2.4").view(channels, bins, frames)
        scale, offset = (p[name].view(4, bins)[source][:, None] for name in ("output_scale", "output_means"))
        masks.append(torch.relu(y * scale + offset))
    return torch.stack(masks)


def _affine(x: Tensor, p: Parameters, source: int, matrix: str, norm: str) -> Tensor:
    """One source's part of a grouped 1×1 convolution and of the BatchNorm behind it."""
    rows = p[f"{matrix}.weight"].chunk(4)[source][:, :, 0]
    mean, var, gain, bias = (
        p[f"{norm}.{name}"].chunk(4)[source][:, None] for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (rows @ x - mean) / torch.sqrt(var + 1e-5) * gain + bias
