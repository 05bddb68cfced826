"""Torch networks as engines, on the CPU or on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from my_submission.engines.base import Batch, Precision, open_once
from my_submission.engines.device_memory import release_cache
from my_submission.engines.devices import Device, explained
from my_submission.engines.processors import available_cpus
from my_submission.errors import DeviceError, MdxError
from terminal.quantities import counted

if TYPE_CHECKING:
    from torch import nn

TORCH_ARCHITECTURES = frozenset({"demucs-v2", "tfc-tdf", "hybrid-demucs", "band-split-rnn", "x-umx", "demucs-split"})
"""Architectures in the manifest that :func:`load_network` knows."""


class TorchEngine:
    """A torch module in evaluation mode as an engine.

    Args:
        network: the module; it is moved to the device.
        device: where to run.
        precision: "bf16" and "fp16" are types of torch's autocast.
        threads: processors per run on the CPU; torch keeps this number for the whole process.

    Raises:
        DeviceError: this build of torch cannot use the GPU, or the weights do not fit its memory.
    """

    def __init__(
        self, network: nn.Module, *, device: Device, precision: Precision = "fp32", threads: int | None = None
    ) -> None:
        import torch

        if device.kind == "cuda" and not torch.cuda.is_available():
            raise DeviceError(
                f"torch {torch.__version__} cannot use {device}",
                hint="install a CUDA build of torch, or use --device cpu",
            )
        self.device = device
        self.precision = precision
        self.threads = threads or available_cpus()
        with explained(device, 0):
            self.network = network.eval().requires_grad_(False).to(str(device))
        self._torch = torch

    @property
    def runs_on(self) -> str:
        """Torch's version, the device and the precision."""
        where = f"CPU, {counted(self.threads, 'thread')}" if self.device.kind == "cpu" else str(self.device)
        return f"torch {self._torch.__version__} {where}, {self.precision}"

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the module over a batch.

        Raises:
            DeviceError: the GPU has too little memory for the batch.
        """
        torch = self._torch
        if self.device.kind == "cpu" and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with explained(self.device, len(batch)), torch.inference_mode():
            moved = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32)).to(str(self.device))
            result: Batch = self.apply(moved).cpu().numpy()
        if is_last:
            release_cache(self.device)
        return result

    def apply(self, tensor: Any) -> Any:
        """Run the module on a tensor on its device, and return float32."""
        with self._arithmetic():
            return self.network(tensor).float()

    def at(self, precision: Precision) -> TorchEngine:
        """Return an engine of the same module, not copied, in another arithmetic."""
        return TorchEngine(self.network, device=self.device, precision=precision, threads=self.threads)

    def _arithmetic(self) -> contextlib.AbstractContextManager[Any]:
        if self.precision in {"fp32", "tf32"}:
            if self.device.kind == "cpu":
                return contextlib.nullcontext()
            return float32_products(is_exact=self.precision == "fp32")
        dtype = self._torch.bfloat16 if self.precision == "bf16" else self._torch.float16
        return self._torch.autocast(self.device.kind, dtype=dtype)


@contextlib.contextmanager
def float32_products(*, is_exact: bool) -> Iterator[None]:
    """Let GPUs multiply float32 exactly or as TF32 in a with block; torch's default is TF32 in convolutions."""
    import torch

    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = not is_exact
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def load_network(path: Path, architecture: str) -> nn.Module:
    """Read a network in evaluation mode, on the CPU; its sizes are read from the file.

    Raises:
        MdxError: the architecture is not one of ``TORCH_ARCHITECTURES``.
        WeightsError: the file does not fit it.
    """
    if architecture not in TORCH_ARCHITECTURES:
        hint = f"correct the architecture in manifest.json; {', '.join(sorted(TORCH_ARCHITECTURES))} have checkpoints"
        raise MdxError(f"no network is known for the architecture {architecture!r}", where=path, hint=hint)
    from my_submission.networks.loaders import LOADERS

    return LOADERS[architecture](path)


def open_torch(
    path: Path, architecture: str, *, device: Device, precision: Precision = "fp32", threads: int | None = None
) -> TorchEngine:
    """Open a checkpoint, once for the life of the process while the file is unchanged; errors as `load_network`."""
    return open_once(
        _opened,
        path,
        architecture=architecture,
        device=device,
        precision=precision,
        threads=threads or available_cpus(),
    )


def _opened(path: Path, *, architecture: str, device: Device, precision: Precision, threads: int) -> TorchEngine:
    return TorchEngine(load_network(path, architecture), device=device, precision=precision, threads=threads)
