"""Deadlines beside a busy process: is any run late, is time wasted, does more time give better stems?

Four small TFC-TDF networks, a Mixer and a small Demucs v2 of random weights stand for system A; ``--system`` takes one
with its real weights instead, and ``--song`` a real song. In every round the full plan is timed without a limit; then
the song is separated, from file to files, at several shares of that time. The SDR is taken against the output of the
full plan (the cost of a deadline) and against the full plan with every refinement (the gain of left-over time).

    python -m benchmarks.deadlines --rounds 10
    python -m benchmarks.deadlines --rounds 5 --system starter-plus --song song.wav
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import torch

from my_submission.audio_io import WAV_FLOAT
from my_submission.engines import Device
from my_submission.engines.processors import available_cpus
from my_submission.geometry import SAMPLE_RATE, OverlapChunking
from my_submission.mechanisms import RunOptions, WaveformRecipe
from my_submission.planning import Calibration
from my_submission.predictor import Predictor, SeparationReport
from my_submission.stems import MUSIC_SOURCES
from my_submission.systems import BranchRecipe, SystemRecipe, find_system, load_system
from my_submission.systems.catalogue import KUIELAB_A
from my_submission.weights import ModelsFolder
from tests.model_makers import random_demucs, random_mixer, random_network, write_manifest, write_spectral, write_torch

SHARES = (0.25, 0.5, 0.75, 1.0, 1.5, 3.0)
N_FFT = {"bass": 4096, "drums": 1024, "other": 2048, "vocals": 1536}
SHAPE = {"hop": 512, "bins": 256, "frames": 128}
SEGMENT_SECONDS = 6
EARLY_SHARE = 0.85

BUSY = (
    "import os\nimport numpy as np\na, parent = np.ones((400, 400)), os.getppid()\nwhile os.getppid() == parent: a @ a"
)
"""A busy loop that ends with the benchmark, even if that is killed."""


@dataclass
class BudgetedRun:
    """One run at one share of the time."""

    seconds: float
    budget: float
    sdr_full: float
    sdr_refined: float
    is_refined_out: bool
    largest_step: float
    plan: str

    @property
    def is_late(self) -> bool:
        return self.seconds > self.budget

    @property
    def is_early(self) -> bool:
        return self.seconds < EARLY_SHARE * self.budget and not self.is_refined_out


@dataclass
class Rig:
    """The system, the song, and what its stems should be."""

    predictor: Predictor
    song: Path
    out: Path
    n_refinements: int = 0
    full: dict[str, np.ndarray] = field(default_factory=dict)
    refined: dict[str, np.ndarray] = field(default_factory=dict)
    largest_step: float = 0.0

    def run(self, **limits: object) -> tuple[SeparationReport, float, dict[str, np.ndarray]]:
        """Separate the song once; the report, the seconds by a clock outside, and the stems."""
        began = time.monotonic()
        report = self.predictor.separate_file(self.song, self.out, **limits)  # type: ignore[arg-type]
        seconds = time.monotonic() - began
        stems = {source: soundfile.read(self.out / f"{source}.wav", dtype="float32")[0] for source in MUSIC_SOURCES}
        return report, seconds, stems


def write_song(path: Path, seconds: float) -> None:
    """Noise whose loudness and colour change every few seconds."""
    rng = np.random.default_rng(4)
    n = int(seconds * SAMPLE_RATE)
    noise = rng.standard_normal((n, 2))
    smooth = np.cumsum(noise, axis=0)
    smooth -= np.linspace(smooth[0], smooth[-1], n)
    smooth /= smooth.std()
    loudness = np.interp(np.arange(n), np.linspace(0, n, 12), rng.uniform(0.2, 1.0, 12))
    soundfile.write(path, (0.1 * (smooth + noise) * loudness[:, None]).astype(np.float32), SAMPLE_RATE, subtype="FLOAT")


def build(folder: Path, *, growth: int, channels: int, song_seconds: float) -> Rig:
    """Write models and song, open the system."""
    recipe = _with_segment(KUIELAB_A)
    entries = []
    for seed, source in enumerate(MUSIC_SOURCES):
        network = random_network(SHAPE["bins"], growth=growth, seed=seed)
        entries.append(write_spectral(folder, f"kuielab-a/{source}", network, n_fft=N_FFT[source], **SHAPE))
    mixer = {"linear.weight": torch.from_numpy(random_mixer())}
    entries.append(write_torch(folder, "kuielab-a/mixer", mixer, "mixer", suffix="ckpt"))
    entries.append(write_torch(folder, "demucs/demucs", random_demucs(channels).state_dict(), "demucs-v2"))
    write_manifest(folder, entries)
    song = folder / "song.wav"
    write_song(song, song_seconds)
    system = load_system(
        recipe, ModelsFolder(folder), RunOptions(device=Device("cpu"), threads=1), allow_unverified=True
    )
    predictor = Predictor(system, calibration=Calibration(folder / "calibration.json"))
    return Rig(predictor, song, folder / "out")


def build_real(folder: Path, name: str, song: Path) -> Rig:
    """Open a system of the catalogue with the weights of this checkout."""
    options = RunOptions(device=Device("cpu"), threads=available_cpus())
    system = load_system(find_system(name), ModelsFolder(), options)
    predictor = Predictor(system, calibration=Calibration(folder / "calibration.json"))
    return Rig(predictor, song, folder / "out")


def _with_segment(system: SystemRecipe) -> SystemRecipe:
    networks, demucs = system.branches
    assert isinstance(demucs.recipe, WaveformRecipe)
    shorter = replace(demucs.recipe, chunking=OverlapChunking(SEGMENT_SECONDS * SAMPLE_RATE, 0.5))
    return replace(system, branches=(networks, BranchRecipe(demucs.name, shorter, demucs.shares)), fallback=None)


def sdr_db(reference: dict[str, np.ndarray], stems: dict[str, np.ndarray]) -> float:
    """Mean over the sources of the global signal-to-distortion ratio, at most 120 dB."""
    values = []
    for source, stem in reference.items():
        target = stem.astype(np.float64)
        error = np.sum((target - stems[source]) ** 2)
        values.append(min(120.0, 10 * np.log10((np.sum(target**2) + 1e-7) / (error + 1e-7))))
    return float(np.mean(values))


def largest_step(stems: dict[str, np.ndarray]) -> float:
    """The largest jump between neighbouring samples."""
    return max(float(np.abs(np.diff(stem, axis=0)).max()) for stem in stems.values())


def one_round(rig: Rig, outcomes: dict[float, list[BudgetedRun]], shares: tuple[float, ...]) -> float:
    """Time the full plan, then run at every share of that time."""
    report, full_seconds, stems = rig.run()
    print(f"full plan: {full_seconds:.1f} s, writing etc. {report.writing_seconds:.1f} s", flush=True)
    if not rig.full:
        rig.full = stems
        refined, _, rig.refined = rig.run(refine=True)
        rig.n_refinements = sum(part.is_refinement for part in refined.parts)
        rig.largest_step = largest_step({"mixture": soundfile.read(rig.song)[0]}) + _step_of_parts(rig)
    for share in shares:
        budget = share * full_seconds
        report, seconds, stems = rig.run(budget_seconds=budget)
        for source, stem in stems.items():
            if stem.shape != rig.full[source].shape or not np.isfinite(stem).all():
                raise SystemExit(f"{source} is not complete at {share} of the full time")
        refinements = [part for part in report.parts if part.is_refinement]
        outcome = BudgetedRun(
            seconds,
            budget,
            sdr_db(rig.full, stems),
            sdr_db(rig.refined, stems),
            report.is_as_published
            and len(refinements) == rig.n_refinements
            and all(p.is_complete for p in refinements),
            largest_step(stems),
            report.plan,
        )
        outcomes[share].append(outcome)
        print(
            f"{share:5.2f} x {full_seconds:5.1f} s: {seconds / budget:6.1%} of the time, {outcome.sdr_full:6.1f} dB "
            f"to the full plan, {outcome.sdr_refined:6.1f} dB to the refined one, step {outcome.largest_step:.3f}, "
            f"planned: {report.plan}",
            flush=True,
        )
    return full_seconds


def _step_of_parts(rig: Rig) -> float:
    """Sum of the largest jumps of every branch alone; no blend of them may have a larger jump."""
    whole = rig.predictor.system
    total = 0.0
    for branch, recipe in zip(whole.branches, whole.recipe.branches, strict=True):
        sources = branch.mechanism.sources
        shares = dict.fromkeys(sources, 1.0)
        branches = (replace(recipe, shares=shares, minus=()),)
        alone = replace(whole.recipe, sources=sources, branches=branches, wiener=None, fallback=None)
        only = Predictor(replace(whole, recipe=alone, branches=(replace(branch, shares=shares, minus=()),)))
        only.separate_file(rig.song, rig.out, audio_format=WAV_FLOAT)
        total += largest_step({name: soundfile.read(rig.out / f"{name}.wav")[0] for name in sources})
    return total


def print_table(rig: Rig, outcomes: dict[float, list[BudgetedRun]], full: list[float]) -> None:
    """The result as Markdown."""
    spread = f"{min(full):.1f} / {median(full):.1f} / {max(full):.1f} s"
    print(f"\nfull plan, reading and writing included, min / median / max: {spread}")
    print(f"largest steps of the mixture, every branch, added: {rig.largest_step:.3f}\n")
    print(
        "| budget / full | runs | late | early | share of the time used, min / median / max | SDR to the full plan | "
        "SDR to the refined one | largest step |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for share, runs in outcomes.items():
        used = sorted(run.seconds / run.budget for run in runs)
        print(
            f"| {share:g} | {len(runs)} | {sum(run.is_late for run in runs)} | {sum(run.is_early for run in runs)} "
            f"| {used[0]:.1%} / {median(used):.1%} / {used[-1]:.1%} | {median(run.sdr_full for run in runs):.1f} dB "
            f"| {median(run.sdr_refined for run in runs):.1f} dB | {max(run.largest_step for run in runs):.3f} |"
        )


def _rig(folder: Path, options: argparse.Namespace) -> Rig:
    if options.system is None:
        return build(folder, growth=options.growth, channels=options.channels, song_seconds=options.song_seconds)
    song = options.song
    if song is None:
        song = folder / "song.wav"
        write_song(song, options.song_seconds)
    return build_real(folder, options.system, song)


def main() -> int:
    """Run all rounds beside a busy process; 1 when a run was late."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--song-seconds", type=float, default=20.0)
    parser.add_argument("--growth", type=int, default=4, help="width of the spectral networks")
    parser.add_argument("--channels", type=int, default=4, help="width of Demucs")
    parser.add_argument("--system", help="a system of the catalogue, with the weights of this checkout")
    parser.add_argument("--song", type=Path, help="with --system: the song; noise of --song-seconds when not given")
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    outcomes: dict[float, list[BudgetedRun]] = defaultdict(list)
    full: list[float] = []
    busy = subprocess.Popen([sys.executable, "-c", BUSY], env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    try:
        with tempfile.TemporaryDirectory() as folder:
            rig = _rig(Path(folder), options)
            try:
                for _ in range(options.rounds):
                    full.append(one_round(rig, outcomes, tuple(options.shares)))
            except KeyboardInterrupt:
                print("\nstopped early")
            print_table(rig, outcomes, full or [0.0])
    finally:
        busy.kill()
        busy.wait()
    return int(any(run.is_late for runs in outcomes.values() for run in runs))


if __name__ == "__main__":
    sys.exit(main())
