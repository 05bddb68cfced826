"""Geometry of spectral and temporal chunks, as frozen values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from my_submission.fade_weights import Weights, hann, trapezoid, triangle

SAMPLE_RATE = 44_100
"""Sample rate of every published system, in samples per second."""


@dataclass(frozen=True)
class StftGeometry:
    """A short-time Fourier transform, and the bins that a network takes.

    Attributes:
        n_fft: window and transform length, in samples.
        hop: distance between frames, in samples.
        kept_bins: bins 0 … kept_bins − 1 go through the network; the others are zero in the output.
        silent_bins: the first bins, which are zero in the network's input.
    """

    n_fft: int
    hop: int
    kept_bins: int
    silent_bins: int = 0

    def __post_init__(self) -> None:
        if self.n_fft < 2 or self.n_fft % 2:
            raise ValueError(f"n_fft={self.n_fft} must be even and at least 2")
        if not 0 < self.hop <= self.n_fft // 2:
            raise ValueError(f"hop={self.hop} must lie between 1 and n_fft/2={self.n_fft // 2}")
        if not 0 < self.kept_bins <= self.n_bins:
            raise ValueError(f"kept_bins={self.kept_bins} does not fit n_fft={self.n_fft} ({self.n_bins} bins)")
        if not 0 <= self.silent_bins < self.kept_bins:
            raise ValueError(f"silent_bins={self.silent_bins} must lie between 0 and kept_bins={self.kept_bins} − 1")

    @property
    def n_bins(self) -> int:
        """Bins of a one-sided spectrum."""
        return self.n_fft // 2 + 1

    @property
    def cutoff_hz(self) -> float:
        """Frequency above which the output is silent, at 44.1 kHz; the Nyquist frequency at most."""
        return min(self.kept_bins * SAMPLE_RATE / self.n_fft, SAMPLE_RATE / 2)


@dataclass(frozen=True)
class ReceptiveField:
    """Receptive field of a U-Net along time.

    Attributes:
        scales: downsamplings by two; the network takes any multiple of 2^scales frames.
        frames_per_block: frames to each side in the receptive field of one block, at its own scale.
    """

    scales: int
    frames_per_block: int

    def __post_init__(self) -> None:
        if min(self.scales, self.frames_per_block) < 0:
            raise ValueError(f"scales and frames_per_block must not be negative: {self}")

    @property
    def frame_multiple(self) -> int:
        """The number of frames must be a multiple of this."""
        return 1 << self.scales

    def frames_for(self, frame: int) -> int:
        """Return the number of first frames that output frame ``frame`` depends on, rounded up to ``frame_multiple``.

        The last dependency is traced from the output down to the coarsest scale and back up to the input. The block of
        each scale adds ``frames_per_block`` frames; going up, a frame depends on the later one of its pair.
        """
        needed = frame + self.frames_per_block
        for _ in range(self.scales):
            needed = needed // 2 + self.frames_per_block
        for _ in range(self.scales):
            needed = 2 * needed + 1 + self.frames_per_block
        return -(-(needed + 1) // self.frame_multiple) * self.frame_multiple


@dataclass(frozen=True)
class ChunkSpan:
    """One chunk of a song: its context and the part that is kept, in samples of the song.

    A negative ``context_start``, or a ``context_stop`` beyond the song, means zeros there.
    """

    context_start: int
    context_stop: int
    start: int
    stop: int


@dataclass(frozen=True)
class SpectralChunking:
    """Chunks of a fixed number of frames, trimmed at both sides and laid end to end, or cross-faded.

    This is the published arithmetic of KUIELab-MDX-Net (leaderboards A and B): a chunk is hop·(frames − 1) samples, and
    n_fft/2 samples are dropped at each side, so neighbours share context and nothing overlaps. For songs whose length
    divides evenly, the published code also computes a whole chunk of padding and throws it away; this one does not.

    Attributes:
        stft: the transform.
        frames: frames of one chunk.
        trim: samples dropped at each side; n_fft/2 by default.
        overlap_ratio: share of the kept samples that the next chunk estimates again, at most one half.
        reach: receptive field of a network that takes fewer frames than ``frames``. Chunks at the song's end are then
            as short as their kept part allows, which changes no sample. None: all chunks are whole.
    """

    stft: StftGeometry
    frames: int
    trim: int | None = None
    overlap_ratio: float = 0.0
    reach: ReceptiveField | None = None

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ValueError(f"frames={self.frames} must be at least 2")
        if self.trim_samples < 0 or self.kept_samples < 1:
            raise ValueError(
                f"a chunk of {self.chunk_samples} samples has nothing left after trimming 2·{self.trim_samples}"
            )
        if not 0 <= self.overlap_ratio <= 0.5:
            raise ValueError(f"overlap_ratio={self.overlap_ratio} must lie between 0 and 0.5")

    @property
    def chunk_samples(self) -> int:
        """Samples of a chunk, context included."""
        return self.stft.hop * (self.frames - 1)

    @property
    def trim_samples(self) -> int:
        """Samples dropped at each side."""
        return self.stft.n_fft // 2 if self.trim is None else self.trim

    @property
    def kept_samples(self) -> int:
        """Samples kept of each chunk ("gen_size" in the published code)."""
        return self.chunk_samples - 2 * self.trim_samples

    @property
    def overlap_samples(self) -> int:
        """Samples that two neighbouring chunks share."""
        return int(self.overlap_ratio * self.kept_samples)

    @property
    def stride_samples(self) -> int:
        """Distance between the starts of neighbouring chunks."""
        return self.kept_samples - self.overlap_samples

    def count(self, samples: int) -> int:
        """Return the number of chunks of a song of ``samples`` samples."""
        return max(1, -(-(samples - self.overlap_samples) // self.stride_samples))

    def spans(self, samples: int) -> Iterator[ChunkSpan]:
        """Yield the chunks of a song of ``samples`` samples, in order."""
        for index in range(self.count(samples)):
            yield self.span_at(index * self.stride_samples, samples)

    def span_at(self, start: int, samples: int) -> ChunkSpan:
        """Return the chunk whose kept samples begin at ``start`` of a song of ``samples`` samples."""
        begin = start - self.trim_samples
        stop = min(start + self.kept_samples, samples)
        context = self.stft.hop * (self._frames_for(stop - begin, samples - begin) - 1)
        return ChunkSpan(begin, begin + context, start, stop)

    def _frames_for(self, last: int, sounding: int) -> int:
        """Return the frames of a chunk whose kept part ends before sample ``last`` and whose input is silent from
        ``sounding`` on.
        """
        if self.reach is None:
            return self.frames
        stft, half = self.stft, self.stft.n_fft // 2
        last_frame = (last - 1 + half) // stft.hop
        # A shorter chunk gives the same samples only if its reflected border and the samples left out are zeros.
        until_silence = -(-(sounding + half) // stft.hop) + 1
        multiple = self.reach.frame_multiple
        silent = -(-until_silence // multiple) * multiple
        return min(self.frames, max(self.reach.frames_for(last_frame), silent))


@dataclass(frozen=True)
class WindowedChunking:
    """Whole chunks that overlap under a Hann window, as UVR and audio-separator apply public MDX-Net graphs.

    The song lies between n_fft/2 zeros and enough zeros for a whole number of trimmed chunks. Chunks begin at multiples
    of the stride of that padded song. The last ones are cut at its end, and their windows with them.

    Attributes:
        stft: the transform.
        frames: frames of one chunk.
        overlap_ratio: share of a chunk that the next one estimates again.
    """

    stft: StftGeometry
    frames: int
    overlap_ratio: float = 0.25

    def __post_init__(self) -> None:
        if self.kept_samples < 1:
            raise ValueError(f"frames={self.frames} leave nothing of a chunk after trimming n_fft={self.stft.n_fft}")
        if not 0 < self.overlap_ratio < 1:
            raise ValueError(f"overlap_ratio={self.overlap_ratio} must lie between 0 and 1")

    @property
    def chunk_samples(self) -> int:
        """Samples of a chunk."""
        return self.stft.hop * (self.frames - 1)

    @property
    def trim_samples(self) -> int:
        """Zeros before the song."""
        return self.stft.n_fft // 2

    @property
    def kept_samples(self) -> int:
        """Samples of a chunk without n_fft/2 at each side."""
        return self.chunk_samples - 2 * self.trim_samples

    @property
    def stride_samples(self) -> int:
        """Distance between the starts of neighbouring chunks."""
        return int((1 - self.overlap_ratio) * self.chunk_samples)

    @property
    def overlap_samples(self) -> int:
        """Samples that two neighbouring chunks share."""
        return self.chunk_samples - self.stride_samples

    def spans(self, samples: int) -> Iterator[ChunkSpan]:
        """Yield the chunks of a song of ``samples`` samples, in order."""
        for begin in range(-self.trim_samples, samples, self.stride_samples):
            end = begin + self.chunk_samples
            yield ChunkSpan(begin, end, max(0, begin), min(end, samples))

    def window_samples(self, span: ChunkSpan, samples: int) -> int:
        """Return the length of a chunk's window in a song of ``samples`` samples."""
        padded_end = samples + self.kept_samples + self.trim_samples - samples % self.kept_samples
        return min(span.context_stop, padded_end) - span.context_start

    def weights(self, samples: int) -> Weights:
        """Return the weights of a window of ``samples`` samples: a symmetric Hann window."""
        return hann(samples)


