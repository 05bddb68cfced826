"""One measurement of leaderboard A, or of its vocals network, on a device, printed as JSON.

`benchmarks.gpu` runs each in its own process and makes a table of the results.

Usage: python -m benchmarks.gpu_ways system|network|peak WAY|all --device DEVICE --models-dir DIR
           [--song FILE --out DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from my_submission.audio_io import WAV_FLOAT
from my_submission.engines import Device, parse_device
from my_submission.engines.cuda_libraries import load_cuda_libraries
from my_submission.engines.onnx_engine import OnnxEngine, cuda_options
from my_submission.engines.torch_engine import Precision, TorchEngine, float32_products
from my_submission.graphs.half_precision import half_precision
from my_submission.graphs.tfc_tdf_walk import load_model
from my_submission.networks.tfc_tdf_weights import from_onnx
from my_submission.predictor import load

SYSTEM_WAYS: dict[str, dict[str, Any]] = {
    "the processor, fp32": {"precision": "fp32", "device": "cpu"},
    "ours, auto": {"precision": "auto"},
    "ours, fp32": {"precision": "fp32"},
    "ours, auto, one chunk a run": {"precision": "auto", "batch_chunks": 1},
    "torch throughout, fp32": {"precision": "fp32", "runtime": "torch"},
    "torch throughout, auto": {"precision": "auto", "runtime": "torch"},
}
"""Arguments of `my_submission.load` per name."""

ARITHMETIC: tuple[Precision, ...] = ("fp32", "tf32", "fp16")

ORT_VARIANTS: dict[str, dict[str, str]] = {
    "": {},
    ", heuristic search": {"cudnn_conv_algo_search": "HEURISTIC"},
    ", NHWC": {"prefer_nhwc": "1"},
    ", fused bias": {"fuse_conv_bias": "1"},
    ", CUDA graph": {"enable_cuda_graph": "1"},
}
"""Options of ONNX Runtime's CUDA provider, in addition to ours."""

Run = Callable[[], torch.Tensor]


def system(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Separate songs from disk to disk; the first one includes one-time costs."""
    began = time.perf_counter()
    settings = {"device": options.device, "threads": options.threads, **SYSTEM_WAYS[name]}
    predictor = load("kuielab-a", models_dir=options.models_dir, allow_unverified=True, **settings)
    load_seconds = time.perf_counter() - began
    rounds = options.rounds if settings["device"] == options.device else 1  # the reference is not what is measured
    reports = [predictor.separate_file(options.song, options.out, audio_format=WAV_FLOAT) for _ in range(1 + rounds)]
    peaks = [report.peak_device_memory_bytes for report in reports if report.peak_device_memory_bytes is not None]
    return {
        "load_seconds": load_seconds,
        "first_seconds": reports[0].seconds,
        "seconds": [report.seconds for report in reports[1:]],
        "network_seconds": [sum(part.seconds for part in report.parts) for report in reports[1:]],
        "peak_device_bytes": max(peaks, default=None),
        "peak_bytes": reports[-1].peak_memory_bytes,
        "notes": list(reports[-1].notes),
    }


def network(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run the vocals network alone on spectra on the device."""
    device = device_of(options)
    path = options.models_dir / "kuielab-a" / "vocals.onnx"
    shape = OnnxEngine(path, device=Device("cpu"), threads=1).shape()
    spectra = torch.randn(options.batch, shape.channels, shape.bins, shape.frames, device=str(device))
    run = network_ways(device)[name](path, spectra)
    return {"seconds": timed(run, device, options.rounds), "chunks": options.batch}


def network_ways(device: Device) -> dict[str, Callable[[Path, torch.Tensor], Run]]:
    """Return the runtimes of the network on a device, each with a function that opens it for one batch."""
    ways: dict[str, Callable[[Path, torch.Tensor], Run]] = {}
    for precision in ARITHMETIC:
        for suffix, extra in ORT_VARIANTS.items() if device.kind == "cuda" else [("", {})]:
            ways[f"onnxruntime, {precision}{suffix}"] = _onnxruntime(device, precision, extra)
        ways[f"torch eager, {precision}"] = _eager(device, precision)
        if device.kind == "cuda":
            ways[f"torch eager, {precision}, cuDNN tries its algorithms"] = _eager(device, precision, is_tuned=True)
        ways[f"torch.compile, {precision}"] = _compiled(device, precision)
        if device.kind == "cuda":
            ways[f"TensorRT, {precision}"] = _tensorrt(device, precision)
    return ways


def _onnxruntime(device: Device, precision: Precision, extra: dict[str, str]) -> Callable[[Path, torch.Tensor], Run]:
    def opened(path: Path, spectra: torch.Tensor) -> Run:
        provider: Any = "CPUExecutionProvider"
        if device.kind == "cuda":
            settings = cuda_options(device, has_tf32=precision != "fp32")
            provider = ("CUDAExecutionProvider", {**settings, **extra})
        return _bound(path, precision == "fp16", [provider], device, spectra)

    return opened


def _tensorrt(device: Device, precision: Precision) -> Callable[[Path, torch.Tensor], Run]:
    def opened(path: Path, spectra: torch.Tensor) -> Run:
        settings = {"device_id": str(device.index), "trt_fp16_enable": str(precision == "fp16")}
        providers = [
            ("TensorrtExecutionProvider", settings),
            ("CUDAExecutionProvider", cuda_options(device, has_tf32=precision != "fp32")),
        ]
        return _bound(path, False, providers, device, spectra)

    return opened


def _bound(path: Path, is_half: bool, providers: list[Any], device: Device, spectra: torch.Tensor) -> Run:
    """Open a session bound to the memory of two tensors, without the settings of our own class."""
    import onnxruntime

    if device.kind == "cuda":
        load_cuda_libraries(onnxruntime)
    model = half_precision(load_model(path), path).SerializeToString() if is_half else str(path)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model, settings, providers=providers)
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if wanted not in session.get_providers():
        raise SystemExit(f"onnxruntime does not give {wanted}")
    binding, mapped = session.io_binding(), torch.empty_like(spectra)
    ends = (
        (binding.bind_input, session.get_inputs()[0].name, spectra),
        (binding.bind_output, session.get_outputs()[0].name, mapped),
    )
    for bind, name, tensor in ends:
        bind(name, device.kind, device.index, np.float32, tuple(tensor.shape), tensor.data_ptr())

    def run() -> torch.Tensor:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return mapped  # the session knows its address only

    return run


