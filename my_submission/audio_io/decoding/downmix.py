"""Downmix of surround to stereo with the coefficients of ITU-R BS.775.

Left is the front left channel plus the centre and the left surrounds at −3 dB, and a rear centre at −6 dB; right
likewise. The LFE channel is left out. The sum is scaled so that it cannot exceed full scale, as ``ffmpeg -ac 2`` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from my_submission.stems import Waveform

_HALF_POWER = math.sqrt(0.5)
_CENTRE, _REAR_CENTRE, _NOTHING = (_HALF_POWER, _HALF_POWER), (0.5, 0.5), (0.0, 0.0)
_FRONT_LEFT, _SIDE_LEFT = (1.0, 0.0), (_HALF_POWER, 0.0)
_FRONT_RIGHT, _SIDE_RIGHT = (0.0, 1.0), (0.0, _HALF_POWER)

_GAINS = {
    **dict.fromkeys(("FL", "FLC", "DL"), _FRONT_LEFT),
    **dict.fromkeys(("FR", "FRC", "DR"), _FRONT_RIGHT),
    **dict.fromkeys(("BL", "SL", "WL", "SDL", "TFL", "TBL", "TSL", "BFL", "SSL", "TTL"), _SIDE_LEFT),
    **dict.fromkeys(("BR", "SR", "WR", "SDR", "TFR", "TBR", "TSR", "BFR", "SSR", "TTR"), _SIDE_RIGHT),
    **dict.fromkeys(("FC", "TFC", "TC", "BFC"), _CENTRE),
    **dict.fromkeys(("BC", "TBC"), _REAR_CENTRE),
    **dict.fromkeys(("LFE", "LFE2"), _NOTHING),
}
"""Gains into left and right, by FFmpeg's names of the channels."""

_USUAL_ORDERS = {
    3: "FL FR FC",
    4: "FL FR BL BR",
    5: "FL FR FC BL BR",
    6: "FL FR FC LFE BL BR",
    7: "FL FR FC LFE BC SL SR",
    8: "FL FR FC LFE BL BR SL SR",
}
"""Default channel order by number of channels: that of FLAC (RFC 9639, 9.1.3)."""


class Downmix:
    """A downmix of channels to stereo.

    Args:
        names: FFmpeg's names of the channels, in the order of the file.

    Raises:
        ValueError: they are unknown, and so many channels have no default order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        is_named = all(name in _GAINS for name in names)
        if not is_named and len(names) not in _USUAL_ORDERS:
            raise ValueError(f"{len(names)} channels in an unknown order")
        self._names = tuple(names) if is_named else tuple(_USUAL_ORDERS[len(names)].split())
        self._is_assumed = not is_named
        gains = np.array([_GAINS[name] for name in self._names]).T
        self._scale = 1 / max(1.0, gains.sum(axis=1).max())
        self._matrix = (gains * self._scale).astype(np.float32)

    @property
    def note(self) -> str:
        """Note on the downmix, as a clause."""
        order = " ".join(self._names) + (", assumed because the file does not name them" if self._is_assumed else "")
        level = 20 * math.log10(self._scale)
        return (
            f"{len(self._names)} channels ({order}) were mixed down to stereo: centre and surrounds at -3 dB, "
            f"LFE left out, all scaled by {level:.1f} dB"
        )

    def __call__(self, block: Waveform) -> Waveform:
        """Mix (channels, n) down to (2, n)."""
        mixed: Waveform = self._matrix @ block
        return mixed
