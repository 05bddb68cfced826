"""From an assembled system and a song to layers and work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from my_submission.audio_io import Mixture, SampleStore
from my_submission.dsp.overlap_add import trapezoid
from my_submission.geometry import ChunkSpan, segment_grids
from my_submission.planning import (
    ChunkLayer,
    ChunkWork,
    FilterWork,
    Forecast,
    JointFilterWork,
    MaskWork,
    SegmentLayer,
    SegmentWork,
    SequentialWork,
    Work,
)
from my_submission.planning.calibration import part_key
from my_submission.planning.coverage import FADE_SAMPLES
from my_submission.planning.energy import EnergyProfile
from my_submission.planning.overlaps import MeanOfTwo, covering_first
from my_submission.planning.segments import ShiftedWork
from my_submission.planning.work import Benefit, chunk_batches, in_batches
from my_submission.predictor.canvas import BlendedLayer, StemCanvas
from my_submission.separators import (
    ConditionedSeparator,
    JointFilter,
    MaskingSeparator,
    MidSideEngine,
    Separator,
    SpectralSeparator,
    WaveformSeparator,
)
from my_submission.separators.masking import MaskedSong
from my_submission.separators.waveform import centre_and_scale
from my_submission.stems import Waveform
from my_submission.systems import Assembly, Branch, WaveformRecipe


class NewStore(Protocol):
    """Makes stores; of two channels and as long as the song unless said otherwise."""

    def __call__(self, channels: int = ..., samples: int = ...) -> SampleStore:
        """A store of zeros."""
        ...


@dataclass(frozen=True)
class BranchParts:
    """What one branch does to a song.

    Attributes:
        blended: its layer and place in the blend.
        works: what estimates it.
        refinements: what could improve it beyond what was published.
    """

    blended: BlendedLayer
    works: tuple[Work, ...]
    refinements: tuple[Work, ...] = ()


@dataclass
class PartsBuilder:
    """Makes the layers and the work of a song.

    Attributes:
        assembly: the system.
        mixture: the song.
        new_store: makes stores.
        is_ranked: whether work is put in the order of what it brings, which takes a pass over the song; else it
            stays in the published order.
    """

    assembly: Assembly
    mixture: Mixture
    new_store: NewStore
    is_ranked: bool
    _profile: EnergyProfile | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.is_ranked:
            self._profile = EnergyProfile.of(self.mixture.store)

    def branches(self, forecast: Forecast) -> list[BranchParts]:
        """All branches of the system; networks of a branch come in the order of what they bring a second."""
        built: list[BranchParts] = []
        for branch, recipe in zip(self.assembly.branches, self.assembly.recipe.branches, strict=True):
            only = branch.separators[0] if len(branch.separators) == 1 else None
            if isinstance(only, WaveformSeparator) and isinstance(recipe.recipe, WaveformRecipe):
                known = [parts.blended.layer for parts in built]
                built.append(self._waveform(branch, only, recipe.recipe, known))
            elif isinstance(only, MaskingSeparator):
                built.append(self._masked(branch, only))
            elif isinstance(only, ConditionedSeparator) and self.is_ranked and not only.legacy:
                built.append(self._conditioned(branch, only))
            else:
                built.append(self.networks(branch, forecast))
        return built

    def networks(self, branch: Branch, forecast: Forecast) -> BranchParts:
        """A branch of networks that estimate one or several sources each."""
        sources = {source for separator in branch.separators for source in separator.sources}
        kept = [one.chunking.kept_samples for one in branch.separators if isinstance(one, SpectralSeparator)]
        layer = ChunkLayer(
            {source: self.new_store() for source in sources},
            self.mixture.samples,
            fade_samples=min([FADE_SAMPLES, *(samples // 4 for samples in kept)]),
        )
        works, refinements = [], []
        for separator in branch.separators:
            works.append(self._network(branch, separator, layer))
            if isinstance(separator, SpectralSeparator) and not separator.chunking.overlap_samples:
                refinements.append(self._overlapped(branch, separator, layer))
        if self.is_ranked:
            values = {
                work.name: sum(branch.shares.get(source, 0.0) for source in separator.sources)
                for work, separator in zip(works, branch.separators, strict=True)
            }
            works.sort(key=lambda work: -_value_for_time(work, values[work.name], forecast))
        return BranchParts(BlendedLayer(layer, branch.shares, branch.mixer), tuple(works), tuple(refinements))

    def joint_filter(self, canvas: StemCanvas) -> JointFilterWork | None:
        """The filter over what the canvas composes, to be done last; None where the system has none."""
        recipe = self.assembly.recipe.joint_filter
        if recipe is None:
            return None
        name, sources = "joint filter", self.assembly.recipe.sources
        layer = SegmentLayer(
            {source: self.new_store() for source in sources},
            self.mixture.samples,
            centre_and_scale=(0.0, 1.0),
            grid=recipe.windows,
            fade_samples=min(FADE_SAMPLES, recipe.windows.fade_samples // 2),
        )
        canvas.filtered = BlendedLayer(layer, recipe.shares)
        return JointFilterWork(
            name,
            part_key(name, system="any", weights="", runs_on=f"{len(sources)} sources", chunking=recipe.geometry),
            JointFilter(recipe.geometry),
            self.mixture,
            read=canvas.estimates,
            is_estimated=canvas.is_estimated,
            sources=sources,
            layer=layer,
            grid=recipe.windows,
        )

    def _network(self, branch: Branch, separator: Separator, layer: ChunkLayer) -> Work:
        name = _part_name(branch, separator)
        key = self._key(name, separator)
        if not isinstance(separator, SpectralSeparator) or separator.chunking.overlap_samples:
            return SequentialWork(name, key, separator, self.mixture, layer)

        def commit(span: ChunkSpan, estimate: Waveform) -> None:
            layer.paint(separator.source, span.start, estimate)

        batches = chunk_batches(separator, self.mixture.samples, benefit=self._benefit())
        return ChunkWork(name, key, separator, self.mixture, batches, commit=commit)

    def _conditioned(self, branch: Branch, separator: ConditionedSeparator) -> BranchParts:
        """Chunks that cover the song, then those that only overlap them: the overlap gives way first."""
        samples = self.mixture.samples
        fade = min(FADE_SAMPLES, separator.chunking.kept_samples // 4)
        layer = ChunkLayer({source: self.new_store() for source in separator.sources}, samples, fade_samples=fade)
        name, commit = branch.name, MeanOfTwo(layer, separator.sources)
        key = self._key(name, separator)
        covering, others = covering_first(list(separator.chunking.spans(samples)))
        works: list[Work] = []
        for part, spans in ((name, covering), (f"{name}, overlaps", others)):
            batches = in_batches(spans, separator.batch_chunks, benefit=self._benefit())
            if batches:
                works.append(ChunkWork(part, key, separator, self.mixture, batches, commit=commit))
        return BranchParts(BlendedLayer(layer, branch.shares, branch.mixer), tuple(works))

    def _masked(self, branch: Branch, separator: MaskingSeparator) -> BranchParts:
        """Masks of the whole song, then the filter that they teach."""
        layer = ChunkLayer({source: self.new_store() for source in separator.sources}, self.mixture.samples)
        song = MaskedSong(separator, self.mixture, self.new_store(*separator.mask_channels(self.mixture.samples)))
        name, filter_name = branch.name, f"{branch.name}, filter"
        filter_key = self._key(filter_name, separator)
        masks = MaskWork(name, self._key(name, separator), filter_key, song)
        works = (masks, FilterWork(filter_name, filter_key, song, layer))
        return BranchParts(BlendedLayer(layer, branch.shares, branch.mixer), works)

    def _overlapped(self, branch: Branch, separator: SpectralSeparator, layer: ChunkLayer) -> Work:
        """Chunks half-way between the published ones; each counts most in its middle, where those join."""
        name = _part_name(branch, separator)
        kept = separator.chunking.kept_samples
        weights = trapezoid(kept, kept // 2)

        def commit(span: ChunkSpan, estimate: Waveform) -> None:
            layer.fade_in(separator.source, span.start, estimate, weights[: estimate.shape[-1]])

        batches = chunk_batches(separator, self.mixture.samples, benefit=self._benefit(), is_shifted=True)
        key = self._key(name, separator)
        return ChunkWork(f"{name}, overlapped", key, separator, self.mixture, batches, commit=commit)

    def _waveform(
        self, branch: Branch, separator: WaveformSeparator, recipe: WaveformRecipe, known: Sequence[object]
    ) -> BranchParts:
        if self.is_ranked:
            separator.open()
        grids = segment_grids(separator.chunking, self.mixture.samples, recipe.reduced_overlaps)
        least_overlap = grids[-1].segment_samples - grids[-1].stride_samples
        layer = SegmentLayer(
            {source: self.new_store() for source in separator.sources},
            self.mixture.samples,
            centre_and_scale=centre_and_scale(self.mixture.statistics, separator.normalisation),
            grid=grids[-1],
            fade_samples=min(FADE_SAMPLES, least_overlap // 2),
        )
        name, benefit = branch.name, self._refining_benefit(branch.shares, known)
        # A mono film costs a quarter of a stereo one where equal rows are run once.
        is_cheaper = isinstance(separator.engine, MidSideEngine) and self.mixture.statistics.are_channels_equal
        key = self._key(f"{name}, equal channels" if is_cheaper else name, separator)
        shared = (key, separator, self.mixture, layer)
        # Without a deadline segments run together. With one they do not: each is a step towards it, and what it
        # costs alone must be known apart.
        together = 1 if self.is_ranked else separator.segments_together
        key_together = key if together == 1 else f"{key} x{together}"
        work = SegmentWork(name, key_together, *shared[1:], grids=grids, benefit=benefit, together=together)
        passes = recipe.shifted_passes
        shifts = [grids[0].stride_samples * (index + 1) // (passes + 1) for index in range(passes)]
        refinements = tuple(
            ShiftedWork(f"{name}, shifted pass {number}", *shared, grid=grids[0], shift_samples=shift, benefit=benefit)
            for number, shift in enumerate(shifts, start=1)
        )
        return BranchParts(BlendedLayer(layer, branch.shares, branch.mixer), (work,), refinements)

    def _benefit(self) -> Benefit | None:
        return self._profile.between if self._profile is not None else None

    def _refining_benefit(self, shares: Mapping[str, float], known: Sequence[object]) -> Benefit:
        """Share in the blend times energy of the source, summed; a source not known yet has its part of the mixture."""
        layers = [layer for layer in known if isinstance(layer, ChunkLayer)]
        profile = self._profile

        def benefit(start: int, stop: int) -> float:
            mixed = profile.between(start, stop) if profile is not None else float(stop - start)
            total = 0.0
            for source, share in shares.items():
                whole = next((at for at in layers if source in at.coverage and at.coverage[source].is_whole), None)
                total += share * (whole.energy[source].between(start, stop) if whole else mixed / len(shares))
            return total

        return benefit

    def _key(self, name: str, separator: Separator) -> str:
        chunking = getattr(separator, "chunking", None)
        return part_key(
            name,
            system=self.assembly.recipe.name,
            weights=self.assembly.fingerprint,
            runs_on=separator.runs_on,
            chunking=chunking,
            batch_chunks=getattr(separator, "batch_chunks", 1),
        )


def _part_name(branch: Branch, separator: Separator) -> str:
    return f"{branch.name}: {', '.join(separator.sources)}" if len(branch.separators) > 1 else branch.name


def _value_for_time(work: Work, value: float, forecast: Forecast) -> float:
    return value / max(forecast.n_seconds(work.key, work.audio_seconds_left(forecast)), 1e-9)
