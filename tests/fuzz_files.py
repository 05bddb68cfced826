"""Damaged weights, graphs, archives and documents: each is read, or refused with a message that names it.

``python -m tests.fuzz_files --mutants 1000`` tries many of each kind in processes of bounded memory and prints how many
there were and what went wrong; ``test_fuzz_files`` tries a few of each.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluator.errors import EvaluationError
from evaluator.replay_session import replay
from evaluator.scores import scores_document
from evaluator.scoring import SongScore
from my_submission.challenge.aicrowd_json import find_schema_faults, read_aicrowd_json
from my_submission.challenge.configuration import read_configuration
from my_submission.challenge.song_reports import read_song_reports
from my_submission.challenge.tracks import find_track
from my_submission.cli.artefacts import open_network
from my_submission.engines import Device
from my_submission.engines.frame_major import FrameMajorOnnx
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.errors import MdxError
from my_submission.networks.lightning_checkpoints import read_settings
from my_submission.networks.state_dict import load_state_dict
from my_submission.planning.calibration import Calibration
from my_submission.weights import ModelsFolder, check_checksums, fetch, read_state_dict, read_tensor_shapes
from my_submission.weights.archives import extract_member
from tests.graph_fixtures import BINS, FRAMES, saved_with_companion, scaling_graph
from tests.hostile_documents import OTHER_TYPES
from tests.model_makers import random_network, write_spectral
from tests.weights_fixtures import entry, write_manifest
from training.data.stems import open_stem
from training.examples.clean_list import clean_songs
from training.loop.checkpoints import read_checkpoint
from training.modules.registry import load_experiment
from training.settings.files import CONFIGS

SOURCES = ("bass", "drums", "other", "vocals")

SECONDS_PER_MUTANT = 60
"""A reader that takes longer hangs, also on a busy machine."""

EXTRA_BYTES = 1 << 30
"""Address space that reading one mutant may take beyond what the process has."""

LONGEST_MESSAGE = 5000

Mutation = Callable[[bytes, np.random.Generator], bytes]


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes:
        name: the file's name.
        seed: a good one.
        read: reads it; MdxError or EvaluationError where it is refused.
        mutations: ways to damage it.
        is_named: whether a refusal names the file.
    """

    name: str
    seed: bytes
    read: Callable[[Path], object]
    mutations: tuple[Mutation, ...]
    is_named: bool = True


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def overwrite(content: bytes, rng: np.random.Generator) -> bytes:
    """Put extreme or random bytes over a few of them."""
    length = int(rng.choice([1, 2, 4, 8, 32]))
    at = int(rng.integers(max(1, len(content) - length)))
    filling = [bytes(length), b"\xff" * length, b"\x7f" + b"\xff" * (length - 1), rng.bytes(length)]
    return content[:at] + filling[rng.integers(len(filling))] + content[at + length :]


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content))]


def insert(content: bytes, rng: np.random.Generator) -> bytes:
    at, start = (int(rng.integers(len(content) + 1)) for _ in range(2))
    piece = [rng.bytes(int(rng.integers(1, 64))), content[start : start + 200] * int(rng.integers(1, 20))]
    return content[:at] + piece[rng.integers(2)] + content[at:]


BYTES: tuple[Mutation, ...] = (flip_bits, overwrite, truncate, insert)

TOKENS = (b"[" * 3000, b"{" * 500, b"1e999", b"9" * 500, b"NaN", b"-Infinity", b'"', b"null", b"inf", b"&a *a", b"\x00")
TOKENS += (
    b"\xff",
    b"\\ud800",
    b"!!int ",
    b"a.b.c.d = 1\n",
    b"[[a]]\n",
    b"- - - -",
    b": ",
    b"\xef\xbb\xbf",
    b"'''",
    b"#",
)


def insert_token(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content) + 1))
    return content[:at] + TOKENS[rng.integers(len(TOKENS))] + content[at:]


