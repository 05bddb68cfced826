"""Time and peak memory of BSSEval v4: ours, museval, mir_eval and fast-bss-eval.

    python benchmarks/bsseval.py [--seconds 60 240] [--rounds 3] [--json FILE] [--markdown FILE]

Every measurement is a process of its own that reads the same four-source stereo WAV files; programs take turns, so
that other load on the machine affects all of them. The clock starts after the imports and includes reading the
files; ratios are within one round. Peak memory is the process's own high-water mark, interpreter and libraries
included. The first length is measured with every program, the others with ours and museval once, for the growth.

The other programs: museval computes the same numbers with its defaults (this is checked here); mir_eval
``bss_eval_images_framewise`` is BSSEval v3, with filters fitted in every window of 30 s, because it has no v4;
fast-bss-eval is mono and has no ISR, so it gets the left channel as one window.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 44_100
SOURCES = ("bass", "drums", "other", "vocals")
GROWTH_PROGRAMS = ("ours", "ours (SDR only)", "museval")


def write_track(folder: Path, *, seconds: int) -> None:
    """Write four stereo sources and estimates with bleed and noise, as 16-bit WAV."""
    rng = np.random.default_rng(seconds)
    corners = (150, 3000, 1500, 2500)
    n_fft = 1 << 16
    frequency = np.fft.rfftfreq(n_fft, 1 / RATE)
    shapes = [1 / (1 + (frequency / corner) ** 2) + 1e-3 for corner in corners]
    for side in ("references", "estimates"):
        (folder / side / "song").mkdir(parents=True)
    files = {
        (side, source): soundfile.SoundFile(folder / side / "song" / f"{source}.wav", "w", RATE, 2, subtype="PCM_16")
        for side in ("references", "estimates")
        for source in SOURCES
    }
    remaining = seconds * RATE
    while remaining > 0:
        noise = np.fft.rfft(rng.standard_normal((len(SOURCES), 2, n_fft)))
        stems = np.fft.irfft(noise * np.stack(shapes)[:, None], n_fft)[..., : min(n_fft, remaining)]
        stems *= 0.08 / stems.std(axis=(1, 2), keepdims=True)
        bled = 0.85 * stems + 0.06 * stems.sum(axis=0) + 0.003 * rng.standard_normal(stems.shape)
        for index, source in enumerate(SOURCES):
            files["references", source].write(stems[index].T)
            files["estimates", source].write(bled[index].T)
        remaining -= stems.shape[2]
    for file in files.values():
        file.close()


def read_all(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read references and estimates as (sources, samples, channels)."""
    sides = [
        [soundfile.read(folder / side / "song" / f"{s}.wav")[0] for s in SOURCES]
        for side in ("references", "estimates")
    ]
    return np.stack(sides[0]), np.stack(sides[1])


def run_ours(folder: Path, *, sdr_only: bool = False) -> np.ndarray:
    from evaluator.audio import FileStem
    from evaluator.bsseval import bsseval_v4
    from evaluator.pairs import StemPair

    sides = [
        {s: FileStem(folder / side / "song" / f"{s}.wav") for s in SOURCES} for side in ("references", "estimates")
    ]
    pair = StemPair.open(sides[0], sides[1], SOURCES)
    return bsseval_v4(pair, window_samples=RATE, sdr_only=sdr_only).frames


def run_museval(folder: Path) -> np.ndarray:
    import museval

    return np.stack(museval.evaluate(*read_all(folder), win=RATE, hop=RATE))


def run_mir_eval(folder: Path) -> np.ndarray:
    from mir_eval.separation import bss_eval_images_framewise

    return np.stack(bss_eval_images_framewise(*read_all(folder))[:4])


def run_fast_bss_eval(folder: Path) -> np.ndarray:
    import fast_bss_eval

    references, estimates = read_all(folder)
    # without permutation it fails on numpy 2 (a change in numpy.linalg.solve)
    sdr, sir, sar, _ = fast_bss_eval.bss_eval_sources(
        np.ascontiguousarray(references[..., 0]), np.ascontiguousarray(estimates[..., 0]), compute_permutation=True
    )
    return np.stack((sdr, np.full_like(sdr, np.nan), sir, sar))[..., None]


PROGRAMS: dict[str, Callable[[Path], np.ndarray]] = {
    "ours": run_ours,
    "ours (SDR only)": lambda folder: run_ours(folder, sdr_only=True),
    "museval": run_museval,
    "mir_eval (v3, 30-s windows)": run_mir_eval,
    "fast-bss-eval (mono, no ISR)": run_fast_bss_eval,
}


