"""Well-known networks that this program does not run, by the keys of their states."""

from __future__ import annotations

import re
from collections.abc import Iterable
from os import PathLike

from my_submission.errors import WeightsError

_OTHER_ARCHITECTURES = (
    (
        r"(?:.*\.)?(?:encoder_blocks|bottleneck_block|decoder_blocks)\..*\bblocks\.\d+\.(?:tfc1|tfc2|tdf|shortcut)\b",
        "TFC-TDF v3 (MDX23C)",
    ),
    (r"(?:.*\.)?crosstransformer\.", "Hybrid Transformer Demucs (HTDemucs)"),
    (r"(?:.*\.)?band_split\.to_features\.", "BS-RoFormer or Mel-Band RoFormer"),
)
"""Patterns of keys that belong to well-known networks which this program does not run."""


def refuse_other_architectures(keys: Iterable[str], *, where: str | PathLike[str] | None = None) -> None:
    """Raise a WeightsError that names the architecture of a state with these keys, if it is known and not supported."""
    names = list(keys)
    for pattern, name in _OTHER_ARCHITECTURES:
        if any(re.match(pattern, key) for key in names):
            hint = "use a network of an architecture that models/README.md lists"
            raise WeightsError(f"is a state of {name}, which this program does not run", where=where, hint=hint)