def replace_word(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a token in the place of one between spaces."""
    words = content.split(b" ")
    words[rng.integers(len(words))] = TOKENS[rng.integers(len(TOKENS))]
    return b" ".join(words)


def swap_type(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a value of another type somewhere in a JSON document."""
    document = json.loads(content)
    holder = document
    while True:
        keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return json.dumps(document).encode()
        key = keys[rng.integers(len(keys))]
        value = holder[key]
        if not isinstance(value, dict | list) or rng.random() < 0.3:
            holder[key] = OTHER_TYPES[rng.integers(len(OTHER_TYPES))]
            return json.dumps(document).encode()
        holder = value


TEXT: tuple[Mutation, ...] = (*BYTES, insert_token, replace_word)
JSON: tuple[Mutation, ...] = (*TEXT, swap_type, swap_type)


def in_record(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage a record of a zip and write the zip anew, so that only the record's own reader can notice."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    name = next((name for name in records if name.endswith("data.pkl")), next(iter(records)))
    records[name] = BYTES[rng.integers(len(BYTES))](records[name], rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, record in records.items():
            archive.writestr(name, record)
    return buffer.getvalue()


def targets(folder: Path) -> list[Target]:
    """Every kind of file; ``folder`` is for making the good ones."""
    return [*_checkpoints(folder), *_graphs(folder), *_archives(), *_documents()]


def _checkpoints(folder: Path) -> list[Target]:
    state = {f"layer.{i}.weight": torch.randn(3, 4) for i in range(4)} | {"half": torch.zeros(5, dtype=torch.bfloat16)}
    lightning = {"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 1e-3, "names": ["a", "b"]}}
    run = {"experiment": {"network": {}}, "state_dict": state, "global_step": 7}
    contents = {"zip": state, "lightning": lightning, "run": run}
    made = {}
    for name, content in contents.items():
        torch.save(content, folder / name)
        made[name] = (folder / name).read_bytes()
    torch.save(state, folder / "legacy", _use_new_zipfile_serialization=False)
    legacy = (folder / "legacy").read_bytes()

    def read_zip(path: Path) -> None:
        read_tensor_shapes(path)
        load_state_dict(path)
        check_checksums(path)
        read_state_dict(path)

    def read_as_network(path: Path) -> None:
        for architecture in ("demucs-v2", "tfc-tdf", "hybrid-demucs", "x-umx", "mixer", "lasaft"):
            kinds = {"format": "torch", "architecture": architecture, "path": "a.th"}
            (artefact,) = ModelsFolder(write_manifest(path.parent / "models", entry(**kinds))).artefacts
            try:
                open_network(artefact, path)
            except MdxError as error:
                refusal = error
        raise refusal

    return [
        Target("zip.th", made["zip"], read_zip, (*BYTES, in_record, in_record)),
        Target("network.th", made["zip"], read_as_network, (*BYTES, in_record, in_record)),
        Target("lightning.ckpt", made["lightning"], load_state_dict, (*BYTES, in_record)),
        Target("run.ckpt", made["run"], read_checkpoint, (*BYTES, in_record)),
        Target("legacy.pt", legacy, load_state_dict, BYTES),
    ]


def _graphs(folder: Path) -> list[Target]:
    whole = scaling_graph(np.ones((4, BINS, FRAMES), np.float32)).SerializeToString()
    beside = saved_with_companion(folder / "beside.onnx").read_bytes()
    write_spectral(folder, "vocals", random_network(64), n_fft=256, hop=64, bins=64, frames=32)

    def run(path: Path) -> None:
        engine = OnnxEngine(path, device=Device("cpu"), threads=1)
        shape = engine.shape()
        if shape.channels * shape.bins * shape.frames < 1 << 20:
            engine.run(np.ones((1, shape.channels, shape.bins, shape.frames), np.float32))

    def walk(path: Path) -> None:
        engine = FrameMajorOnnx(path, device=Device("cpu"), threads=1)
        engine.run(np.ones((1, 4, engine.shape().frames, engine.shape().bins), np.float32))

    def bring(path: Path) -> None:
        (path.parent / "weights.bin").write_bytes(bytes(4 * 4 * BINS * FRAMES))
        entries = entry(sha256=None, bytes=None, geometry={"n_fft": 64, "hop": 16})
        models = ModelsFolder(write_manifest(path.parent / "models", entries))
        models.path("mine/bass").unlink(missing_ok=True)
        fetch(models, ["mine/bass"], from_path=path, network_check=open_network)

    return [
        Target("graph.onnx", whole, run, BYTES),
        Target("beside.onnx", beside, bring, BYTES),
        Target("network.onnx", (folder / "vocals.onnx").read_bytes(), walk, BYTES),
    ]


def _archives() -> list[Target]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/bass.onnx", bytes(range(256)) * 40)
        archive.writestr("in/other.onnx", b"x", compress_type=zipfile.ZIP_LZMA)
    spool = io.BytesIO()
    np.save(spool, np.ones((50, 2), np.int16))

    def extract(path: Path) -> None:
        extract_member(path, ["in/bass.onnx", "other.onnx"], path.parent / "out", expected_bytes=None)
        extract_member(path, ["other.onnx"], path.parent / "out", expected_bytes=None)

    return [
        Target("archive.zip", buffer.getvalue(), extract, BYTES),
        Target(
            "bass.npy", spool.getvalue(), lambda path: open_stem(path, song="a", source="bass").window(0, 50), BYTES
        ),
    ]


def _documents() -> list[Target]:
    rows = {name: SongScore(dict.fromkeys((*SOURCES, "song"), 5.0)) for name in ("a", "b")}
    scores = scores_document({"mdx": rows}, dataset="d", system="s", sources=SOURCES, failed={})
    manifest = {"schema": 1, "artefacts": [entry(), entry(name="mine/drums", path="mine/drums.onnx")]}
    aicrowd = {"challenge_id": "x", "authors": ["a"], "description": "d", "external_dataset_used": False, "gpu": False}
    part = {"name": "a", "done_samples": 1, "samples": 2, "complete": False, "is_refinement": False}
    report = {"schema": 1, "complete": False, "is_as_published": False, "left_out": ["b"], "parts": [part]}
    configuration = b'track = "mdx21"\nauthors = ["me", "you"]\ndescription = "d"\nexternal_dataset_used = false\n'
    experiment = f"base = '{CONFIGS / 'kuielab-a/vocals.toml'}'\n[data]\nbatch = 4\n".encode()
    model = b"{class_path: models.xumx.X_UMX, init_args: {max_bins: 12, b: [1, 2.5]}}"
    yaml = b"model:\n  init_args:\n    model: " + model + b"\n"

    def replayed(path: Path) -> None:
        replay([path, path], rng=np.random.default_rng(0), n_resamples=2).text(tolerance_db=0.02)

    return [
        Target("manifest.json", json.dumps(manifest).encode(), lambda path: ModelsFolder(path.parent), JSON),
        Target("scores.json", json.dumps(scores).encode(), replayed, JSON),
        Target(
            "aicrowd.json",
            json.dumps(aicrowd).encode(),
            lambda path: find_schema_faults(read_aicrowd_json(path), find_track("mdx21")),
            JSON,
        ),
        Target("reports.jsonl", json.dumps(report).encode() + b"\n", _shares, TEXT),
        Target("calibration.json", b'{"schema": 2, "runs": {"a": [{"typical": 1, "high": 2}]}}', Calibration, JSON),
        Target("submission.toml", configuration, read_configuration, TEXT),
        Target("experiment.toml", experiment, lambda path: load_experiment(str(path)), TEXT, is_named=False),
        Target("config.yaml", yaml, read_settings, TEXT),
        Target("clean.csv", b"ID,Clean,Notes\na,Y,\nb,N,no\n", clean_songs, TEXT),
    ]


def _shares(path: Path) -> list[float]:
    return [report.done_share for report in read_song_reports(path)]


def mutant(target: Target, number: int, seed: int) -> bytes:
    """The damaged file of a number: the same one whenever it is asked for."""
    rng = np.random.default_rng([seed, number, sum(target.name.encode())])
    content = target.seed
    for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
        damage = target.mutations[rng.integers(len(target.mutations))]
        try:
            content = damage(content, rng)
        except (ValueError, KeyError, OSError, zipfile.BadZipFile, RecursionError, NotImplementedError):
            continue  # an earlier damage left nothing that this one could be done to
        if not content:
            return b""
    return content


def try_mutant(target: Target, folder: Path, number: int, seed: int) -> str:
    """Read one mutant; returns "read" or "refused", and raises whatever else comes of it."""
    path = folder / target.name
    path.write_bytes(mutant(target, number, seed))
    try:
        target.read(path)
    except (MdxError, EvaluationError) as error:
        if target.is_named and str(folder) not in str(error):
            raise AssertionError("the message names no file") from error
        if len(str(error)) > LONGEST_MESSAGE:
            raise AssertionError("a message without end") from error
        return "refused"
    return "read"


# ---- many of them, by hand -------------------------------------------------------------------------------------------


def _work(target: Target, first: int, n_mutants: int, seed: int, notes: Path) -> None:
    """Try mutants in this process, whose memory is bounded from now on, and note what came of each."""
    with tempfile.TemporaryDirectory() as scratch, notes.open("a", encoding="utf-8", buffering=1) as out:
        (Path(scratch) / target.name).write_bytes(target.seed)
        with contextlib.suppress(MdxError, EvaluationError):
            target.read(Path(scratch) / target.name)  # libraries are loaded before memory is bounded
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + EXTRA_BYTES, used + EXTRA_BYTES))
        for number in range(first, first + n_mutants):
            out.write(json.dumps({"begun": number}) + "\n")
            signal.alarm(SECONDS_PER_MUTANT)
            start = time.process_time()
            try:
                outcome = try_mutant(target, Path(scratch), number, seed)
            except BaseException:  # whatever it is, it is what is looked for
                outcome = traceback.format_exc()
            signal.alarm(0)
            out.write(json.dumps({"outcome": outcome, "seconds": time.process_time() - start}) + "\n")


def _try_all(target: Target, n_mutants: int, seed: int, notes: Path) -> list[str]:
    """Try mutants in children of this process; one that dies is followed by another. Returns the failures."""
    failures: list[str] = []
    counts, slowest, number = {"read": 0, "refused": 0}, 0.0, 0
    while number < n_mutants:
        notes.write_text("", encoding="utf-8")
        child = os.fork()
        if child == 0:
            _work(target, number, n_mutants - number, seed, notes)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        begun = number - 1
        for line in map(json.loads, notes.read_text(encoding="utf-8").splitlines()):
            begun = line.get("begun", begun)
            outcome = line.get("outcome")
            slowest = max(slowest, line.get("seconds", 0.0))
            if outcome in counts:
                counts[outcome] += 1
            elif outcome is not None:
                failures.append(f"{target.name} {begun}: {outcome}")
        if status:
            failures.append(f"{target.name} {begun}: the process ended with status {status}")
        number = begun + 1 if status else n_mutants
    tally = f"{counts['read']:5} read {counts['refused']:5} refused {len(failures):3} failed"
    print(f"{target.name:18} {tally}, slowest {slowest:.2f} s of CPU", flush=True)
    return failures


def main() -> int:
    """Try many mutants of every kind; 1 where anything but reading or refusing came of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=100, help="of every kind; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[])
    options = parser.parse_args()
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as made:
        for target in targets(Path(made)):
            if not options.only or target.name in options.only:
                failures += _try_all(target, options.mutants, options.seed, Path(made) / "notes.jsonl")
    print("\n\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
