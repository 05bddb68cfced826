"""Efficiency of a network: its multiply-adds per second relative to those of a matrix product.

Processor time of one thread, which other programs on the machine hardly affect. Also the share of the transforms.

Usage: python -m benchmarks.floor --models-dir DIR [--artefact kuielab-a/vocals] [--rounds 5] [--frames 128]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch

from benchmarks.processes import circumstances
from my_submission.dsp.stft import from_frames, to_frames
from my_submission.engines import Device
from my_submission.engines.frame_major import FrameMajorOnnx
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.engines.openvino_engine import OpenVinoFrames, bf16_obstacle
from my_submission.geometry import StftGeometry
from my_submission.graphs.tfc_tdf_frames import frame_major

PRODUCT_SIZE = 1024


def count_macs(content: bytes, frames: int, bins: int) -> int:
    """Return the multiply-adds of a frame-major TFC-TDF graph per item."""
    graph = onnx.load_from_string(content).graph
    for value in (graph.input[0], graph.output[0]):
        for dim, size in zip(value.type.tensor_type.shape.dim, (1, 4, frames, bins), strict=True):
            dim.dim_value = size
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
    weights = {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
    total = 0
    for node in inferred.node:
        if node.op_type == "MatMul":
            total += int(np.prod(shapes[node.output[0]])) * weights[node.input[1]][0]
        elif node.op_type == "Conv":
            total += int(np.prod(shapes[node.output[0]])) * int(np.prod(weights[node.input[1]][1:]))
        elif node.op_type == "ConvTranspose":
            total += int(np.prod(shapes[node.input[0]])) * int(np.prod(weights[node.input[1]][1:]))
    return total


def processor_seconds(work: Callable[[], object], rounds: int) -> list[float]:
    """Return the processor seconds of several runs, after a warm-up run."""
    work()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return taken


def main() -> int:
    """Measure one network and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--artefact", default="kuielab-a/vocals")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(1)
    entries = json.loads((options.models_dir / "manifest.json").read_text(encoding="utf-8"))["artefacts"]
    entry = next(one for one in entries if one["name"] == options.artefact)
    path = options.models_dir / entry["path"]
    rewritten = FrameMajorOnnx(path, device=Device("cpu"), threads=1)
    bins = rewritten.shape().bins
    stft = StftGeometry(entry["geometry"]["n_fft"], entry["geometry"]["hop"], bins)
    rng = np.random.default_rng(0)
    batch = rng.standard_normal((1, 4, options.frames, bins)).astype(np.float32)
    waves = rng.standard_normal((1, 2, stft.hop * (options.frames - 1))).astype(np.float32)
    left, right = (torch.randn(PRODUCT_SIZE, PRODUCT_SIZE) for _ in range(2))
    macs = count_macs(frame_major(path).content, options.frames, bins)
    product = statistics.median(processor_seconds(lambda: left @ right, 20))
    peak = PRODUCT_SIZE**3 / product
    stages: dict[str, Callable[[], object]] = {
        "network, frames first": lambda: rewritten.run(batch),
        "forward transform": lambda: to_frames(waves, stft),
        "inverse transform": lambda: from_frames(batch, stft),
    }
    if options.frames == rewritten.shape().frames:
        stored, swapped = OnnxEngine(path, device=Device("cpu"), threads=1), batch.swapaxes(2, 3)
        stages["network, as stored"] = lambda: stored.run(swapped)
    if bf16_obstacle() is None:
        rounded = OpenVinoFrames(path, threads=1)
        stages["network, bf16"] = lambda: rounded.run(batch)
    print(f"{options.artefact}, {options.frames} frames, one thread; {circumstances()}")
    print(
        f"\n{macs / 1e9:.1f} G multiply-adds; a product of {PRODUCT_SIZE} squared runs at {peak / 1e9:.1f} G a second\n"
    )
    print("| stage | CPU s, median (min–max) | share of the matrix-product floor |\n|---|---|---|")
    for name, work in stages.items():
        taken = processor_seconds(work, options.rounds)
        median = statistics.median(taken)
        share = f"{macs / peak / median:.0%}" if name.startswith("network") else ""
        print(f"| {name} | {median:.3f} ({min(taken):.3f}–{max(taken):.3f}) | {share} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