@dataclass(frozen=True)
class OverlapChunking:
    """Overlapping segments with triangular weights, as in Demucs v2 with ``split``.

    A segment of n = min(segment, samples − offset) samples needs ``valid_length(n)`` samples of input centred on it,
    taken from the song. The valid length follows from the network.
    """

    segment_samples: int
    overlap_ratio: float = 0.5

    def __post_init__(self) -> None:
        if self.segment_samples < 2:
            raise ValueError(f"segment_samples={self.segment_samples} must be at least 2")
        if not 0 <= self.overlap_ratio < 1:
            raise ValueError(f"overlap_ratio={self.overlap_ratio} must be at least 0 and below 1")

    @property
    def stride_samples(self) -> int:
        """Distance between the starts of neighbouring segments."""
        return int((1 - self.overlap_ratio) * self.segment_samples)

    def offsets(self, samples: int, *, first: int | None = None) -> range:
        """Return the starts of all segments in a song of ``samples`` samples, or of those from ``first`` on."""
        return range(0 if first is None else first, samples, self.stride_samples)

    def weights(self, samples: int) -> Weights:
        """Return the overlap-add weights of a segment of ``samples`` samples: a triangle."""
        return triangle(samples)

    def with_segment(self, samples: int) -> OverlapChunking:
        """Return the same overlap ratio over segments of another length."""
        return replace(self, segment_samples=samples)

    @property
    def bounded(self) -> OverlapChunking:
        """These segments: their length does not depend on the song."""
        return self

    def grids(self, samples: int, reduced_overlaps: Sequence[float] = ()) -> tuple[SegmentGrid, ...]:
        """Return this grid, then grids of ever smaller overlap, which take ever less time."""
        smaller = [overlap for overlap in reduced_overlaps if overlap < self.overlap_ratio]
        return (self, *(replace(self, overlap_ratio=overlap) for overlap in smaller))


