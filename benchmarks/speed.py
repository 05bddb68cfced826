"""Time and memory of whole processes, ours and others on the same networks, as ratios.

Usage: python -m benchmarks.speed vocals|demucs|system --models-dir DIR [--seconds 60] [--rounds 5] [--output FILE.md]
           [--audio-separator PYTHON]

`demucs` compares Demucs v2 alone with the `demucs` package, which scripts/setup installs. The models folder needs
networks of the published geometry; random weights will do (tests/model_makers.py).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.memory import write_song
from benchmarks.processes import Measured, circumstances, interleaved, measure, table

OURS = "ours, fp32"
PUBLISHED = "published schedule"
LEVEL_SDR_DB = 9.0
"""SDR at which the difference of two outputs is expressed, that of the best published source."""


def commands(options: argparse.Namespace, song: Path, out: Path) -> dict[str, Callable[[], Measured]]:
    """Return the compared commands by name."""
    models = ["--models-dir", str(options.models_dir)]

    def python(*arguments: str, program: str = sys.executable) -> Callable[[], Measured]:
        return lambda: measure([program, *arguments])

    def ours(precision: str) -> Callable[[], Measured]:
        place = str(out / precision)
        if options.what != "system":
            one = ["--source", options.what, "--precision", precision]
            return python("-m", "benchmarks.one_source", str(song), place, *models, *one)
        system = ["--system", "kuielab-a", "--allow-unverified", "--bit-depth", "32f", "--precision", precision]
        return python("-m", "my_submission", "separate", str(song), "-o", place, *system, *models)

    if options.what == "demucs":
        checkpoint = str(options.models_dir / "demucs" / "demucs.th")
        other = python("-m", "benchmarks.with_demucs", str(song), str(out / "package"), checkpoint)
        return {OURS: ours("fp32"), "demucs package": other}
    scope = ["--sources", "vocals"] if options.what == "vocals" else ["--demucs"]
    found = {
        OURS: ours("fp32"),
        "ours, auto": ours("auto"),
        PUBLISHED: python("-m", "benchmarks.published_schedule", str(song), str(out / "published"), *models, *scope),
    }
    if options.audio_separator and options.what == "vocals":
        model = str(options.models_dir / "kuielab-a" / "vocals.onnx")
        for name, overlap in (("audio-separator, defaults", "0.25"), ("audio-separator, no overlap", "0.001")):
            script = str(Path(__file__).with_name("with_audio_separator.py"))
            arguments = (script, str(song), str(out / "other"), model, overlap)
            found[name] = python(*arguments, program=options.audio_separator)
    return found


def differences(out: Path) -> str:
    """Return the agreement of every stem with our fp32 path, and its effect on the SDR."""
    lines = ["| stem | against | dB from our fp32 | change of a 9 dB SDR |", "|---|---|---|---|"]
    for reference in sorted((out / "fp32").rglob("*.wav")):
        expected = soundfile.read(reference)[0]
        for other in ("auto", "published", "package"):
            found = sorted((out / other).rglob(reference.name))
            if not found:
                continue
            error = np.mean((expected - soundfile.read(found[0])[0]) ** 2) / np.mean(expected**2)
            change = 10 * np.log10(1 + error * 10 ** (LEVEL_SDR_DB / 10))
            level = -10 * np.log10(max(error, 1e-30))
            lines.append(f"| {reference.stem} | {other} | {level:.1f} | {change:.5f} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("vocals", "demucs", "system"))
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--audio-separator", metavar="PYTHON", help="the interpreter of an environment that has it")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        song, out = Path(folder) / "song.wav", Path(folder) / "out"
        write_song(song, options.seconds / 60)
        head = circumstances()
        results = interleaved(commands(options, song, out), options.rounds)
        text = "\n\n".join(
            [
                f"{options.what}, {options.seconds:g} s of audio, {options.rounds} rounds; {head}",
                table(results, OURS),
                differences(out),
            ]
        )
    print(text)
    if options.output:
        options.output.write_text(
            f"`python -m benchmarks.speed {' '.join(sys.argv[1:])}`\n\n{text}\n", encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
