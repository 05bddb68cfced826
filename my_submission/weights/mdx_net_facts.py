"""Facts on the public graphs of KUIELab's architecture that their files do not state.

UVR and audio-separator recognise a graph by the MD5 of its end. The table lists n_fft, the fitted gain and the output
of every graph that is known this way; bins and frames are read from the graph.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

TAIL_BYTES = 10_240_000
"""Bytes at the end of a file that identify it."""

HOP = 1024
"""Distance between frames of all of these graphs, in samples."""


@dataclass(frozen=True)
class NetworkFacts:
    """Facts that a graph does not state.

    Attributes:
        n_fft: window and transform length, in samples; the hop is 1024.
        compensation: gain of the output, fitted by its trainers, that makes up for the network's loss of level.
        output: the stem that the graph outputs.
        is_karaoke: whether it separates the lead vocals from backing vocals and instruments.
    """

    n_fft: int
    compensation: float
    output: str
    is_karaoke: bool = False


def tail_md5(path: Path) -> str:
    """Return the MD5 of the last 10 240 000 bytes of a file, or of all of it if it is shorter, in hexadecimal."""
    state = path.stat()
    return _tail_md5(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _tail_md5(path: Path, n_bytes: int, _: int) -> str:
    with path.open("rb") as file:
        file.seek(max(0, n_bytes - TAIL_BYTES), os.SEEK_SET)
        return hashlib.md5(file.read(), usedforsecurity=False).hexdigest()


def facts_of(path: Path) -> NetworkFacts | None:
    """Return the facts on a graph; None if the table does not list its end."""
    return KNOWN_NETWORKS.get(tail_md5(path))


KNOWN_NETWORKS: Mapping[str, NetworkFacts] = MappingProxyType(
    {
        "6703e39f36f18aa7855ee1047765621d": NetworkFacts(16384, 1.035, "bass"),
        "c3b29bdce8c4fa17ec609e16220330ab": NetworkFacts(16384, 1.035, "bass"),
        "4910e7827f335048bdac11fa967772f9": NetworkFacts(4096, 1.035, "drums"),
        "dc41ede5961d50f277eb846db17f5319": NetworkFacts(4096, 1.035, "drums"),
        "1c56ec0224f1d559c42fd6fd2a67b154": NetworkFacts(5120, 1.025, "instrumental"),
        "1d64a6d2c30f709b8c9b4ce1366d96ee": NetworkFacts(5120, 1.065, "instrumental", is_karaoke=True),
        "8a88db95c7fb5dbe6a095ff2ffb428b1": NetworkFacts(5120, 1.026, "instrumental"),
        "0f2a6bc5b49d87d64728ee40e23bceb1": NetworkFacts(5120, 1.019, "instrumental"),
        "cb790d0c913647ced70fc6b38f5bea1a": NetworkFacts(5120, 1.01, "instrumental"),
        "b06327a00d5e5fbc7d96e1781bbdb596": NetworkFacts(6144, 1.035, "instrumental"),
        "94ff780b977d3ca07c7a343dab2e25dd": NetworkFacts(6144, 1.039, "instrumental"),
        "203f2a3955221b64df85a41af87cf8f0": NetworkFacts(6144, 1.035, "instrumental"),
        "291c2049608edb52648b96e27eb80e95": NetworkFacts(6144, 1.035, "instrumental"),
        "ead8d05dab12ec571d67549b3aab03fc": NetworkFacts(6144, 1.035, "instrumental"),
        "cc63408db3d80b4d85b0287d1d7c9632": NetworkFacts(6144, 1.033, "instrumental"),
        "55657dd70583b0fedfba5f67df11d711": NetworkFacts(6144, 1.022, "instrumental"),
        "2cdd429caac38f0194b133884160f2c6": NetworkFacts(7680, 1.045, "instrumental"),
        "488b3e6f8bd3717d9d7c428476be2d75": NetworkFacts(7680, 1.035, "instrumental"),
        "ceed671467c1f64ebdfac8a2490d0d52": NetworkFacts(7680, 1.035, "instrumental"),
        "d2a1376f310e4f7fa37fb9b5774eb701": NetworkFacts(7680, 1.035, "instrumental"),
        "e5572e58abf111f80d8241d2e44e7fa4": NetworkFacts(7680, 1.028, "instrumental"),
        "f2df6d6863d8f435436d8b561594ff49": NetworkFacts(7680, 1.035, "instrumental"),
        "b6bccda408a436db8500083ef3491e8b": NetworkFacts(7680, 1.02, "instrumental"),
        "b78da4afc6512f98e4756f5977f5c6b9": NetworkFacts(7680, 1.021, "instrumental"),
        "b02be2d198d4968a121030cf8950b492": NetworkFacts(5120, 1.02, "no_crowd"),
        "26d308f91f3423a67dc69a6d12a8793d": NetworkFacts(8192, 1.035, "other"),
        "65ab5919372a128e4167f5e01a8fda85": NetworkFacts(8192, 1.035, "other"),
        "cd5b2989ad863f116c855db1dfe24e39": NetworkFacts(6144, 1.035, "reverb"),
        "0ddfc0eb5792638ad5dc27850236c246": NetworkFacts(6144, 1.035, "vocals"),
        "2f5501189a2f6db6349916fabe8c90de": NetworkFacts(6144, 1.035, "vocals", is_karaoke=True),
        "5f6483271e1efb9bfb59e4a3e6d4d098": NetworkFacts(6144, 1.035, "vocals"),
        "6b31de20e84392859a3d09d43f089515": NetworkFacts(6144, 1.035, "vocals"),
        "a3cd63058945e777505c01d2507daf37": NetworkFacts(6144, 1.03, "vocals"),
        "d7bff498db9324db933d913388cba6be": NetworkFacts(6144, 1.035, "vocals"),
        "d94058f8c7f1fae4164868ae8ae66b20": NetworkFacts(6144, 1.035, "vocals"),
        "398580b6d5d973af3120df54cee6759d": NetworkFacts(7680, 1.75, "vocals"),
        "53c4baf4d12c3e6c3831bb8f5b532b93": NetworkFacts(7680, 1.043, "vocals"),
        "5d343409ef0df48c7d78cce9f0106781": NetworkFacts(7680, 1.075, "vocals"),
        "867595e9de46f6ab699008295df62798": NetworkFacts(7680, 1.03, "vocals"),
        "b33d9b3950b6cbf5fe90a32608924700": NetworkFacts(7680, 1.03, "vocals"),
        "e7324c873b1f615c35c1967f912db92a": NetworkFacts(7680, 1.03, "vocals"),
        "73492b58195c3b52d34590d5474452f6": NetworkFacts(7680, 1.043, "vocals"),
        "970b3f9492014d18fefeedfe4773cb42": NetworkFacts(7680, 1.009, "vocals"),
        "77d07b2667ddf05b9e3175941b4454a0": NetworkFacts(7680, 1.021, "vocals"),
    }
)
"""MD5 of a file's end → facts."""
