"""Leaderboard A on a GPU: seconds per minute of audio, GPU memory, and efficiency.

The command writes random weights of the published geometry, then runs the whole system and the vocals network alone
with every runtime (ONNX Runtime, TensorRT if installed, torch eager and compiled), each in its own process. A runtime
that fails is a row with the error. The table is written to results/gpu.md. With ``--work DIR`` weights and measurements
are kept: the same command resumes, and repeats failed measurements. Stems are compared with those of the CPU in fp32.

Usage: python -m benchmarks.gpu [--device cuda] [--seconds 60] [--rounds 5] [--models-dir DIR] [--output FILE.md]
       python -m benchmarks.gpu --work DIR --prepare                          # weights and song only; needs no GPU
       python -m benchmarks.gpu --device cpu --geometry tiny --seconds 3      # only shows that it runs
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import soundfile
import torch

from benchmarks.floor import count_macs
from benchmarks.gpu_ways import ARITHMETIC, SYSTEM_WAYS, network_ways
from benchmarks.memory import RATE, write_song
from benchmarks.processes import circumstances
from benchmarks.random_models import GEOMETRIES, write_models
from my_submission.cli.run_reports import write_json
from my_submission.engines import Device, resolve_device
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.engines.validated_engine import agreement_db
from my_submission.errors import MdxError, UnknownNameError
from my_submission.geometry import OverlapChunking, SpectralChunking
from my_submission.graphs.demucs_shape import KERNEL, STRIDE, DemucsConfig, config_of, resample_kernels
from my_submission.graphs.tfc_tdf_frames import frame_major
from my_submission.mechanisms import WaveformRecipe
from my_submission.systems.catalogue import KUIELAB_A
from my_submission.weights import ModelsFolder, read_tensor_shapes

RESULTS = Path(__file__).with_name("results") / "gpu.md"
REFERENCE = "the processor, fp32"
WAY_SECONDS = 1800.0
"""Time limit per runtime."""


@dataclass(frozen=True)
class Work:
    """Multiply-adds of a song.

    Attributes:
        chunk: of one chunk of the vocals network.
        song: of the four networks and Demucs, as a GPU runs them: whole chunks, published overlap.
    """

    chunk: int
    song: int


@dataclass(frozen=True)
class Answers:
    """Measurements, kept in a folder.

    Attributes:
        folder: folder with one JSON file per runtime.
    """

    folder: Path

    @classmethod
    def of(cls, folder: Path, settings: dict[str, Any]) -> Answers:
        """Open the measurements of some settings.

        Raises:
            MdxError: the folder contains measurements of other settings.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "settings.json"
        if not path.exists():
            write_json(path, settings)
        if json.loads(path.read_text(encoding="utf-8")) != settings:
            raise MdxError("holds measurements of other settings or versions", where=folder, hint="name another --work")
        return cls(folder)

    def answer(self, kind: str, name: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the kept measurement, or a new one if there is none or it failed."""
        path = self.folder / f"{kind}-{slug(name)}.json"
        if path.exists():
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if "failed" not in kept:
                return kept
        print(f"{kind}: {name}", file=sys.stderr, flush=True)
        given = ask()
        write_json(path, given)
        return given


def main() -> int:
    """Run all measurements and print a table."""
    options = arguments().parse_args()
    try:
        if options.prepare:
            if options.work is None:
                raise UnknownNameError("--prepare needs a folder", hint="name one with --work")
            prepare(options, options.work)
            return 0
        if options.device == "auto":
            raise UnknownNameError("--device auto cannot be measured", hint="name cuda, cuda:N or cpu")
        device = resolve_device(options.device)
        with tempfile.TemporaryDirectory() as scratch:
            folder = options.work or Path(scratch)
            prepare(options, folder)
            text = measured(options, device, folder)
    except MdxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(text)
    output = options.output or (RESULTS if device.kind == "cuda" else None)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")
    return 0


def prepare(options: argparse.Namespace, folder: Path) -> None:
    """Write a song, and random weights unless they exist or a folder is named."""
    folder.mkdir(parents=True, exist_ok=True)
    if options.models_dir is None:
        options.models_dir = folder / f"models-{options.geometry}"
        if not options.models_dir.exists():
            print("writing random weights; at the published geometry this takes minutes", file=sys.stderr)
            unfinished = folder / "models-unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            write_models(unfinished, GEOMETRIES[options.geometry])
            unfinished.rename(options.models_dir)
    write_song(folder / "song.wav", options.seconds / 60)


def arguments() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu to try the command (default: cuda)")
    parser.add_argument("--geometry", choices=GEOMETRIES, default="published")
    parser.add_argument("--models-dir", type=Path, help="leaderboard A's weights; random ones when not given")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4, help="chunks in a run of the network alone")
    parser.add_argument("--product-size", type=int, default=8192, help="side of the matrices of the floor")
    parser.add_argument("--threads", type=int, help="on a processor")
    parser.add_argument("--only", nargs="+", metavar="WAY", help="ways to run; all when not given")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep weights and measurements here, and resume")
    parser.add_argument("--prepare", action="store_true", help="only write weights and song into --work")
    parser.add_argument("--output", type=Path)
    return parser


def measured(options: argparse.Namespace, device: Device, folder: Path) -> str:
    """Measure everything; returns Markdown."""

    def chosen(names: Sequence[str]) -> list[str]:
        return [name for name in names if options.only is None or name in options.only]

    names = ("geometry", "seconds", "rounds", "batch", "product_size", "threads")
    settings = {name: getattr(options, name) for name in names}
    settings |= {"device": card(device), "models": str(options.models_dir.resolve()), "versions": versions()}
    answers = Answers.of(folder / "answers", settings)

    def run(kind: str, name: str) -> dict[str, Any]:
        place = folder / "out" / slug(name)
        given = way_arguments(kind, name, options, device, song=folder / "song.wav", out=place)
        return answers.answer(kind, name, lambda: one_way(given))

    work = work_of(options.models_dir, round(options.seconds * RATE))
    measured_peaks = run("peak", "all")
    peaks: dict[str, dict[str, Any]] = {name: measured_peaks.get(name, measured_peaks) for name in ARITHMETIC}
    systems = {name: run("system", name) for name in chosen(list(SYSTEM_WAYS))}
    networks = {name: run("network", name) for name in chosen(list(network_ways(device)))}
    return "\n\n".join(
        [
            f"# Leaderboard A on {card(device)}",
            f"`python -m benchmarks.gpu {shlex.join(sys.argv[1:])}`: {options.geometry} geometry, "
            f"{options.seconds:g} s of audio, {options.rounds} rounds after the first, one of the processor; "
            f"{circumstances()}",
            floor_text(peaks, work),
            system_table(systems, peaks, work, options.seconds, folder / "out"),
            network_table(networks, peaks, work),
            notes_text(systems),
        ]
    )


def way_arguments(
    kind: str, name: str, options: argparse.Namespace, device: Device, *, song: Path, out: Path
) -> list[str]:
    """Return the command line of `benchmarks.gpu_ways`."""
    given = [kind, name, "--device", str(device), "--models-dir", str(options.models_dir), "--song", str(song)]
    given += ["--out", str(out), "--rounds", str(options.rounds), "--batch", str(options.batch)]
    given += ["--product-size", str(options.product_size)]
    return given if options.threads is None else [*given, "--threads", str(options.threads)]


def one_way(given: Sequence[str]) -> dict[str, Any]:
    """Return the output of a measurement in its own process, or its error under "failed"."""
    command = [sys.executable, "-m", "benchmarks.gpu_ways", *given]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAY_SECONDS)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {WAY_SECONDS:g} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0 and lines:
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return {"failed": said[-1].strip()[:200] if said else f"exit code {done.returncode}"}


def work_of(models_dir: Path, samples: int) -> Work:
    """Count the multiply-adds per song from the weight files."""
    models, total, chunk = ModelsFolder(models_dir), 0, 0
    for source in KUIELAB_A.sources:
        name = f"kuielab-a/{source}"
        path, geometry = models.path(name), models.artefact(name).geometry
        shape = OnnxEngine(path, device=Device("cpu"), threads=1).shape()
        if geometry is None:
            raise SystemExit(f"the manifest states no n_fft and hop for {name}")
        chunk = count_macs(frame_major(path).content, shape.frames, shape.bins)
        total += chunk * SpectralChunking(geometry.with_kept_bins(shape.bins), shape.frames).count(samples)
    path = models.path("demucs/demucs")
    config = config_of(read_tensor_shapes(path), str(path))
    recipe = KUIELAB_A.branches[1].recipe
    chunking = recipe.chunking if isinstance(recipe, WaveformRecipe) else None
    if not isinstance(chunking, OverlapChunking):
        raise SystemExit("Demucs is no longer applied in overlapping segments")
    for offset in chunking.offsets(samples):
        total += demucs_macs(config, config.valid_length(min(chunking.segment_samples, samples - offset)))
    return Work(chunk, total)


def demucs_macs(config: DemucsConfig, samples: int) -> int:
    """Return the multiply-adds of Demucs v2 per segment, including the resampling."""
    lengths, length = [], 2 * samples
    for _ in range(config.depth):
        length = (length - KERNEL) // STRIDE + 1
        lengths.append(length)
    up, down = (kernels.size for kernels, _ in (resample_kernels(1, 2), resample_kernels(2, 1)))
    total = samples * config.audio_channels * (up + len(config.sources) * down)
    for name, shape in config.shapes().items():
        if name.endswith(".bias") or ".bias_" in name:
            continue
        part, _, rest = name.partition(".")
        level = int(rest.split(".")[0]) if part != "lstm" else config.depth - 1
        total += int(np.prod(shape)) * lengths[level if part != "decoder" else config.depth - 1 - level]
    return total


def versions() -> str:
    """Return the versions of the libraries and the commit of this checkout."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}, {done.stdout.strip() or 'no commit'}"


def card(device: Device) -> str:
    """Return the name of the device."""
    if device.kind == "cpu":
        return f"a processor ({platform.machine()}), to try the command"
    return f"{torch.cuda.get_device_name(device.index)}, torch {torch.__version__}, CUDA {torch.version.cuda}"


def floor_text(peaks: dict[str, dict[str, Any]], work: Work) -> str:
    """Return a table of the speed of matrix products per precision."""
    rates = [
        f"{name} {peak['macs_per_second'] / 1e12:.3g} T" if "macs_per_second" in peak else f"{name}: {peak['failed']}"
        for name, peak in peaks.items()
    ]
    return (
        f"{work.song / 1e12:.3g} T multiply-adds in the song, {work.chunk / 1e9:.3g} G in a chunk of the vocals "
        f"network; square matrix products run at {', '.join(rates)} multiply-adds per second. The floor of a "
        "runtime is its multiply-adds over that rate in its arithmetic."
    )


def share_of_floor(macs: float, seconds: float, peak: dict[str, Any]) -> str:
    """Return the minimum time relative to the time taken."""
    return f"{macs / peak['macs_per_second'] / seconds:.0%}" if "macs_per_second" in peak else ""


def system_table(
    systems: dict[str, dict[str, Any]], peaks: dict[str, dict[str, Any]], work: Work, song_seconds: float, out: Path
) -> str:
    """Return the table of whole songs, from disk to disk."""
    lines = [
        "| leaderboard A, file to files | s per minute of audio (min–max) | × real time | networks alone, s "
        "| first song, s | loading, s | share of the fp32 floor | of the fp16 floor | GPU memory, peak MB "
        "| RSS, peak MB | dB from the processor, fp32 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, way in systems.items():
        if "failed" in way:
            lines.append(f"| {name} | failed: {way['failed']} |" + " |" * 9)
            continue
        minutes, seconds = song_seconds / 60, statistics.median(way["seconds"])
        fastest, slowest = min(way["seconds"]), max(way["seconds"])
        networks = statistics.median(way["network_seconds"])
        device_peak = "–" if way["peak_device_bytes"] is None else f"{way['peak_device_bytes'] / 2**20:.0f}"
        is_measured = name != REFERENCE
        shares = [
            share_of_floor(work.song, seconds, peaks[arithmetic]) if is_measured else ""
            for arithmetic in ("fp32", "fp16")
        ]
        lines.append(
            f"| {name} | {seconds / minutes:.3g} ({fastest / minutes:.3g}–{slowest / minutes:.3g}) "
            f"| {song_seconds / seconds:.1f} | {networks:.3g} | {way['first_seconds']:.3g} | {way['load_seconds']:.3g} "
            f"| {shares[0]} | {shares[1]} | {device_peak} | {way['peak_bytes'] / 2**20:.0f} | {agreement(out, name)} |"
        )
    return "\n".join(lines)


def slug(name: str) -> str:
    """Return a name as a file name."""
    return name.replace(" ", "-").replace(",", "").replace(".", "-")


def agreement(out: Path, name: str) -> str:
    """Return the minimum agreement of a stem with the reference, in dB."""
    folders = [out / slug(way) for way in (REFERENCE, name)]
    stems = sorted(folders[0].glob("*.wav"))
    if name == REFERENCE or not stems:
        return ""
    found = [[soundfile.read(folder / stem.name)[0] for folder in folders] for stem in stems]
    return f"{min(agreement_db(*pair) for pair in found):.0f}"


def network_table(networks: dict[str, dict[str, Any]], peaks: dict[str, dict[str, Any]], work: Work) -> str:
    """Return the table of the vocals network alone, fastest first."""
    lines = ["| vocals network alone | ms per chunk (min–max) | share of its arithmetic's floor |", "|---|---|---|"]
    done = {name: way for name, way in networks.items() if "seconds" in way}
    for name, way in sorted(done.items(), key=lambda pair: statistics.median(pair[1]["seconds"]) / pair[1]["chunks"]):
        each = [seconds / way["chunks"] for seconds in way["seconds"]]
        arithmetic = next(one for one in ARITHMETIC if one in name)
        share = share_of_floor(work.chunk, statistics.median(each), peaks[arithmetic])
        times = f"{1e3 * statistics.median(each):.3g} ({1e3 * min(each):.3g}–{1e3 * max(each):.3g})"
        lines.append(f"| {name} | {times} | {share} |")
    lines += [f"| {name} | failed: {way['failed']} | |" for name, way in networks.items() if "failed" in way]
    return "\n".join(lines)


def notes_text(systems: dict[str, dict[str, Any]]) -> str:
    """Return the notes of the reports on precision and batches."""
    lines = [f"* {name}: {note}" for name, way in systems.items() for note in way.get("notes", ())]
    return "\n".join(["Notes of the reports:", "", *(lines or ["nothing"])])


if __name__ == "__main__":
    sys.exit(main())