MODULES = {
    "ours": ("evaluator.audio", "evaluator.bsseval", "scipy.fft", "scipy.linalg"),
    "ours (SDR only)": ("evaluator.audio", "evaluator.bsseval"),
    "museval": ("museval",),
    "mir_eval (v3, 30-s windows)": ("mir_eval.separation",),
    "fast-bss-eval (mono, no ISR)": ("fast_bss_eval",),
}
"""Modules imported before the time is measured."""


def measure_here(program: str, folder: Path, output: Path) -> None:
    """Run one program in this process; writes scores, seconds and peak memory to ``output`` (.npz)."""
    warnings.simplefilter("ignore")
    for module in MODULES[program]:
        importlib.import_module(module)
    started = time.perf_counter()
    with np.errstate(all="ignore"):
        frames = PROGRAMS[program](folder)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    np.savez(output, frames=frames, seconds=seconds, peak=peak)


def measure(program: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """Run one program in its own process; returns seconds, peak bytes and scores, or its error."""
    output = scratch / "result.npz"
    command = [sys.executable, __file__, "--measure", program, str(folder), str(output)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        return {"error": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}
    with np.load(output) as result:
        return {"seconds": float(result["seconds"]), "peak": float(result["peak"]), "frames": result["frames"]}


def run_rounds(folder: Path, programs: Sequence[str], *, rounds: int, scratch: Path) -> dict[str, list[dict[str, Any]]]:
    """Run programs in turn; one that failed is not repeated."""
    runs: dict[str, list[dict[str, Any]]] = {program: [] for program in programs}
    for number in range(rounds):
        for program in programs:
            if runs[program] and "error" in runs[program][0]:
                continue
            runs[program].append(measure(program, folder, scratch))
            last = runs[program][-1]
            told = last.get("error") or f"{last['seconds']:.2f} s, {last['peak'] / 1e6:.0f} MB"
            print(f"round {number + 1}/{rounds}  {program}: {told}", file=sys.stderr, flush=True)
    return runs


def summarise(runs: dict[str, list[dict[str, Any]]], *, seconds: int) -> list[dict[str, Any]]:
    """Return one row per program: min, median, max, and ratios to ours of the same round."""
    ours = runs["ours"]
    rows = []
    for program, results in runs.items():
        if "error" in results[0]:
            rows.append({"program": program, "track_seconds": seconds, "error": results[0]["error"]})
            continue
        row: dict[str, Any] = {"program": program, "track_seconds": seconds, "rounds": len(results)}
        for key in ("seconds", "peak"):
            values = [result[key] for result in results]
            ratios = [result[key] / mine[key] for result, mine in zip(results, ours, strict=False)]
            row[key] = [float(f(values)) for f in (np.min, np.median, np.max)]
            row[f"{key}_over_ours"] = [float(f(ratios)) for f in (np.min, np.median, np.max)]
        if program == "museval":
            row["largest_difference_db"] = float(np.nanmax(np.abs(results[0]["frames"] - ours[0]["frames"])))
            row["same_nan"] = bool((np.isnan(results[0]["frames"]) == np.isnan(ours[0]["frames"])).all())
        rows.append(row)
    return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table, with min / median / max per cell."""
    lines = [
        "| track | program | seconds | × ours | peak MB | × ours |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        head = f"| {row['track_seconds']} s | {row['program']} |"
        if "error" in row:
            lines.append(f"{head} does not run: {row['error'][:90]} | | | |")
            continue
        cells = [
            " / ".join(f"{value:.2f}" for value in row["seconds"]),
            " / ".join(f"{value:.2f}" for value in row["seconds_over_ours"]),
            " / ".join(f"{value / 1e6:.0f}" for value in row["peak"]),
            " / ".join(f"{value:.2f}" for value in row["peak_over_ours"]),
        ]
        lines.append(f"{head} {' | '.join(cells)} |")
    for row in rows:
        if "largest_difference_db" in row:
            lines.append(
                f"\nLargest difference of ours to museval on the {row['track_seconds']}-s track, "
                f"all ratios and frames: {row['largest_difference_db']:.1e} dB; same NaN: {row['same_nan']}."
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, nargs="+", default=[60, 240], help="lengths of the track")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        program, folder, output = options.measure
        measure_here(program, Path(folder), Path(output))
        return 0
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for index, seconds in enumerate(options.seconds):
            folder = Path(scratch) / f"track{seconds}"
            write_track(folder, seconds=seconds)
            programs, rounds = (tuple(PROGRAMS), options.rounds) if index == 0 else (GROWTH_PROGRAMS, 1)
            rows += summarise(run_rounds(folder, programs, rounds=rounds, scratch=Path(scratch)), seconds=seconds)
    table = markdown(rows)
    print(table)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(table, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