@dataclass(frozen=True)
class FadeChunking:
    """Segments laid end to end and joined by short straight cross-fades.

    Every segment begins ``fade_samples`` before the previous one ends, and the first ``fade_samples`` before the song.

    Attributes:
        stride_samples: distance between the starts of neighbouring segments.
        fade_samples: length of a cross-fade.
    """

    stride_samples: int
    fade_samples: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.fade_samples < self.stride_samples:
            raise ValueError(f"fade_samples={self.fade_samples} must lie between 0 and {self.stride_samples - 1}")

    @property
    def segment_samples(self) -> int:
        """Length of a segment inside the song."""
        return self.stride_samples + self.fade_samples

    @property
    def overlap_ratio(self) -> float:
        """Share of a segment that the next one computes again."""
        return self.fade_samples / self.segment_samples

    def offsets(self, samples: int, *, first: int | None = None) -> range:
        """Return the starts of all segments in a song of ``samples`` samples, or of those from ``first`` on."""
        return range(-self.fade_samples if first is None else first, samples - self.fade_samples, self.stride_samples)

    def weights(self, samples: int) -> Weights:
        """Return the overlap-add weights of a segment of ``samples`` samples: flat, with straight cross-fades."""
        return trapezoid(samples, min(self.fade_samples, samples // 2))

    def with_segment(self, samples: int) -> FadeChunking:
        """Return the same cross-fades between segments of another length."""
        return replace(self, stride_samples=samples - self.fade_samples)

    @property
    def bounded(self) -> FadeChunking:
        """These segments: their length does not depend on the song."""
        return self

    def grids(self, samples: int, reduced_overlaps: Sequence[float] = ()) -> tuple[SegmentGrid, ...]:
        """Return this grid alone: cross-fades cannot overlap less."""
        return (self,)


SegmentGrid: TypeAlias = OverlapChunking | FadeChunking
"""Positions of segments of one length, and the weights of their overlap-add."""


@dataclass(frozen=True)
class WholeSong:
    """The song as one segment, for networks that were published without segments; memory grows with the song.

    Attributes:
        otherwise: segments for songs that are too long for the time or memory.
    """

    otherwise: SegmentGrid

    @property
    def overlap_ratio(self) -> float:
        """Zero: there is one segment."""
        return 0.0

    @property
    def bounded(self) -> SegmentGrid:
        """Segments whose length does not depend on the song."""
        return self.otherwise

    def grids(self, samples: int, reduced_overlaps: Sequence[float] = ()) -> tuple[SegmentGrid, ...]:
        """Return the whole song of ``samples`` samples as one segment, then the grids, which take ever less time."""
        return (FadeChunking(samples), *self.otherwise.grids(samples, reduced_overlaps))


Segmentation: TypeAlias = SegmentGrid | WholeSong
"""Segments of a waveform network over a song."""


@dataclass(frozen=True)
class FrameChunking:
    """Overlapping stretches of a spectrogram's frames; where two meet, one fades into the other.

    Attributes:
        frames: frames of one stretch.
        overlap_frames: frames that two neighbours share.
    """

    frames: int
    overlap_frames: int = 0

    def __post_init__(self) -> None:
        if not 0 <= 2 * self.overlap_frames <= self.frames or self.frames < 1:
            raise ValueError(f"overlap_frames={self.overlap_frames} must be at most half of frames={self.frames}")

    def spans(self, frames: int) -> list[tuple[int, int]]:
        """Return first frame and stop frame of every stretch of a song of ``frames`` frames."""
        stride = self.frames - self.overlap_frames
        starts = range(0, max(1, frames - self.overlap_frames), stride)
        return [(start, min(start + self.frames, frames)) for start in starts]
