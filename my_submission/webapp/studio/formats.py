"""Formats of downloads."""

from __future__ import annotations

from dataclasses import dataclass

from my_submission.audio_io import AudioFormat


@dataclass(frozen=True)
class DownloadFormat:
    """A format of downloads.

    Attributes:
        label: display name.
        audio_format: format of the files. All but 32-bit float make the whole song quieter instead of clipping it.
    """

    label: str
    audio_format: AudioFormat

    @property
    def name(self) -> str:
        """Its name in addresses."""
        return f"{self.audio_format.file_format}-{self.audio_format.subtype}"


def _format(label: str, file_format: str, bit_depth: str | None = None) -> DownloadFormat:
    clip = "none" if bit_depth == "32f" else "rescale"
    return DownloadFormat(label, AudioFormat(file_format, bit_depth=bit_depth, clip=clip))


FORMATS = {
    each.name: each
    for each in (
        _format("WAV, 16 bit", "wav", "16"),
        _format("WAV, 24 bit", "wav", "24"),
        _format("WAV, 32-bit float", "wav", "32f"),
        _format("FLAC, 16 bit", "flac", "16"),
        _format("FLAC, 24 bit", "flac", "24"),
        _format("MP3, 320 kbit/s", "mp3"),
    )
}
"""Download formats by their name in addresses; the first one is the default."""
