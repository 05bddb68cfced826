"""Options of a run: device, precision, runtime, threads and batch size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from my_submission.engines import Device

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Runtime = Literal["auto", "onnx", "torch"]

CPU_BATCH_CHUNKS = 1
GPU_BATCH_CHUNKS = 8


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options that apply to every network of a system.

    Attributes:
        device: where to run.
        precision: "fp32" is the reference. "auto" is fp32 too, unless a comparison on the song shows that a faster
            arithmetic agrees with it: on a CPU with such instructions, bfloat16 for published spectral networks and
            8-bit recurrent weights for Demucs v2; on a GPU, float16 or TF32 for spectral and waveform networks.
            "bf16" and "fp16" run every network in torch, without this check.
        runtime: library of spectral networks. "auto" is onnxruntime, or torch for half precision, because a graph
            runs as it was stored.
        threads: processors for one run on the CPU; default: all that the process may use.
        batch_chunks: spectral chunks in one run; default: one on the CPU, eight on a GPU.
    """

    device: Device
    precision: Precision = "fp32"
    runtime: Runtime = "auto"
    threads: int | None = None
    batch_chunks: int | None = None

    def __post_init__(self) -> None:
        if any(count is not None and count < 1 for count in (self.threads, self.batch_chunks)):
            raise ValueError(f"threads and batch_chunks must be at least 1: {self}")
        if self.runtime == "onnx" and self.torch_precision != "fp32":
            raise ValueError(f"graphs run in fp32, not in {self.precision}; use the torch runtime")

    @property
    def torch_precision(self) -> Literal["fp32", "bf16", "fp16"]:
        """Precision of torch's networks."""
        return "fp32" if self.precision == "auto" else self.precision

    @property
    def has_checked_gpu(self) -> bool:
        """Whether networks use a faster arithmetic on a GPU if it agrees with fp32."""
        return self.precision == "auto" and self.device.kind == "cuda"

    @property
    def spectral_runtime(self) -> Literal["onnx", "torch"]:
        """Library that runs spectral networks."""
        if self.runtime != "auto":
            return self.runtime
        return "onnx" if self.torch_precision == "fp32" else "torch"

    @property
    def chunks_per_run(self) -> int:
        """Spectral chunks in one run."""
        return self.batch_chunks or (CPU_BATCH_CHUNKS if self.device.kind == "cpu" else GPU_BATCH_CHUNKS)
