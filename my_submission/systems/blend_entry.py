"""A fitted blend as an entry of ``systems.toml``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from my_submission.blending.lab import BlendFit
from my_submission.blending.mixer_fit import Matrix

MIN_SHARE = 0.005
"""Smaller shares are omitted."""


def blend_entry(name: str, fit: BlendFit) -> str:
    """Return the entry of a blend; the filter and the Mixer are in it if they gain on held-out songs."""
    shares = {source: dict(zip(each.systems, each.shares, strict=True)) for source, each in fit.sources.items()}
    after = fit.afterwards
    return entry_of(
        name,
        {source: _rounded(of_source) for source, of_source in shares.items()},
        filter_shares=after.filter_shares if after.uses_filter else {},
        mixer=after.mixer if after.uses_mixer else None,
    )


def entry_of(
    name: str,
    shares: Mapping[str, Mapping[str, float]],
    *,
    filter_shares: Mapping[str, float] | None = None,
    mixer: Matrix | None = None,
) -> str:
    """Return the text of an entry, from ``[[systems]]`` on.

    Args:
        name: name of the system.
        shares: source to system to share.
        filter_shares: source to the share of a Wiener filter; empty for none.
        mixer: the Mixer over the blend.
    """
    by_system: dict[str, dict[str, float]] = {}
    for source, of_source in shares.items():
        for system, share in of_source.items():
            by_system.setdefault(system, {})[source] = share
    lines = ["[[systems]]", f'name = "{name}"', f'title = "blend of {", ".join(by_system)}"']
    if filter_shares:
        lines.append(f"wiener = {{ shares = {_table(filter_shares)} }}")
    if mixer is not None:
        lines += _mixer_lines(mixer, list(shares))
    for system, of_system in by_system.items():
        lines += ["", "[[systems.branches]]", 'kind = "system"', f'name = "{system}"', f'system = "{system}"']
        lines.append(f"shares = {_table(of_system)}")
    return "\n".join(lines) + "\n"


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    """Return shares of three digits with the sum 1, without the smallest ones."""
    kept = {system: share for system, share in shares.items() if share >= MIN_SHARE}
    rounded = {system: round(share / sum(kept.values()), 3) for system, share in kept.items()}
    largest = max(rounded, key=lambda system: rounded[system])
    rounded[largest] = round(rounded[largest] + 1 - sum(rounded.values()), 3)
    return rounded


def _mixer_lines(mixer: Matrix, sources: Sequence[str]) -> list[str]:
    columns = ", ".join(f"{name}.L {name}.R" for name in (*sources, "mixture"))
    lines = ["", "[systems.mixer]", f"sources = {json.dumps(list(sources))}"]
    lines.append(f"matrix = [  # columns: {columns}")
    for row, channel in zip(mixer, (f"{source}.{side}" for source in sources for side in "LR"), strict=True):
        numbers = ", ".join(f"{value:7.4f}" for value in row)
        lines.append(f"    [{numbers}],  # {channel}")
    return [*lines, "]"]


def _table(values: Mapping[str, float]) -> str:
    return "{ " + ", ".join(f"{key} = {value:.3f}" for key, value in values.items()) + " }"
