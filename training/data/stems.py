"""Stems on disk: reading of windows, and levels cached by content.

A stem is an int16 array ``(samples, 2)`` (``.npy``), which is memory-mapped; an audio file that libsndfile reads at any
offset (WAV, FLAC, Ogg); or a file of another format, which is decoded from the start for every window.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tokenize
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from my_submission.audio_io import AudioInfo, probe, read_blocks
from my_submission.audio_io.decoding.audio_suffixes import AUDIO_SUFFIXES
from my_submission.errors import InputError
from my_submission.files.part_files import written_whole
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import Waveform
from terminal.documents import DocumentError, read_json
from terminal.names import system_name

logger = logging.getLogger(__name__)

FULL_SCALE = 32_768.0
SPOOL_SUFFIX = ".npy"
OFFSET_SUFFIXES = (".wav", ".flac", ".ogg")
"""Suffixes of audio files that are read at any offset."""

STEM_SUFFIXES = (SPOOL_SUFFIX, *OFFSET_SUFFIXES, *sorted(AUDIO_SUFFIXES - set(OFFSET_SUFFIXES)))
"""Suffixes in order of preference, for folders with several files of a source."""

SILENCE_RMS = 1e-3
"""Half-second blocks below -60 dB are ignored when the level of a stem is measured."""

SILENT_SONG_RMS = 1e-4
"""Stems below -80 dB over a whole song are silent and have no SDR."""

_SAMPLED_BLOCKS = 17
_BLOCK_BYTES = 4096

_NO_ARRAY: tuple[type[Exception], ...] = (
    ValueError,
    OSError,
    EOFError,
    SyntaxError,
    TypeError,
    OverflowError,
    MemoryError,
)
_NO_ARRAY += (tokenize.TokenError, zipfile.BadZipFile)
"""Exceptions that numpy raises for damaged headers, which it parses as Python literals."""

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True)
class StemFile:
    """One stem: song, source, file, and length in samples at 44.1 kHz."""

    song: str
    source: str
    path: Path
    n_samples: int

    @property
    def is_seekable(self) -> bool:
        """Whether windows are read without decoding from the start."""
        return self.path.suffix in {SPOOL_SUFFIX, *OFFSET_SUFFIXES}

    def window(self, start: int, n_samples: int) -> Waveform:
        """Read ``float32 (2, n_samples)`` from sample ``start`` on; zeros beyond the end.

        Raises:
            InputError: the file cannot be read, or contains NaN or infinity.
        """
        window = np.zeros((2, n_samples), dtype=np.float32)
        read = self._read(start, max(0, min(n_samples, self.n_samples - start)))
        window[:, : len(read)] = read.T
        return window

    def _read(self, start: int, n_samples: int) -> npt.NDArray[np.float32]:
        if n_samples == 0:
            return np.zeros((0, 2), dtype=np.float32)
        if self.path.suffix == SPOOL_SUFFIX:
            pcm = np.load(self.path, mmap_mode="r")[start : start + n_samples]
            return np.asarray(pcm, dtype=np.float32) / np.float32(FULL_SCALE)
        return self._finite(
            self._at_offset(start, n_samples) if self.is_seekable else self._decoded(start, n_samples), start
        )

    def _at_offset(self, start: int, n_samples: int) -> npt.NDArray[np.float32]:
        try:
            audio, _ = soundfile.read(system_name(self.path), n_samples, start, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise InputError(f"cannot be read at sample {start} ({error})", where=self.path) from error
        return np.asarray(audio, dtype=np.float32)

    def _decoded(self, start: int, n_samples: int) -> npt.NDArray[np.float32]:
        """Decode from the start of the file."""
        found, first = [], 0
        for block in read_blocks(self.path):
            found.append(block[:, max(0, start - first) : max(0, start + n_samples - first)])
            first += block.shape[1]
            if first >= start + n_samples:
                break
        return np.concatenate(found, axis=1).T

    def _finite(self, audio: npt.NDArray[np.float32], start: int) -> npt.NDArray[np.float32]:
        if not np.isfinite(audio).all():
            at = start + int(np.flatnonzero(~np.isfinite(audio).all(axis=1))[0])
            hint = "export the stem again; one such sample would spoil all weights"
            raise InputError(f"contains NaN or infinity at sample {at}", where=self.path, hint=hint)
        return audio


def open_stem(path: Path, *, song: str, source: str) -> StemFile:
    """Open a stem; only the header is read, or the whole file if the header lacks the length.

    Raises:
        InputError: the file is unreadable, empty, not at 44.1 kHz or has more than two channels.
    """
    if path.suffix == SPOOL_SUFFIX:
        return StemFile(song, source, path, _spooled_samples(path))
    info = _header(path) if path.suffix in OFFSET_SUFFIXES else probe(path)
    if info.sample_rate != SAMPLE_RATE or info.channels > 2:
        raise InputError(
            f"has {info.channels} channels at {info.sample_rate} Hz; stems have one or two at {SAMPLE_RATE} Hz",
            where=path,
            hint=f"convert it, for instance with ffmpeg -i {path.name} -ac 2 -ar {SAMPLE_RATE} {path.stem}.flac",
        )
    n_samples = sum(block.shape[1] for block in read_blocks(path)) if info.samples is None else info.samples
    if n_samples == 0:
        raise InputError("contains no samples", where=path, hint="remove it")
    return StemFile(song, source, path, n_samples)


def _header(path: Path) -> AudioInfo:
    try:
        info = soundfile.info(system_name(path))
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"is not an audio file ({error})", where=path, hint="remove it, or decode the song again"
        ) from error
    return AudioInfo(path, info.samplerate, info.channels, int(info.frames), info.format, info.subtype)


def _spooled_samples(path: Path) -> int:
    try:
        pcm = np.load(path, mmap_mode="r")
    except _NO_ARRAY as error:
        raise InputError(f"is not an array ({error})", where=path, hint="decode the song again") from error
    if not isinstance(pcm, np.ndarray):
        raise InputError(
            "contains several arrays; a decoded stem is a single array", where=path, hint="decode it again"
        )
    if pcm.ndim != 2 or pcm.shape[1] != 2 or pcm.dtype != np.int16 or pcm.shape[0] == 0:
        raise InputError(
            f"contains {pcm.dtype} {pcm.shape}; a decoded stem is int16 (samples, 2)",
            where=path,
            hint="decode it again",
        )
    return int(pcm.shape[0])


def active_rms(samples: npt.NDArray[np.float32]) -> float:
    """Return the RMS over the half-second blocks of ``(samples, channels)`` that are not silent; 0 if all are."""
    piece = SAMPLE_RATE // 2
    whole = len(samples) // piece * piece
    if whole == 0:
        return 0.0
    pieces = samples[:whole].reshape(-1, piece * samples.shape[1])
    power = np.mean(pieces * pieces, axis=1)
    loud = power[power > SILENCE_RMS**2]
    return float(np.sqrt(loud.mean())) if loud.size else 0.0


def level(stem: StemFile, cache: Path) -> float:
    """Return the :func:`active_rms` of a stem, cached by its content.

    Args:
        stem: the stem.
        cache: folder of cached levels; a changed file is measured again.
    """
    entry = cache / f"{fingerprint(stem.path)}.json"
    if (known := _known_level(entry)) is not None:
        return known
    measured = active_rms(stem.window(0, stem.n_samples).T)
    with written_whole(entry, is_flushed=False) as part:  # another process may measure the same stem: both agree
        part.write_text(json.dumps({"active_rms": measured}), encoding="utf-8")
    return measured


def _known_level(entry: Path) -> float | None:
    """Return the cached level, or None if there is none or it is invalid."""
    try:
        known = read_json(entry)
    except FileNotFoundError:
        return None
    except (OSError, DocumentError) as error:
        logger.warning("%s cannot be used (%s); the stem is measured again", entry, error)
        return None
    value = known.get("active_rms") if isinstance(known, dict) else None
    return float(value) if isinstance(value, int | float) and value >= 0 else None


def fingerprint(path: Path) -> str:
    """Return a fingerprint of a file, 32 hexadecimal digits, of its size, modification time and 17 blocks of 4 KiB.

    A full hash would read hundreds of gigabytes; the modification time covers changes between the blocks.
    """
    status = path.stat()
    digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode())
    with path.open("rb") as file:
        for index in range(_SAMPLED_BLOCKS):
            file.seek(max(0, status.st_size - _BLOCK_BYTES) * index // (_SAMPLED_BLOCKS - 1))
            digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()[:32]


def write_stem(folder: Path, source: str, pcm: Pcm) -> bool:
    """Write int16 ``(samples, 2)`` to ``<folder>/<source>.npy``, unless it is silent.

    Returns:
        Whether it was written.
    """
    if active_rms(pcm.astype(np.float32) / np.float32(FULL_SCALE)) == 0.0:
        return False
    with (
        written_whole(folder / f"{source}{SPOOL_SUFFIX}", is_flushed=False) as part,
        part.open("wb") as file,
    ):
        np.save(file, pcm)
    return True
