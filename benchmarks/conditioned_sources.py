"""Processor time of one, two and four sources of a conditioned network, measured in turn.

Usage: python -m benchmarks.conditioned_sources [--config v2-light] [--frames 128] [--rounds 5]
The network has the published size and random weights and runs as a graph on one thread, one chunk at a time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from my_submission.engines import Device
from my_submission.engines.conditioned_onnx import ConditionedOnnx
from my_submission.networks.lasaft import ConditionedNet
from training.export.conditioned import export_conditioned
from training.modules.registry import load_experiment


def main() -> int:
    """Measure one, two and four sources in turn and print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="v2-light", help="of training/configs/lasaft")
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    experiment = load_experiment(f"lasaft/{options.config}")
    network = ConditionedNet(experiment.network.framework(experiment)).eval()  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        export_conditioned(
            network, path, hop=experiment.transform.hop, frames=options.frames, architecture=experiment.network.kind
        )
        graph = ConditionedOnnx(path, device=Device("cpu"), threads=1)
    bins = network.config.network.bins
    spectra = np.random.default_rng(0).standard_normal((1, 4, options.frames, bins)).astype(np.float32)
    seconds: dict[int, list[float]] = {1: [], 2: [], 4: []}
    for turn in range(options.rounds + 1):
        for n_sources, measured in seconds.items():
            began = time.process_time()
            graph.run_for(range(n_sources), spectra)
            if turn:  # the first one also allocates
                measured.append(time.process_time() - began)
    for n_sources, measured in seconds.items():
        ratios = [several / one for several, one in zip(measured, seconds[1], strict=True)]
        print(
            f"{options.config}, {n_sources} source(s): {statistics.median(measured):.3f} s, "
            f"x one: {statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
