"""Scores on accompaniments, songs without vocals: of joint graphs, networks of one source, and a baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evaluator.metrics import global_sdr
from my_submission.errors import WeightsError
from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.networks.spectra import from_channels, to_channels
from my_submission.stems import Waveform
from training.data.songs import TrainingSong
from training.data.stems import SILENT_SONG_RMS
from training.export.spectral import INPUT, JOINT_ARCHITECTURE, OUTPUT
from training.modules.whole_songs import separate

SOURCES = ("bass", "drums", "other")

Separator = Callable[[Waveform], Mapping[str, Waveform]]
"""Function of an accompaniment ``float32 (2, samples)``; returns its sources."""


@dataclass(frozen=True)
class Scores:
    """Global SDR per source of a song.

    Attributes:
        song: name of the song.
        system: name of the separator.
        sdr_db: SDR in dB per source that is not silent.
    """

    song: str
    system: str
    sdr_db: Mapping[str, float]

    @property
    def mean_db(self) -> float:
        """Mean over the sources."""
        return float(np.mean(list(self.sdr_db.values())))


def joint_separator(path: Path, *, threads: int | None = None) -> Separator:
    """Return the separator of a joint graph.

    Args:
        path: graph written by :func:`training.export.spectral.export_joint`.
        threads: number of threads; None is the default of ONNX Runtime.

    Raises:
        WeightsError: the file is no such graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        fields = session.get_modelmeta().custom_metadata_map
        bins, frames = session.get_inputs()[0].shape[2:]
        chunking = SpectralChunking(StftGeometry(int(fields["n_fft"]), int(fields["hop"]), bins), frames)
        sources = fields["sources"].split(",")
    except Exception as error:  # ONNX Runtime raises many types
        raise WeightsError(
            f"is no {JOINT_ARCHITECTURE} graph ({error})", where=path, hint="name an exported graph"
        ) from error

    def estimate(chunks: Tensor) -> Tensor:
        spectra = to_channels(chunks, chunking.stft)
        (estimated,) = session.run([OUTPUT], {INPUT: spectra.numpy()})
        flat = torch.from_numpy(estimated).flatten(0, 1)
        waves = from_channels(flat, chunking.stft, samples=chunks.shape[-1])
        return waves.reshape(len(chunks), len(sources), *chunks.shape[1:])

    def separated(accompaniment: Waveform) -> Mapping[str, Waveform]:
        waves = separate(estimate, chunking, torch.from_numpy(accompaniment), batch_chunks=1).numpy()
        return dict(zip(sources, waves, strict=True))

    return separated


def third(accompaniment: Waveform) -> Mapping[str, Waveform]:
    """Return the baseline: a third of the accompaniment for every source."""
    return dict.fromkeys(SOURCES, accompaniment / np.float32(len(SOURCES)))


def score(song: TrainingSong, separators: Mapping[str, Separator]) -> list[Scores]:
    """Score separators on a song's accompaniment, the sum of its bass, drums and other."""
    stems = song.stacked(sources=SOURCES)
    audible = {row: source for row, source in enumerate(SOURCES) if _is_audible(stems[row])}
    accompaniment = np.asarray(stems.sum(axis=0), dtype=np.float32)
    found = []
    for system, separator in separators.items():
        estimates = separator(accompaniment)
        sdr_db = {source: global_sdr(stems[row], estimates[source]) for row, source in audible.items()}
        found.append(Scores(song.name, system, sdr_db))
    return found


def means(scores: Sequence[Scores]) -> list[Scores]:
    """Return the mean scores of each system, per source over the songs that have it."""
    found = []
    for system in dict.fromkeys(each.system for each in scores):
        of_system = [each.sdr_db for each in scores if each.system == system]
        values = {s: [sdr_db[s] for sdr_db in of_system if s in sdr_db] for s in SOURCES}
        sdr_db = {source: float(np.mean(list_db)) for source, list_db in values.items() if list_db}
        found.append(Scores("mean of songs", system, sdr_db))
    return found


def _is_audible(stem: Waveform) -> bool:
    return bool(np.sqrt(np.mean(np.square(stem, dtype=np.float64))) > SILENT_SONG_RMS)
