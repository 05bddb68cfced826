"""How well networks take accompaniments apart: one joint graph, or a network a source, beside a third of the sum."""

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
from my_submission.predictor.core import Predictor
from my_submission.stems import Waveform
from training.data.songs import TrainingSong
from training.data.stems import SILENT_SONG_RMS
from training.export.joint import ARCHITECTURE, INPUT, OUTPUT
from training.modules.whole_songs import separate

SOURCES = ("bass", "drums", "other")

Separator = Callable[[Waveform], Mapping[str, Waveform]]
"""An accompaniment ``float32 (2, samples)`` to its sources."""


@dataclass(frozen=True)
class Scores:
    """Global SDR in dB of each source that a song has.

    Attributes:
        song: its name.
        system: what estimated the sources.
        sdr_db: by source; one that is silent throughout is left out.
    """

    song: str
    system: str
    sdr_db: Mapping[str, float]

    @property
    def mean_db(self) -> float:
        """Over its sources."""
        return float(np.mean(list(self.sdr_db.values())))


def joint_separator(path: Path, *, threads: int | None = None) -> Separator:
    """The separator of a graph that :func:`training.export.joint.export_joint` wrote.

    Args:
        path: the graph.
        threads: processors it may use; onnxruntime's own choice when absent.

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
    except Exception as error:  # onnxruntime raises many types of its own
        raise WeightsError(
            f"is no {ARCHITECTURE} graph ({error})", where=path, hint="name an exported graph"
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


def predictor_separator(predictor: Predictor) -> Separator:
    """The separator of networks of one source each, as the predictor runs them."""
    return predictor.separate


def third(accompaniment: Waveform) -> Mapping[str, Waveform]:
    """A third of it for every source."""
    return dict.fromkeys(SOURCES, accompaniment / np.float32(len(SOURCES)))


def score(song: TrainingSong, separators: Mapping[str, Separator]) -> list[Scores]:
    """Scores of each separator on a song's accompaniment, the sum of its bass, drums and other."""
    stems = song.stacked(sources=SOURCES)
    heard = {row: source for row, source in enumerate(SOURCES) if _sounds(stems[row])}
    accompaniment = np.asarray(stems.sum(axis=0), dtype=np.float32)
    found = []
    for system, separator in separators.items():
        estimates = separator(accompaniment)
        sdr_db = {source: global_sdr(stems[row], estimates[source]) for row, source in heard.items()}
        found.append(Scores(song.name, system, sdr_db))
    return found


def means(scores: Sequence[Scores]) -> list[Scores]:
    """Over all songs, for each system in turn: of every source over the songs that have it."""
    found = []
    for system in dict.fromkeys(each.system for each in scores):
        of_system = [each.sdr_db for each in scores if each.system == system]
        values = {s: [sdr_db[s] for sdr_db in of_system if s in sdr_db] for s in SOURCES}
        sdr_db = {source: float(np.mean(list_db)) for source, list_db in values.items() if list_db}
        found.append(Scores("mean of songs", system, sdr_db))
    return found


def _sounds(stem: Waveform) -> bool:
    return bool(np.sqrt(np.mean(np.square(stem, dtype=np.float64))) > SILENT_SONG_RMS)
