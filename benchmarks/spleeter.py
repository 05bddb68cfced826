"""Spleeter's networks on songs with known vocals: mask exponent, bins above 11 kHz, overlap of segments.

Usage: python -m benchmarks.spleeter FOLDER [FOLDER ...] --songs SONG_FOLDER ... [--overlap]

A FOLDER holds vocals.onnx and accompaniment.onnx of `training convert-spleeter`. Prints the challenge's SDR of the
vocals of every song, mean last, for every choice. A song is a folder of stems; the mixture is their sum.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import soundfile

from evaluator.metrics import global_sdr
from my_submission.dsp.stft import istft, stft
from my_submission.geometry import StftGeometry

Floats = npt.NDArray[np.float32]

GEOMETRY = StftGeometry(4096, 1024, 2049)
BINS, FRAMES = 1024, 512
SOURCES = ("vocals", "accompaniment")
EXPONENTS = (1.0, 1.5, 2.0)
SPREADS = (0, 1, 32, 128, 256)
"""Number of top bins whose mean is the mask above 11 kHz; 0 for no vocals there."""

_FLOOR = 1e-10


@dataclass(frozen=True)
class Song:
    """Spectrum of a mixture (channels, frames, 2049) and its true vocals (channels, samples)."""

    name: str
    spectrum: npt.NDArray[np.complex64]
    vocals: Floats


def read_song(folder: Path) -> Song:
    """Read the stems of a folder and transform their sum."""
    stems = {path.stem: soundfile.read(path, dtype="float32", always_2d=True)[0].T for path in sorted(folder.iterdir())}
    stems.pop("mixture", None)
    length = min(stem.shape[1] for stem in stems.values())
    mixture = np.sum([stem[:, :length] for stem in stems.values()], axis=0, dtype=np.float32)
    return Song(folder.name, stft(mixture, GEOMETRY), stems["vocals"][:, :length])


def open_graph(path: Path) -> onnxruntime.InferenceSession:
    """Open a session with two threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def masks(session: onnxruntime.InferenceSession, spectrum: npt.NDArray[np.complex64], hop: int) -> Floats:
    """Return the mask (channels, frames, 1024) of cross-faded segments `hop` frames apart."""
    n_frames = spectrum.shape[1]
    total = np.zeros((2, n_frames, BINS), np.float32)
    weight = np.zeros((n_frames, 1), np.float32)
    fade = np.minimum(np.arange(FRAMES) + 0.5, FRAMES - np.arange(FRAMES) - 0.5).astype(np.float32)[:, None]
    fade = np.ones_like(fade) if hop == FRAMES else np.minimum(fade, FRAMES - hop)
    for start, magnitude in _segments(spectrum, hop):
        (mask,) = session.run(None, {"magnitude": magnitude[None]})
        kept = min(FRAMES, n_frames - start)
        total[:, start : start + kept] += (mask[0] * fade)[:, :kept]
        weight[start : start + kept] += fade[:kept]
    return total / weight


def _segments(spectrum: npt.NDArray[np.complex64], hop: int) -> Iterator[tuple[int, Floats]]:
    n_frames = spectrum.shape[1]
    for start in range(0, max(1, n_frames - (FRAMES - hop)), hop):
        magnitude = np.abs(spectrum[:, start : start + FRAMES, :BINS])
        yield start, np.pad(magnitude, ((0, 0), (0, FRAMES - magnitude.shape[1]), (0, 0)))


def vocals_sdr(song: Song, vocals: Floats, accompaniment: Floats, *, exponent: float, spread: int) -> float:
    """Return the SDR of the vocals of a song."""
    powers = [mask**exponent for mask in (vocals, accompaniment)]
    share = (powers[0] + _FLOOR / 2) / (powers[0] + powers[1] + _FLOOR)
    top = share[..., -spread:].mean(axis=-1, keepdims=True) if spread else np.zeros_like(share[..., :1])
    full = np.concatenate([share, np.repeat(top, GEOMETRY.kept_bins - BINS, axis=-1)], axis=-1)
    estimate = istft(song.spectrum * full, GEOMETRY)
    length = song.vocals.shape[1]
    estimate = np.pad(estimate, ((0, 0), (0, max(0, length - estimate.shape[1]))))[:, :length]
    return global_sdr(song.vocals, estimate)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--songs", type=Path, nargs="+", required=True)
    parser.add_argument("--hops", type=int, nargs="+", default=[FRAMES], help="frames between segments")
    options = parser.parse_args()
    songs = [read_song(folder) for folder in options.songs]
    columns = ["graphs", "hop", "exponent", "bins spread", *(song.name for song in songs), "mean"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for folder, hop in product(options.folders, options.hops):
        sessions = [open_graph(folder / f"{source}.onnx") for source in SOURCES]
        found = [[masks(session, song.spectrum, hop) for session in sessions] for song in songs]
        for exponent, spread in product(EXPONENTS, SPREADS):
            scores = [
                vocals_sdr(song, *pair, exponent=exponent, spread=spread)
                for song, pair in zip(songs, found, strict=True)
            ]
            cells = [f"{score:.3f}" for score in (*scores, float(np.mean(scores)))]
            print(f"| {folder.name} | {hop} | {exponent:g} | {spread} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
