"""Residual branches of a Hybrid Demucs: dilated convolutions, with an LSTM and attention in deep levels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from my_submission.networks.hybrid_demucs.shape import (
    ATTENTION_DECAYS,
    ATTENTION_HEADS,
    DCONV_COMPRESSION,
    DCONV_DEPTH,
    DCONV_KERNEL,
    DCONV_SCALE,
    DECAY_START,
    LSTM_LAYERS,
    LSTM_SPAN,
    SELF_SCORE,
)

QUERIES_PER_BLOCK = 128
"""Querying frames per block when no gradient is needed; the scores of a whole song would take gigabytes."""


class ResidualBranches(nn.Module):
    """Residual branches of growing dilation in sequence: [N, C, T] to [N, C, T]."""

    def __init__(self, channels: int, *, is_deep: bool) -> None:
        super().__init__()
        hidden = channels // DCONV_COMPRESSION
        self.layers = nn.ModuleList(
            _branch(channels, hidden, dilation=2**depth, is_deep=is_deep) for depth in range(DCONV_DEPTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the output of every branch to its input."""
        for layer in self.layers:
            x = x + layer(x)
        return x


def _branch(channels: int, hidden: int, *, dilation: int, is_deep: bool) -> nn.Sequential:
    context: list[nn.Module] = [BidirectionalLstm(hidden), LocalAttention(hidden)] if is_deep else []
    return nn.Sequential(
        nn.Conv1d(channels, hidden, DCONV_KERNEL, dilation=dilation, padding=dilation * (DCONV_KERNEL // 2)),
        nn.GroupNorm(1, hidden),
        nn.GELU(),
        *context,
        nn.Conv1d(hidden, 2 * channels, 1),
        nn.GroupNorm(1, 2 * channels),
        nn.GLU(dim=1),
        ChannelScale(channels),
    )


class ChannelScale(nn.Module):
    """One factor per channel: [N, C, T] to [N, C, T]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), DCONV_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """Scale."""
        return self.scale[:, None] * x


class BidirectionalLstm(nn.Module):
    """Two bidirectional layers over time and a linear one, with a residual connection: [N, C, T] to [N, C, T].

    Sequences longer than ``LSTM_SPAN`` are cut into spans that overlap by half; a quarter of every span is trimmed at
    each side with a neighbour.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, num_layers=LSTM_LAYERS, bidirectional=True)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run over the last axis."""
        steps = x.shape[-1]
        spans = _spans(x) if steps > LSTM_SPAN else x[:, None]
        n, n_spans, channels, width = spans.shape
        hidden, _ = self.lstm(spans.reshape(n * n_spans, channels, width).permute(2, 0, 1))
        y = self.linear(hidden).permute(1, 2, 0).reshape(n, n_spans, channels, width)
        return x + (_joined(y)[..., :steps] if n_spans > 1 else y[:, 0])


def _spans(x: Tensor) -> Tensor:
    """Return overlapping spans of the last axis, zero-padded at its end: [N, C, T] to [N, spans, C, LSTM_SPAN]."""
    hop = LSTM_SPAN // 2
    n_spans = -(-x.shape[-1] // hop)
    padded = F.pad(x, (0, (n_spans - 1) * hop + LSTM_SPAN - x.shape[-1]))
    return padded.unfold(-1, LSTM_SPAN, hop).permute(0, 2, 1, 3)


def _joined(spans: Tensor) -> Tensor:
    """Concatenate the middles of the spans: [N, spans, C, LSTM_SPAN] to [N, C, ≥ T]."""
    cut = LSTM_SPAN // 4
    first, *middle, last = spans.unbind(1)
    return torch.cat([first[..., :-cut], *(span[..., cut:-cut] for span in middle), last[..., cut:]], dim=-1)


class LocalAttention(nn.Module):
    """Attention over time with a learnt decay by distance per querying frame, and a residual connection.

    [N, C, T] to [N, C, T]. When gradients are needed, memory grows with the square of the frames.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.content = nn.Conv1d(channels, channels, 1)
        self.query = nn.Conv1d(channels, channels, 1)
        self.key = nn.Conv1d(channels, channels, 1)
        self.query_decay = nn.Conv1d(channels, ATTENTION_HEADS * ATTENTION_DECAYS, 1)
        self.proj = nn.Conv1d(channels, channels, 1)
        with torch.no_grad():
            self.query_decay.weight.mul_(0.01)
            if self.query_decay.bias is not None:
                self.query_decay.bias.fill_(DECAY_START)

    def forward(self, x: Tensor) -> Tensor:
        """Attend; frames do not attend to themselves."""
        n, channels, frames = x.shape
        per_head = (n, ATTENTION_HEADS, -1, frames)
        query, key, content = (layer(x).view(per_head) for layer in (self.query, self.key, self.content))
        query = query / math.sqrt(channels // ATTENTION_HEADS)
        rates = torch.arange(1, ATTENTION_DECAYS + 1, device=x.device, dtype=x.dtype)
        strength = torch.sigmoid(self.query_decay(x).view(per_head)) / 2
        # All decays are linear in distance, so their sum is one slope per head and querying frame.
        slope = torch.einsum("f,nhfs->nhs", rates, strength) / math.sqrt(ATTENTION_DECAYS)
        size = frames if torch.is_grad_enabled() else QUERIES_PER_BLOCK
        parts = [
            _attended(query[..., first : first + size], slope[..., first : first + size], key, content, first)
            for first in range(0, frames, size)
        ]
        y: Tensor = self.proj(torch.cat(parts, dim=-1).reshape(n, channels, frames))
        return x + y


def _attended(query: Tensor, slope: Tensor, key: Tensor, content: Tensor, first: int) -> Tensor:
    """Return the attention output of the frames from ``first`` on: [N, heads, C / heads, queries]."""
    querying = torch.arange(first, first + query.shape[-1], device=query.device)
    distance = (torch.arange(key.shape[-1], device=query.device)[:, None] - querying).abs()
    scores = torch.einsum("nhct,nhcs->nhts", key, query) - distance * slope[:, :, None]
    weights = torch.softmax(scores.masked_fill(distance == 0, SELF_SCORE), dim=2)
    return torch.einsum("nhts,nhct->nhcs", weights, content)
