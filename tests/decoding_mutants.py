"""Damaged audio files of many formats, and the property that decoding must hold for each.

By hand: ``python -m tests.decoding_mutants 2000 --seed 1`` (in a process of its own, so that a crash is counted).
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np

from my_submission.audio_io.decoding.decode import checked_blocks, open_decoder
from my_submission.errors import InputError
from tests.audio_fixtures import noise, write_audio, write_media

RATE = 48_000
DELAY_SAMPLES = 3_000
"""What decoders of lossy formats differ by: two MP3 frames, or an AAC frame and its priming."""

LOSSLESS = {"wav", "float.wav", "aiff", "caf", "w64", "rf64", "au", "flac", "oga", "mov", "wv", "tta"}
WITHOUT_LENGTH = {"vbr.mp3", "aac", "ac3"}
"""Formats whose files say nothing of how long they are, nor have an end: whole ones cannot be told from cut ones."""

HEADER_SLACK_SAMPLES = 11
"""44 bytes in 16 bits; some writers count the header as data."""

SECONDS_A_FILE = 20.0

_SOUND_FILES = {
    "wav": {"subtype": "PCM_16"},
    "float.wav": {"subtype": "FLOAT"},
    "aiff": {"subtype": "PCM_16"},
    "caf": {"subtype": "PCM_24"},
    "w64": {"subtype": "PCM_16"},
    "rf64": {"subtype": "PCM_16", "format": "RF64"},
    "au": {"subtype": "PCM_16"},
    "flac": {"subtype": "PCM_16"},
    "mp3": {},
    "ogg": {"subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}
_MEDIA = {
    "oga": ("flac", "ogg"),
    "m4a": ("aac", "ipod"),
    "mov": ("pcm_s16le", "mov"),
    "wma": ("wmav2", "asf"),
    "webm": ("libopus", "webm"),
    "mkv": ("aac", "matroska"),
    "wv": ("wavpack", "wv"),
    "tta": ("tta", "tta"),
    "vbr.mp3": ("libmp3lame", "mp3"),
    "aac": ("aac", "adts"),
    "ac3": ("ac3", "ac3"),
}
FORMATS = (*_SOUND_FILES, *_MEDIA)


def originals(folder: Path, samples: int = 24_000) -> dict[str, Path]:
    """A whole file of every format."""
    wave = noise(2, samples)
    files = {}
    for suffix, options in _SOUND_FILES.items():
        files[suffix] = write_audio(folder / f"whole.{suffix}", wave, RATE, **options)
    for suffix, (codec, container) in _MEDIA.items():
        options = {"write_xing": "0"} if suffix == "vbr.mp3" else {}
        path = folder / f"whole.{suffix}"
        files[suffix] = write_media(path, [wave], codec=codec, container=container, sample_rate=RATE, options=options)
    return files


def _truncated(data: bytearray, rng: np.random.Generator) -> None:
    del data[rng.integers(1, len(data)) :]


def _shortened(data: bytearray, rng: np.random.Generator) -> None:
    del data[len(data) - rng.integers(1, min(len(data), 3_000)) :]


def _flipped(data: bytearray, rng: np.random.Generator) -> None:
    for position in rng.integers(0, len(data), rng.integers(1, 20)):
        data[position] ^= int(rng.integers(1, 256))


def _flipped_header(data: bytearray, rng: np.random.Generator) -> None:
    for position in rng.integers(0, min(len(data), 200), rng.integers(1, 4)):
        data[position] ^= 1 << int(rng.integers(0, 8))


def _field(data: bytearray, rng: np.random.Generator) -> None:
    position = int(rng.integers(0, min(len(data), 400) - 8))
    values = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, int(rng.integers(0, 2**32)))
    form = rng.choice(["<I", ">I"])
    data[position : position + 4] = struct.pack(form, values[rng.integers(0, len(values))])


def _inserted(data: bytearray, rng: np.random.Generator) -> None:
    position = int(rng.integers(0, len(data)))
    data[position:position] = rng.bytes(int(rng.integers(1, 5_000)))


def _removed(data: bytearray, rng: np.random.Generator) -> None:
    position = int(rng.integers(0, len(data)))
    del data[position : position + int(rng.integers(1, 5_000))]


def _zeroed(data: bytearray, rng: np.random.Generator) -> None:
    position = int(rng.integers(0, len(data)))
    size = min(len(data) - position, int(rng.integers(1, 5_000)))
    data[position : position + size] = bytes(size)


def _doubled(data: bytearray, rng: np.random.Generator) -> None:
    data += data[: int(rng.integers(len(data) // 2, len(data) + 1))]


def _appended(data: bytearray, rng: np.random.Generator) -> None:
    data += rng.bytes(int(rng.integers(1, 20_000)))


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    _truncated,
    _shortened,
    _flipped,
    _flipped_header,
    _field,
    _inserted,
    _removed,
    _zeroed,
    _doubled,
    _appended,
)


@dataclass(frozen=True)
class Mutant:
    """A damaged file and how it was made."""

    name: str
    suffix: str
    data: bytes
    is_cut: bool = False
    """Whether nothing but its end is missing."""


def mutants(files: dict[str, Path], n_mutants: int, seed: int) -> Iterator[Mutant]:
    """Formats and mutations in turn, at random places."""
    contents = {suffix: path.read_bytes() for suffix, path in files.items()}
    for number in range(n_mutants):
        rng = np.random.default_rng([seed, number])
        suffix = FORMATS[number % len(FORMATS)]
        data = bytearray(contents[suffix])
        mutate = MUTATIONS[(number // len(FORMATS)) % len(MUTATIONS)]
        mutate(data, rng)
        yield Mutant(
            f"{seed}-{number} {suffix} {mutate.__name__[1:]}", suffix, bytes(data), mutate in {_truncated, _shortened}
        )


def ffmpeg_samples(path: Path) -> int | None:
    """How many samples FFmpeg decodes of a file up to its end; None where it cannot open it."""
    n_samples = 0
    try:
        with path.open("rb") as file, av.open(file, options={"protocol_whitelist": "none"}) as container:
            stream = container.streams.audio[0]
            packets = container.demux(stream)
            while (packet := next(packets, None)) is not None:
                try:
                    n_samples += sum(frame.samples for frame in packet.decode())
                except (av.FFmpegError, OSError):
                    continue
    except (OSError, ValueError, IndexError, AttributeError):
        return n_samples or None
    return n_samples


def verdict(path: Path, mutant: Mutant | None = None, whole: Path | None = None) -> str:
    """What became of a file: "decoded", "noted", "refused", or a word in capitals for what must not happen."""
    began = time.process_time()
    n_samples = 0
    try:
        with open_decoder(path) as decoder:
            for block in checked_blocks(decoder, 65_536):
                n_samples += block.shape[1]
            notes = decoder.notes
    except InputError as error:
        return "refused" if error.hint and str(path) in str(error) else f"BARE MESSAGE {error}"
    except Exception as error:  # what the property is about
        return f"TRACEBACK {type(error).__name__}: {error}"
    if time.process_time() - began > SECONDS_A_FILE:
        return "SLOW"
    return "noted" if notes else _loss(n_samples, path, mutant, whole) or "decoded"


def _loss(n_samples: int, path: Path, mutant: Mutant | None, whole: Path | None) -> str | None:
    """Whether samples are lost without a word: those that FFmpeg decodes, or those of the end that was cut off."""
    is_lossless = mutant is not None and mutant.suffix in LOSSLESS
    reference = ffmpeg_samples(path)
    if reference is not None and n_samples < reference - (0 if is_lossless else DELAY_SAMPLES):
        return f"SILENT LOSS {n_samples} of {reference}"
    if mutant is None or whole is None or not mutant.is_cut or mutant.suffix in WITHOUT_LENGTH:
        return None
    reference = ffmpeg_samples(whole)
    slack = HEADER_SLACK_SAMPLES if is_lossless else 0
    return f"SILENT CUT {n_samples} of {reference}" if reference and n_samples < reference - slack else None


def _work(pipe: Connection, folder: str, files: dict[str, Path]) -> None:
    while (mutant := pipe.recv()) is not None:
        path = Path(folder) / f"mutant.{mutant.suffix}"
        path.write_bytes(mutant.data)
        pipe.send(verdict(path, mutant, files[mutant.suffix]))


def main() -> None:
    """Count verdicts over many mutants; those that break the property are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n_mutants", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "decoding-mutants")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    counts: collections.Counter[str] = collections.Counter()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        files = originals(Path(folder))
        worker = None
        for mutant in mutants(files, options.n_mutants, options.seed):
            if worker is None:
                here, there = context.Pipe()
                worker = context.Process(target=_work, args=(there, folder, files), daemon=True)
                worker.start()
                there.close()
            here.send(mutant)
            try:
                said = here.recv() if here.poll(3 * SECONDS_A_FILE) else "HANG"
            except EOFError:
                said = "CRASH"
            if said in {"HANG", "CRASH"}:
                worker.kill()
                worker = None
            counts[said.split(":")[0] if said[0].isupper() else said] += 1
            if said[0].isupper():
                kept = options.keep / f"{mutant.name.replace(' ', '-')}.{mutant.suffix}"
                kept.write_bytes(mutant.data)
                print(f"{mutant.name}: {said}", flush=True)
    print(f"{options.n_mutants} mutants of {len(FORMATS)} formats, seed {options.seed}:", dict(counts))


if __name__ == "__main__":
    main()
