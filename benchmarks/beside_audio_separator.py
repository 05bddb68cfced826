"""A public graph's geometry on one song, by this program and by audio-separator: time, memory, and the difference.

Usage: python -m benchmarks.beside_audio_separator SONG --peer PYTHON [--rounds 3]
           [--n-fft 6144 --bins 3072 --frames 256]

The graph has random weights and the size of the public ones. PYTHON is the interpreter of an environment that has
audio-separator (0.47 was tried); its MDX class is used directly, see with_audio_separator.py. Both overlap chunks by a
quarter and compute in fp32 ("auto" is this program's default). Processes run in turn, from start to written file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.processes import Measured, circumstances, interleaved, measure, table
from tests.mdx_net_reference import HOP
from tests.model_makers import passing_the_mixture, random_network, write_spectral

OURS, AUTO, PEER = "ours, fp32", "ours, auto", "audio-separator"
OVERLAP = "0.25"


def commands(options: argparse.Namespace, song: Path, graph: Path, out: Path) -> dict[str, Callable[[], Measured]]:
    """Return the compared commands by name."""

    def ours(precision: str) -> Callable[[], Measured]:
        network = ["--network", str(graph), "--target", "vocals", "--n-fft", str(options.n_fft), "--stems", "vocals"]
        place = ["-o", str(out / precision), "--precision", precision, "--bit-depth", "32f", "-q"]
        return lambda: measure([sys.executable, "-m", "my_submission", "separate", str(song), *network, *place])

    sizes = [str(options.n_fft), str(options.bins), str(options.frames.bit_length() - 1)]
    script = str(Path(__file__).with_name("with_audio_separator.py"))
    peer = [options.peer, script, str(song), str(out / PEER), str(graph), OVERLAP, *sizes]
    found = {OURS: ours("fp32"), PEER: lambda: measure(peer)}
    return {**found, AUTO: ours("auto")} if options.auto else found


def write_graph(options: argparse.Namespace, folder: Path) -> None:
    """Write a graph of random weights as ``net.onnx``."""
    network = passing_the_mixture(random_network(options.bins, depth=11, growth=options.growth))
    sizes = {"n_fft": options.n_fft, "hop": HOP, "bins": options.bins, "frames": options.frames}
    write_spectral(folder, "net", network, **sizes)


def difference(out: Path) -> str:
    """Return the ratio of our vocals to their difference from the peer's, after the gain that fits best."""
    ours, theirs = (soundfile.read(next((out / name).rglob("*.wav")), dtype="float64")[0] for name in ("fp32", PEER))
    gain = float(np.sum(ours * theirs) / np.sum(theirs**2))
    decibels = 10 * np.log10(np.sum(ours**2) / np.sum((ours - gain * theirs) ** 2))
    return f"difference of ours, fp32 from {PEER}: {decibels:.0f} dB below ours, at a gain of {1 / gain:.4f} of theirs"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song", type=Path)
    parser.add_argument("--peer", metavar="PYTHON", required=True, help="interpreter that has audio-separator")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n-fft", type=int, default=6144)
    parser.add_argument("--bins", type=int, default=3072)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--growth", type=int, default=48, help="channels of the first block; 48 gives 64 MB")
    parser.add_argument("--auto", action="store_true", help="measure this program's default precision too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own, because the largest memory of a child counts that of its parent at the start.
        maker = multiprocessing.get_context("spawn").Process(target=write_graph, args=(options, Path(folder)))
        maker.start()
        maker.join()
        graph, out = Path(folder) / "net.onnx", Path(folder) / "out"
        head = circumstances()
        results = interleaved(commands(options, options.song, graph, out), options.rounds)
        seconds = soundfile.info(options.song).duration
        megabytes = graph.stat().st_size / 1e6
        print(f"graph of {megabytes:.1f} MB, {seconds:.1f} s of audio, {options.rounds} rounds; {head}\n")
        print(f"{table(results, OURS)}\n\n{difference(out)}")


if __name__ == "__main__":
    main()
