"""Scores on accompaniments, songs without vocals: of joint graphs, networks of one source, and a baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evaluator.metrics import global_sdr
from my_submission.engines import Device
from my_submission.engines.joint_onnx import ARCHITECTURE as JOINT_ARCHITECTURE
from my_submission.engines.joint_onnx import JointGraph, joint_engine
from my_submission.errors import MdxError, WeightsError
from my_submission.geometry import SpectralChunking, StftGeometry
from my_submission.stems import Waveform
from training.data.songs import TrainingSong
from training.data.stems import SILENT_SONG_RMS
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
        WeightsError: the file is not such a graph.
    """
    try:
        graph = JointGraph.open(path, device=Device("cpu"), threads=threads)
        shape = graph.shape()
        fields = dict(shape.metadata)
        chunking = SpectralChunking(StftGeometry(int(fields["n_fft"]), int(fields["hop"]), shape.bins), shape.frames)
    except (MdxError, KeyError, ValueError) as error:
        raise WeightsError(
            f"is not a {JOINT_ARCHITECTURE} graph ({error})", where=path, hint="name an exported graph"
        ) from error
    engine = joint_engine(graph, chunking.stft, graph.sources)

    def estimate(chunks: Tensor) -> Tensor:
        return torch.from_numpy(engine.run(chunks.numpy()))

    def separated(accompaniment: Waveform) -> Mapping[str, Waveform]:
        waves = separate(estimate, chunking, torch.from_numpy(accompaniment), batch_chunks=1).numpy()
        return dict(zip(graph.sources, waves, strict=True))

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