def _eager(device: Device, precision: Precision, *, is_tuned: bool = False) -> Callable[[Path, torch.Tensor], Run]:
    def opened(path: Path, spectra: torch.Tensor) -> Run:
        torch.backends.cudnn.benchmark = is_tuned  # this process runs nothing else
        engine = TorchEngine(from_onnx(path), device=device, precision=precision)
        return lambda: engine.apply(spectra)

    return opened


def _compiled(device: Device, precision: Precision) -> Callable[[Path, torch.Tensor], Run]:
    def opened(path: Path, spectra: torch.Tensor) -> Run:
        engine = TorchEngine(from_onnx(path), device=device, precision=precision)
        engine.network = torch.compile(engine.network)  # type: ignore[assignment]
        return lambda: engine.apply(spectra)

    return opened


def peak(_: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the multiply-adds per second of a square matrix product per precision."""
    device, size = device_of(options), options.product_size
    found = {}
    for precision in ARITHMETIC:
        dtype = torch.float16 if precision == "fp16" else torch.float32
        left, right = (torch.randn(size, size, device=str(device), dtype=dtype) for _ in range(2))
        with float32_products(is_exact=precision == "fp32"):
            seconds = timed(partial(torch.matmul, left, right), device, max(20, options.rounds))
        found[precision] = {"macs_per_second": size**3 / min(seconds)}
    return found


def timed(run: Callable[[], object], device: Device, rounds: int) -> list[float]:
    """Return the seconds of several synchronised runs, after two warm-up runs."""
    seconds = []
    with torch.inference_mode():
        for number in range(2 + rounds):
            began = time.perf_counter()
            run()
            if device.kind == "cuda":
                torch.cuda.synchronize(device.index)
            if number >= 2:
                seconds.append(time.perf_counter() - began)
    return seconds


def device_of(options: argparse.Namespace) -> Device:
    """Return the device by name; `benchmarks.gpu` has checked that it exists."""
    device = parse_device(options.device)
    if device is None:
        raise SystemExit("name the device: cpu, cuda or cuda:N")
    return device


KINDS: dict[str, Callable[[str, argparse.Namespace], dict[str, Any]]] = {
    "system": system,
    "network": network,
    "peak": peak,
}


def answer(given: Sequence[str]) -> dict[str, Any]:
    """Run the measurement named in the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("way")
    parser.add_argument("--device", required=True)
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--song", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--product-size", type=int, default=8192)
    options = parser.parse_args(given)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.way == "TensorRT, fp32":
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # TensorRT has no option for it
    return KINDS[options.kind](options.way, options)


def main() -> int:
    """Run one measurement and print it as the last line, in JSON."""
    print("\n" + json.dumps(answer(sys.argv[1:])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
