"""Torch networks as engines, on the CPU or on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from my_submission.engines.base import Batch
from my_submission.engines.device_memory import give_back_cache
from my_submission.engines.devices import Device, explained
from my_submission.engines.processors import available_cpus
from my_submission.errors import DeviceError, MdxError

if TYPE_CHECKING:
    from torch import nn

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
"""Arithmetic of products: "tf32" rounds their factors to ten bits on GPUs that can, and is fp32 elsewhere."""


class TorchEngine:
    """A torch module in evaluation mode behind the engine contract.

    Args:
        network: the module; it is moved to the device and kept there.
        device: where to run.
        precision: "fp32" and "tf32" are exact and rounded products of float32, the others types of torch's autocast.
        threads: processors one run may use on the CPU; torch keeps this number for the whole process.

    Raises:
        DeviceError: this torch build cannot use the GPU that was asked for, or the weights do not fit there.
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
        where = f"CPU, {self.threads} threads" if self.device.kind == "cpu" else str(self.device)
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
            give_back_cache(self.device)
        return result

    def apply(self, tensor: Any) -> Any:
        """Run the module on a tensor that is on the device already; float32 comes out."""
        with self._arithmetic():
            return self.network(tensor).float()

    def at(self, precision: Precision) -> TorchEngine:
        """The same network, not copied, in another arithmetic."""
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
    """Whether a GPU multiplies float32 exactly or as TF32, in a with block; torch's default is TF32 in convolutions."""
    import torch

    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = not is_exact
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def _demucs(path: Path) -> nn.Module:
    from my_submission.networks.demucs import Demucs
    from my_submission.networks.state_dict import load_state_dict

    return Demucs.from_state(load_state_dict(path), where=str(path))


def _tfc_tdf(path: Path) -> nn.Module:
    if path.suffix == ".onnx":
        from my_submission.networks.tfc_tdf_graph import from_onnx

        return from_onnx(path)
    from my_submission.networks.state_dict import load_state_dict
    from my_submission.networks.tfc_tdf_weights import from_state_dict

    return from_state_dict(load_state_dict(path), where=path)


def _hybrid_demucs(path: Path) -> nn.Module:
    from my_submission.networks.aimless import open_hybrid_demucs

    return open_hybrid_demucs(path)


def _band_split_rnn(path: Path) -> nn.Module:
    from my_submission.networks.aimless import open_band_split_rnn

    return open_band_split_rnn(path)


def _x_umx(path: Path) -> nn.Module:
    from my_submission.networks.aimless import open_x_umx

    return open_x_umx(path)


def _demucs_split(path: Path) -> nn.Module:
    from my_submission.networks.aimless import open_demucs_split

    return open_demucs_split(path)


NETWORKS: dict[str, Callable[[Path], Any]] = {
    "demucs-v2": _demucs,
    "tfc-tdf": _tfc_tdf,
    "hybrid-demucs": _hybrid_demucs,
    "band-split-rnn": _band_split_rnn,
    "x-umx": _x_umx,
    "demucs-split": _demucs_split,
}
"""Manifest architecture to loader; a loader reads shapes and sizes from the file itself."""


@lru_cache(maxsize=16)
def _opened(
    path: Path, modified_ns: int, architecture: str, device: Device, precision: Precision, threads: int
) -> TorchEngine:
    return TorchEngine(NETWORKS[architecture](path), device=device, precision=precision, threads=threads)


def open_torch(
    path: Path, architecture: str, *, device: Device, precision: Precision = "fp32", threads: int | None = None
) -> TorchEngine:
    """The engine of a checkpoint: the same one for the life of the process while the file stays as it is.

    Raises:
        MdxError: no loader is known for the architecture.
        WeightsError: the checkpoint does not fit it.
    """
    if architecture not in NETWORKS:
        raise MdxError(f"no network is known for the architecture {architecture!r}", where=path)
    real = path.resolve()
    return _opened(real, real.stat().st_mtime_ns, architecture, device, precision, threads or available_cpus())
