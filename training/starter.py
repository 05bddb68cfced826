"""From training runs to the starter system: which network serves which source, its files, its scores."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from my_submission.networks.tfc_tdf import TfcTdfNet
from my_submission.stems import MUSIC_SOURCES, Waveform
from training.corpus import AUDIO_SUFFIXES, SAMPLE_RATE
from training.evaluate import global_sdr, separate
from training.experiments import EXPERIMENTS, STARTER
from training.export import Exported, export
from training.fit import STATE_NAME, TrainingState
from training.mixer import apply_mixer, fit_mixer, mixer_inputs
from training.spectra import Geometry

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Separator:
    """The averaged network of one source and its transform."""

    source: str
    net: TfcTdfNet
    geometry: Geometry
    steps: int


@dataclass(frozen=True)
class Song:
    """A song with its four stems, each ``float32 (2, samples)``; the mixture is their sum."""

    name: str
    stems: Mapping[str, Waveform]

    @property
    def mixture(self) -> Waveform:
        """``float32 (2, samples)``."""
        return np.asarray(sum(self.stems.values()), dtype=np.float32)

    def stacked(self) -> Waveform:
        """``float32 (4, 2, samples)`` in the order of the Mixer."""
        return np.stack([self.stems[source] for source in MUSIC_SOURCES])


def load_separators(runs: Path) -> list[Separator]:
    """The four networks of the starter from their runs, in the order bass, drums, other, vocals."""
    separators = []
    for source in MUSIC_SOURCES:
        experiment = EXPERIMENTS[STARTER[source]]
        state = TrainingState.fresh(experiment)
        state.load(runs / experiment.name / STATE_NAME)
        net = state.averaged.for_target(experiment.targets.index(source)).eval()
        separators.append(Separator(source, net, experiment.geometry, state.step))
    return separators


def export_starter(separators: Sequence[Separator], models: Path) -> list[Exported]:
    """Writes ``<models>/<source>.onnx`` with half-precision weights."""
    return [export(s.net, s.geometry, s.source, models / f"{s.source}.onnx", half_weights=True) for s in separators]


def read_song(folder: Path, *, start_seconds: float = 0.0, max_seconds: float | None = None) -> Song:
    """Reads ``<folder>/<source>.<wav|flac|ogg>``; a source that is absent is silent.

    Raises:
        FileNotFoundError: the folder holds none of the four sources.
        ValueError: a stem is not stereo at 44.1 kHz.
    """
    stems: dict[str, Waveform] = {}
    for source in MUSIC_SOURCES:
        path = next((p for suffix in AUDIO_SUFFIXES if (p := folder / f"{source}{suffix}").exists()), None)
        if path is None:
            continue
        frames = -1 if max_seconds is None else int(max_seconds * SAMPLE_RATE)
        first = int(start_seconds * SAMPLE_RATE)
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True, start=first, frames=frames)
        if rate != SAMPLE_RATE or audio.shape[1] != 2:
            raise ValueError(f"{path}: {rate} Hz and {audio.shape[1]} channels, expected {SAMPLE_RATE} Hz stereo")
        stems[source] = np.ascontiguousarray(audio.T)
    if not stems:
        raise FileNotFoundError(f"{folder}: none of {', '.join(MUSIC_SOURCES)} is there")
    longest = max(stem.shape[1] for stem in stems.values())
    silence = np.zeros((2, longest), dtype=np.float32)
    return Song(
        folder.name,
        {
            s: np.pad(stems[s], ((0, 0), (0, longest - stems[s].shape[1]))) if s in stems else silence
            for s in MUSIC_SOURCES
        },
    )


def estimates_of(separators: Sequence[Separator], song: Song) -> Waveform:
    """The Mixer's inputs for a song: ``float32 (5, 2, samples)``."""
    mixture = song.mixture
    return mixer_inputs(np.stack([separate(s.net, s.geometry, mixture)[0] for s in separators]), mixture)


def joined(excerpts: Sequence[Song]) -> Song:
    """Several excerpts of one song one after the other."""
    stems = {s: np.concatenate([excerpt.stems[s] for excerpt in excerpts], axis=1) for s in MUSIC_SOURCES}
    return Song(excerpts[0].name, stems)


def fit_starter_mixer(
    separators: Sequence[Separator],
    folders: Sequence[Path],
    *,
    starts_seconds: Sequence[float],
    excerpt_seconds: float,
    ridge: float,
) -> Waveform:
    """The Mixer ``(8, 10)`` of these separators, from the same excerpts of each song."""

    def pairs() -> Iterator[tuple[Waveform, Waveform]]:
        for folder in folders:
            song = joined([read_song(folder, start_seconds=s, max_seconds=excerpt_seconds) for s in starts_seconds])
            logger.info("separating %s", song.name)
            yield estimates_of(separators, song), song.stacked()

    return fit_mixer(pairs(), ridge=ridge)


def score(song: Song, inputs: Waveform, mixer: Waveform | None = None) -> dict[str, float]:
    """Global SDR in dB per source of ``estimates_of``, after the Mixer if one is given."""
    estimates = inputs[:-1] if mixer is None else apply_mixer(mixer, inputs)
    return {s: global_sdr(song.stems[s], estimate) for s, estimate in zip(MUSIC_SOURCES, estimates, strict=True)}


def baseline(song: Song) -> dict[str, float]:
    """Global SDR in dB per source when a quarter of the mixture is taken for every stem."""
    quarter = song.mixture * np.float32(1.0 / len(MUSIC_SOURCES))
    return {source: global_sdr(stem, quarter) for source, stem in song.stems.items()}
