"""The residual branches of a Hybrid Demucs: dilated convolutions, and deep inside a recurrence and an attention."""

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

QUERIES_TOGETHER = 128
"""Frames that attend at once where no gradient is needed; all scores of a whole song would be gigabytes."""


class ResidualBranches(nn.Module):
    """Residual branches of growing dilation one after the other: [N, C, T] to [N, C, T]."""

    def __init__(self, channels: int, *, is_deep: bool) -> None:
        super().__init__()
        hidden = channels // DCONV_COMPRESSION
        self.layers = nn.ModuleList(
            _branch(channels, hidden, dilation=2**depth, is_deep=is_deep) for depth in range(DCONV_DEPTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add what every branch makes of the sum so far."""
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
    """One factor a channel: [N, C, T] to [N, C, T]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), DCONV_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """Scale."""
        return self.scale[:, None] * x


class BidirectionalLstm(nn.Module):
    """Two bidirectional layers over time and a linear one, with a residual connection: [N, C, T] to [N, C, T].

    Sequences longer than ``LSTM_SPAN`` go in spans that overlap by half; of every span a quarter is cut off at each
    side that has a neighbour.
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
    """Overlapping spans of the last axis, zeros beyond its end: [N, C, T] to [N, spans, C, LSTM_SPAN]."""
    hop = LSTM_SPAN // 2
    n_spans = -(-x.shape[-1] // hop)
    padded = F.pad(x, (0, (n_spans - 1) * hop + LSTM_SPAN - x.shape[-1]))
    return padded.unfold(-1, LSTM_SPAN, hop).permute(0, 2, 1, 3)


def _joined(spans: Tensor) -> Tensor:
    """Middles of the spans end to end: [N, spans, C, LSTM_SPAN] to [N, C, ≥ T]."""
    cut = LSTM_SPAN // 4
    first, *middle, last = spans.unbind(1)
    return torch.cat([first[..., :-cut], *(span[..., cut:-cut] for span in middle), last[..., cut:]], dim=-1)


class LocalAttention(nn.Module):
    """Attention over time whose scores fall with distance as every frame asks, with a residual connection.

    [N, C, T] to [N, C, T]. Where gradients are needed, memory grows with the square of the frames.
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
        """Attend; a frame never to itself."""
        n, channels, frames = x.shape
        per_head = (n, ATTENTION_HEADS, -1, frames)
        query, key, content = (layer(x).view(per_head) for layer in (self.query, self.key, self.content))
        query = query / math.sqrt(channels // ATTENTION_HEADS)
        rates = torch.arange(1, ATTENTION_DECAYS + 1, device=x.device, dtype=x.dtype)
        strength = torch.sigmoid(self.query_decay(x).view(per_head)) / 2
        # Every decay falls with the same distance, so that their sum is one slope a head and querying frame.
        slope = torch.einsum("f,nhfs->nhs", rates, strength) / math.sqrt(ATTENTION_DECAYS)
        together = frames if torch.is_grad_enabled() else QUERIES_TOGETHER
        parts = [
            _heard(query[..., first : first + together], slope[..., first : first + together], key, content, first)
            for first in range(0, frames, together)
        ]
        heard = torch.cat(parts, dim=-1).reshape(n, channels, frames)
        attended: Tensor = self.proj(heard)
        return x + attended


def _heard(query: Tensor, slope: Tensor, key: Tensor, content: Tensor, first: int) -> Tensor:
    """What the frames from ``first`` on hear of all frames: [N, heads, C / heads, queries]."""
    asking = torch.arange(first, first + query.shape[-1], device=query.device)
    distance = (torch.arange(key.shape[-1], device=query.device)[:, None] - asking).abs()
    scores = torch.einsum("nhct,nhcs->nhts", key, query) - distance * slope[:, :, None]
    weights = torch.softmax(scores.masked_fill(distance == 0, SELF_SCORE), dim=2)
    return torch.einsum("nhts,nhct->nhcs", weights, content)
