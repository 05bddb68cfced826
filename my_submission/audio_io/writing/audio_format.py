"""The format of stems as one value: file format, sample format or bit rate, dither and clipping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

from my_submission.errors import UnknownNameError

BIT_DEPTHS: Final = {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}
"""Bit depths of uncompressed and lossless files, and libsndfile's names of them."""

SUBTYPE_BYTES: Final = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
"""Size in bytes of a sample without compression."""

_LOSSLESS = {"wav": ("16", "24", "32f"), "flac": ("16", "24"), "aiff": ("16", "24", "32f")}

_LOSSY = {"mp3": "MPEG_LAYER_III", "ogg": "VORBIS", "opus": "OPUS", "m4a": "AAC"}

FILE_FORMATS: Final = (*_LOSSLESS, *_LOSSY)
"""File formats that can be written; each name is the suffix of its files as well."""

MP3_BITRATES: Final = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
"""Bit rates of MP3, in kbit/s. Frames of lower ones have no room for the tag that states the exact length."""

_BITRATE_RANGES = {"ogg": (64, 500), "opus": (16, 510), "m4a": (32, 512)}
"""Lowest and highest bit rate of a stereo file, in kbit/s."""

DEFAULT_BITRATE: Final = 320
"""Bit rate of lossy formats, in kbit/s."""

CLIP_MODES: Final = ("none", "rescale", "limit")


@dataclass(frozen=True)
class AudioFormat:
    """Format of all stems of a song.

    Attributes:
        file_format: "wav", "flac", "aiff", "mp3", "ogg" (Vorbis), "opus" or "m4a" (AAC).
        bit_depth: "16", "24" or "32f" (not in FLAC); default: "16". None for lossy formats, which have none.
        bitrate: bit rate of a lossy format, in kbit/s; default: 320. None for the others.
        dither: whether noise with a triangular distribution of ±1 quantum is added before rounding to 16 bits.
        clip: treatment of samples beyond full scale: "none" leaves them (PCM clips them), "rescale" makes the whole
            song quieter, "limit" makes only the passages around them quieter. The gain is common to all stems.

    Raises:
        UnknownNameError: there is no such format, or it cannot have such an option.
    """

    file_format: str = "wav"
    _: KW_ONLY
    bit_depth: str | None = None
    bitrate: int | None = None
    dither: bool = False
    clip: str = "none"

    def __post_init__(self) -> None:
        _check_name("file format", self.file_format, FILE_FORMATS)
        _check_name("clip mode", self.clip, CLIP_MODES)
        if self.is_lossy:
            self._check_lossy()
        else:
            self._check_lossless()
        if self.dither and self.bit_depth != "16":
            raise UnknownNameError(f"dither is for 16-bit files, not {self}", hint="choose the bit depth 16")

    @property
    def is_lossy(self) -> bool:
        """Whether decoded samples differ from the stems by more than rounding."""
        return self.file_format in _LOSSY

    @property
    def subtype(self) -> str:
        """Encoding of the samples as libsndfile names it; "AAC", which libsndfile cannot write, for M4A."""
        return _LOSSY[self.file_format] if self.bit_depth is None else BIT_DEPTHS[self.bit_depth]

    @property
    def suffix(self) -> str:
        """Suffix of the files, with its dot."""
        return f".{self.file_format}"

    @property
    def can_clip(self) -> bool:
        """Whether values beyond ±1 are lost: PCM clips them, and so do players of lossy files."""
        return self.bit_depth != "32f"

    @property
    def is_encoded_last(self) -> bool:
        """Whether all stems are kept as they are, and encoded after the last block, when their common gain is known."""
        return self.clip == "rescale"

    @property
    def sample_bytes(self) -> int:
        """Size of a sample in bytes before lossless compression; 0 for lossy formats."""
        return SUBTYPE_BYTES.get(self.subtype, 0)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; options with default values are left out, so that older records stay valid."""
        bitrate = {} if self.bitrate is None else {"bitrate": self.bitrate}
        dither = {"dither": True} if self.dither else {}
        clip = {} if self.clip == "none" else {"clip": self.clip}
        return {"file_format": self.file_format, "subtype": self.subtype, **bitrate, **dither, **clip}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> AudioFormat:
        """Return the format of a record.

        Raises:
            UnknownNameError: the record states no valid format.
        """
        file_format, subtype = plain["file_format"], plain["subtype"]
        depths = {name: depth for depth, name in BIT_DEPTHS.items()}
        depth = None if file_format in _LOSSY else depths.get(subtype, subtype)
        options = {name: plain[name] for name in ("bitrate", "dither", "clip") if name in plain}
        return cls(file_format, bit_depth=depth, **options)

    def __str__(self) -> str:
        return f"{self.file_format} of " + (f"{self.bit_depth} bits" if self.bitrate is None else f"{self.bitrate}k")

    def _check_lossless(self) -> None:
        if self.bitrate is not None:
            raise UnknownNameError(
                f"{self.file_format} files have a bit depth, not a bit rate",
                hint=f"leave the bit rate out, or choose one of {', '.join(_LOSSY)}",
            )
        if self.bit_depth is None:
            object.__setattr__(self, "bit_depth", "16")
        _check_name("bit depth", self.bit_depth, tuple(BIT_DEPTHS))
        depths = _LOSSLESS[self.file_format]
        if self.bit_depth not in depths:
            raise UnknownNameError(
                f"{self.file_format}files cannot store samples of {self.bit_depth} bits",
                hint=f"choose one of {', '.join(depths)}, or the wav format",
            )

    def _check_lossy(self) -> None:
        if self.bit_depth is not None:
            raise UnknownNameError(
                f"{self.file_format} files have a bit rate, not a bit depth",
                hint=f"leave the bit depth out, or choose one of {', '.join(_LOSSLESS)}",
            )
        if self.bitrate is None:
            object.__setattr__(self, "bitrate", DEFAULT_BITRATE)
        bitrate = self.bitrate or 0
        if self.file_format == "mp3":
            if bitrate not in MP3_BITRATES:
                rates = ", ".join(map(str, MP3_BITRATES))
                raise UnknownNameError(f"MP3 has no bit rate of {bitrate} kbit/s", hint=f"choose one of {rates}")
            return
        low, high = _BITRATE_RANGES[self.file_format]
        if not low <= bitrate <= high:
            raise UnknownNameError(
                f"{self.file_format} files cannot have {bitrate} kbit/s", hint=f"choose {low} to {high} kbit/s"
            )


def _check_name(kind: str, name: str | None, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UnknownNameError(f"no {kind} {name!r}", hint=f"choose one of {', '.join(known)}")


WAV_16: Final = AudioFormat()
"""The default: 16-bit WAV, as scored in the challenges."""

WAV_FLOAT: Final = AudioFormat("wav", bit_depth="32f")
"""WAV of 32-bit float, which stores every sample unchanged."""
