"""Makers of audio for tests: signals, files of formats that libsndfile does not write, and damage."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

Wave = npt.NDArray[np.float32]


def noise(channels: int, samples: int, *, seed: int = 0, level: float = 0.1) -> Wave:
    """White noise (channels, samples)."""
    generator = np.random.default_rng(seed)
    return (level * generator.standard_normal((channels, samples))).astype(np.float32)


def sines(samples: int, sample_rate: int, frequencies: tuple[float, ...] = (440.0, 3_000.0, 9_000.0)) -> Wave:
    """A stereo sum of sines; the right channel has other phases than the left."""
    time = np.arange(samples) / sample_rate
    rows = [sum(0.2 * np.sin(2 * np.pi * f * time + phase) for f in frequencies) for phase in (0.0, 0.7)]
    return np.asarray(rows, np.float32)


def snr_db(reference: Wave, estimate: Wave) -> float:
    reference = reference.astype(np.float64)
    error = np.sum((reference - estimate) ** 2)
    return float(10 * np.log10(np.sum(reference**2) / error)) if error else float("inf")


def write_audio(path: Path, wave: Wave, sample_rate: int = 44_100, **options: str) -> Path:
    """Write (channels, samples) with libsndfile."""
    soundfile.write(path, wave.T, sample_rate, **options)
    return path


def write_media(
    path: Path,
    streams: list[Wave],
    *,
    codec: str,
    sample_rate: int = 44_100,
    container: str | None = None,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    bit_rate: int | None = None,
    default: int | None = None,
) -> Path:
    """Write one audio stream a waveform with FFmpeg's libraries; ``default`` is the number of the default one."""
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        output.metadata.update(metadata or {})
        tracks = []
        for wave in streams:
            stream = output.add_stream(codec, rate=sample_rate)
            stream.layout = {1: "mono", 2: "stereo", 6: "5.1"}[wave.shape[0]]
            if bit_rate is not None or codec in {"aac", "wmav2"}:
                stream.bit_rate = bit_rate or 192_000
            if default is not None:
                if not hasattr(av.stream, "Disposition"):
                    pytest.skip("PyAV 14.0 neither marks a default track nor tells which one is")
                stream.disposition = int(len(tracks) == default)  # a flag in some versions, a number in others
            tracks.append((stream, wave))
        for stream, wave in tracks:
            size = stream.codec_context.frame_size or 4096
            for start in range(0, wave.shape[1], size):
                block = np.ascontiguousarray(wave[:, start : start + size])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=stream.layout.name)
                frame.sample_rate, frame.pts = sample_rate, start
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


def write_video_only(path: Path) -> Path:
    """A video without sound."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def cut(path: Path, *, keep_ratio: float = 0.6) -> Path:
    """Cut the end of a file off."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep_ratio)])
    return path
