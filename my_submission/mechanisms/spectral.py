"""One spectral network per source on trimmed chunks, as KUIELab-MDX-Net applies its networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from my_submission.engines import Engine
from my_submission.errors import WeightsError
from my_submission.fade_weights import trapezoid
from my_submission.geometry import ChunkSpan, SpectralChunking, WindowedChunking
from my_submission.mechanisms.chunks import ChunkStage, chunk_bytes, chunk_device_bytes, in_batches, shifted_spans
from my_submission.mechanisms.mechanism import Fitted, Mechanism, Opening, Recipe, SongStages
from my_submission.mechanisms.memory_limits import DeviceLimit, MemoryLimit
from my_submission.mechanisms.mixer import Mixer, read_mixer
from my_submission.mechanisms.song_context import SongContext
from my_submission.mechanisms.spectral_networks import open_spectral
from my_submission.planning import ChunkBuffer, Forecast, Stage
from my_submission.planning.coverage import FADE_SAMPLES
from my_submission.stems import Waveform
from my_submission.weights.mdx_net_facts import facts_of


@dataclass(frozen=True)
class SpectralRecipe(Recipe):
    """One spectral network per source, and optionally a Mixer over their outputs.

    Attributes:
        networks: source to artefact name.
        mixer: artefact name of the Mixer.
    """

    networks: Mapping[str, str]
    mixer: str | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources in the order of work."""
        return tuple(self.networks)

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Names of every artefact that it needs."""
        return (*self.networks.values(), *([self.mixer] if self.mixer else []))

    @property
    def cutoff_artefacts(self) -> Mapping[str, str]:
        """The network of every source."""
        return self.networks

    def with_sources(self, sources: tuple[str, ...]) -> SpectralRecipe:
        """Return the networks of some sources; all of them with a Mixer, which combines their estimates."""
        if self.mixer is not None:
            return self
        return replace(self, networks={source: self.networks[source] for source in sources})

    def with_network(self, source: str, network: str) -> SpectralRecipe:
        """Return the networks with another one for a source."""
        return replace(self, networks={**self.networks, source: network}) if source in self.networks else self

    def open(self, opening: Opening) -> SpectralMechanism:
        """Open the networks, and the Mixer if there is one."""
        networks = []
        for source, name in self.networks.items():
            _refuse_other_output(opening.path(name), source)
            opened = open_spectral(opening.artefact(name), opening.path(name), opening.options)
            batch_size = opening.options.chunks_per_run
            networks.append(SpectralNetwork(source, opened.engine, opened.chunking, batch_size))
        mixer = None if self.mixer is None else read_mixer(opening.path(self.mixer), self.sources)
        return SpectralMechanism(tuple(networks), mixer)


@dataclass(frozen=True)
class SpectralNetwork:
    """A network of one source.

    Attributes:
        source: the source that it estimates.
        engine: maps float32 (batch, 2, chunk samples) to the same shape.
        chunking: the network's chunks, laid end to end.
        batch_size: chunks per run; memory grows with it.
    """

    source: str
    engine: Engine
    chunking: SpectralChunking
    batch_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size} must be at least 1")


@dataclass(frozen=True)
class SpectralMechanism(Mechanism):
    """The networks of one branch.

    Attributes:
        networks: one per source, in the order of work.
        mixer: applied where all sources are estimated.
    """

    networks: tuple[SpectralNetwork, ...]
    mixer: Mixer | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """Source of every network."""
        return tuple(network.source for network in self.networks)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engine of every network."""
        return tuple(network.engine for network in self.networks)

    @property
    def cutoffs_hz(self) -> Mapping[str, float]:
        """Source to the cutoff of its network."""
        return {network.source: network.chunking.stft.cutoff_hz for network in self.networks}

    @property
    def trial_samples(self) -> int:
        """Length of a chunk of the shortest network."""
        return min(network.chunking.stride_samples for network in self.networks)

    def stages(self, song: SongContext) -> SongStages:
        """Return one stage per network; under a deadline those with the largest share per second come first."""
        fade = min([FADE_SAMPLES, *(network.chunking.kept_samples // 4 for network in self.networks)])
        buffer = ChunkBuffer(song.stores(self.sources), song.samples, fade_samples=fade)
        stages = [(network, self._stage(song, network, buffer)) for network in self.networks]
        refinements = tuple(self._refinement(song, network, buffer) for network in self.networks)
        if song.has_deadline:
            stages.sort(
                key=lambda pair: -_value_per_second(pair[1], song.shares.get(pair[0].source, 0.0), song.forecast)
            )
        return SongStages(buffer, tuple(stage for _, stage in stages), refinements, mixer=self.mixer)

    def within_memory(self, limit: MemoryLimit) -> Fitted[Self]:
        """Return the mechanism with fewer chunks per run; the stems stay the same."""
        networks = (
            replace(each, batch_size=batch_in_memory(each.chunking, each.batch_size, limit, each.source))
            for each in self.networks
        )
        return Fitted(replace(self, networks=tuple(networks)))

    def within_device(self, limit: DeviceLimit) -> Fitted[Self]:
        """Return the mechanism with fewer chunks per run, unless the batch size is fixed; the stems stay the same."""
        networks: list[SpectralNetwork] = []
        notes: list[str] = []
        for network in self.networks:
            size, note = batch_on_device(network.chunking, network.batch_size, limit, network.source)
            notes += note
            networks.append(replace(network, batch_size=size))
        return Fitted(replace(self, networks=tuple(networks)), tuple(notes))

    def _name(self, song: SongContext, network: SpectralNetwork) -> str:
        return f"{song.name}: {network.source}" if len(self.networks) > 1 else song.name

    def _stage(self, song: SongContext, network: SpectralNetwork, buffer: ChunkBuffer) -> Stage:
        def commit(span: ChunkSpan, estimate: Waveform) -> None:
            buffer.write(network.source, span.start, estimate)

        spans = list(network.chunking.spans(song.samples))
        return self._chunk_stage(song, network, self._name(song, network), spans, commit)

    def _refinement(self, song: SongContext, network: SpectralNetwork, buffer: ChunkBuffer) -> Stage:
        """Return chunks half-way between the published ones; each has most weight in its middle, where those join."""
        kept = network.chunking.kept_samples
        weights = trapezoid(kept, kept // 2)

        def commit(span: ChunkSpan, estimate: Waveform) -> None:
            buffer.fade_in(network.source, span.start, estimate, weights[: estimate.shape[-1]])

        spans = shifted_spans(network.chunking, song.samples)
        return self._chunk_stage(song, network, f"{self._name(song, network)}, overlapped", spans, commit)

    def _chunk_stage(
        self,
        song: SongContext,
        network: SpectralNetwork,
        name: str,
        spans: Sequence[ChunkSpan],
        commit: Callable[[ChunkSpan, Waveform], None],
    ) -> ChunkStage:
        key = song.cost_key(
            self._name(song, network),
            runs_on=network.engine.runs_on,
            chunking=network.chunking,
            batch_size=network.batch_size,
        )
        batches = in_batches(spans, network.batch_size, benefit=song.benefit)
        return ChunkStage(name, key, network.engine, song.mixture, batches, commit=commit)


def _refuse_other_output(path: Path, source: str) -> None:
    """Raise WeightsError for a public graph that outputs another stem than a source."""
    facts = facts_of(path)
    if facts is not None and facts.output != source:
        problem = f"the graph outputs {facts.output}, not {source}"
        raise WeightsError(problem, where=path, hint=f"use a graph that outputs {source}")


def batch_on_device(
    chunking: SpectralChunking | WindowedChunking, size: int, limit: DeviceLimit, what: str
) -> tuple[int, tuple[str, ...]]:
    """Return the chunks per run, 1 … ``size``, that probably fit a GPU, and a note if they are fewer.

    Args:
        chunking: the network's chunks.
        size: chunks per run.
        limit: memory of the GPU; a batch size that the user has set stays.
        what: what the network estimates, for the note.
    """
    if limit.has_fixed_batches:
        return size, ()
    fitting = max(1, min(size, limit.usable_bytes // chunk_device_bytes(chunking)))
    if fitting == size:
        return size, ()
    return fitting, (f"{what} in runs of {fitting} instead of {size} chunks, {limit.reason}",)


def batch_in_memory(chunking: SpectralChunking | WindowedChunking, size: int, limit: MemoryLimit, source: str) -> int:
    """Return the chunks per run, up to ``size``, that fit the memory of the process.

    Raises:
        MdxError: not even one fits.
    """
    need = chunk_bytes(chunking)
    limit.require(f"one chunk of the {source} network", need)
    return min(size, limit.free_bytes // need)


def _value_per_second(stage: Stage, share: float, forecast: Forecast) -> float:
    return share / max(forecast.n_seconds(stage.cost_key, stage.audio_seconds_left(forecast)), 1e-9)
