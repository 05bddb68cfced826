"""The corpus: songs as folders of decoded stems that windows are read from without decoding again.

Layout: ``<root>/<collection>/<song>/<source>.npy``, int16 ``(samples, 2)`` at 44.1 kHz. A song may
have any of the four sources; a collection is sampled with a weight of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from my_submission.stems import MUSIC_SOURCES, Waveform

logger = logging.getLogger(__name__)

SAMPLE_RATE = 44_100
FULL_SCALE = 32_768.0
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg")
SILENCE_RMS = 1e-3
"""Half-second pieces below -60 dB count as silence when a stem's level is measured."""

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True)
class StemFile:
    """One decoded stem: where it is, how long, and its level while it sounds."""

    song: str
    source: str
    path: Path
    n_samples: int
    active_rms: float

    def window(self, start: int, n_samples: int) -> Waveform:
        """Reads ``float32 (2, n_samples)`` from sample ``start``; zeros beyond the end."""
        pcm = np.load(self.path, mmap_mode="r")[start : start + n_samples]
        window = np.zeros((2, n_samples), dtype=np.float32)
        window[:, : len(pcm)] = np.asarray(pcm, dtype=np.float32).T / FULL_SCALE
        return window


def active_rms(pcm: Pcm) -> float:
    """Root mean square over the half-second pieces of ``(samples, 2)`` that are not silent; 0 if all are."""
    piece = SAMPLE_RATE // 2
    whole = len(pcm) // piece * piece
    if whole == 0:
        return 0.0
    pieces = (pcm[:whole].astype(np.float32) / FULL_SCALE).reshape(-1, piece * 2)
    power = np.mean(pieces * pieces, axis=1)
    loud = power[power > SILENCE_RMS**2]
    return float(np.sqrt(loud.mean())) if loud.size else 0.0


def write_stem(folder: Path, source: str, pcm: Pcm) -> None:
    """Stores one stem of a song, unless it is silent throughout."""
    level = active_rms(pcm)
    if level == 0.0:
        return
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{source}.npy", pcm)
    (folder / f"{source}.rms").write_text(f"{level:.8f}\n")


def decode_songs(folders: Iterable[Path], collection: Path) -> int:
    """Decodes song folders (``<song>/<source>.<wav|flac|ogg>``) into a collection; returns songs written."""
    n_songs = 0
    for folder in folders:
        found = [p for s in MUSIC_SOURCES for suffix in AUDIO_SUFFIXES if (p := folder / f"{s}{suffix}").exists()]
        for path in found:
            pcm, rate = soundfile.read(path, dtype="int16", always_2d=True)
            if rate != SAMPLE_RATE:
                raise ValueError(f"{path}: {rate} Hz, the corpus holds {SAMPLE_RATE} Hz only")
            write_stem(collection / folder.name, path.stem, np.repeat(pcm, 2, axis=1) if pcm.shape[1] == 1 else pcm)
        n_songs += bool(found)
        logger.info("decoded %s (%d stems)", folder.name, len(found))
    return n_songs


def scan(collection: Path) -> Iterator[StemFile]:
    """Every stem of a collection, in the order of names."""
    for path in sorted(collection.glob("*/*.npy")):
        n_samples = int(np.load(path, mmap_mode="r").shape[0])
        level = float(path.with_suffix(".rms").read_text())
        yield StemFile(path.parent.name, path.stem, path, n_samples, level)
