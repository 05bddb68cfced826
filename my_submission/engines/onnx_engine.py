"""ONNX graphs on onnxruntime: one session per file and device for the life of the process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from my_submission.engines.base import Batch, Precision, open_once
from my_submission.engines.cuda_libraries import load_cuda_libraries
from my_submission.engines.device_memory import is_memory_released
from my_submission.engines.devices import Device, explained
from my_submission.engines.processors import available_cpus
from my_submission.engines.runtimes import import_onnxruntime, runtime_state
from my_submission.errors import DeviceError, DeviceMemoryError, MdxError, WeightsError
from my_submission.graphs.half_precision import half_precision
from my_submission.graphs.tfc_tdf_walk import load_model
from my_submission.weights.onnx_layout import check_graph_file
from terminal.quantities import counted

logger = logging.getLogger(__name__)

_GRAPH_HINT = "export it with one float32 input (batch, channels, bins, frames), only the batch dynamic"

_TYPE_HINT = "export it with inputs and outputs in float32; the weights in it may be of any type"

_NEWER_THAN_RUNTIME = ("unsupported model ir version", "under development", "official support for domain")
"""Phrases of onnxruntime's errors about graphs for a newer version."""


@dataclass(frozen=True)
class GraphShape:
    """Shape and metadata of a spectral graph.

    Attributes:
        channels: real and imaginary parts of every audio channel, 4 for stereo.
        bins: frequency bins of the network.
        frames: time frames of one chunk.
        metadata: key-value pairs in the file, sorted.
    """

    channels: int
    bins: int
    frames: int
    metadata: tuple[tuple[str, str], ...] = ()


class OnnxGraph:
    """A graph in a session of its own; subclasses define its inputs and outputs. Use :meth:`open`.

    Args:
        path: the ONNX file.
        device: where to run; a CUDA device is never replaced by the CPU.
        threads: processors per run on the CPU.
        precision: "tf32" and "fp16" are for GPUs; a processor computes both in fp32, "fp16" on rounded numbers. Except
            in "fp32", the output need not be finite: a faster arithmetic may overflow, which its caller checks.
        model: rewritten graph of the file; the file itself by default.

    Raises:
        WeightsError: the file is not an ONNX graph, cannot be converted, or has other inputs and outputs.
        DeviceError: onnxruntime cannot use the device.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: Device,
        threads: int,
        precision: Precision = "fp32",
        model: bytes | None = None,
    ) -> None:
        onnxruntime = import_onnxruntime()
        check_graph_file(path)
        self.path = path
        self.device = device
        self.threads = threads
        self.precision = precision
        self._runtime = onnxruntime
        if precision == "fp16":
            model = half_precision(load_model(path), path).SerializeToString()
        # For fp16 too: without TF32, onnxruntime keeps convolutions of any type away from tensor cores.
        has_tf32 = precision != "fp32"
        self._session = open_session(
            onnxruntime, model or str(path), device=device, threads=threads, where=path, has_tf32=has_tf32
        )
        self._check_signature()

    @classmethod
    def open(cls, path: Path, *, device: Device, threads: int | None = None) -> Self:
        """Open a file once for the life of the process, while it is unchanged; all processors by default."""
        return open_once(cls, path, device=device, threads=threads or available_cpus())

    def _check_signature(self) -> None:
        """Raise a WeightsError if the graph has other inputs and outputs than the class expects."""
        raise NotImplementedError

    @property
    def runs_on(self) -> str:
        """onnxruntime's version and provider, threads or device, and the arithmetic if it is not fp32."""
        provider = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        where = counted(self.threads, "thread") if self.device.kind == "cpu" else str(self.device)
        arithmetic = "" if self.precision == "fp32" else f", {self.precision}"
        return f"onnxruntime {self._runtime.__version__} {provider}, {where}{arithmetic}"

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple(sorted(self._session.get_modelmeta().custom_metadata_map.items()))

    def _fetch(self, output: str, feeds: Mapping[str, npt.NDArray[Any]], *, n_items: int, is_last: bool) -> Batch:
        """Return one output of the graph for a batch of ``n_items``."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        try:
            with self._explained(n_items):
                fetched: Batch = self._session.run([output], contiguous, self._options(is_last=is_last))[0]
        except MdxError:
            raise
        except Exception as error:  # onnxruntime's types have no common public base
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            problem = f"onnxruntime cannot run this graph ({' '.join(str(error).split())[:300]})"
            raise WeightsError(problem, where=self.path, hint="fetch it again, or check it with `verify`") from error
        if self.precision == "fp32" and not is_finite(fetched):
            problem = "the graph outputs NaN or infinity"
            hint = "fetch it again, check it with `verify`, or export the network again from sound weights"
            raise WeightsError(problem, where=self.path, hint=hint)
        return fetched

    def _options(self, *, is_last: bool) -> Any:
        return run_options(self._runtime, self.device, is_last=is_last)

    def _explained(self, n_items: int) -> AbstractContextManager[None]:
        return explained(self.device, n_items)


def is_finite(numbers: Batch) -> bool:
    """Return whether all numbers are finite; they are tested one by one only if their sum is not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(numbers.sum()) or np.isfinite(numbers).all())


def check_element_type(value: Any, kind: str, *, where: Path) -> None:
    """Raise a WeightsError if an input or output of a session has another element type."""
    if value.type != f"tensor({kind})":
        problem = f"the graph's {value.name!r} is a {value.type}, and a tensor({kind}) is needed"
        raise WeightsError(problem, where=where, hint=_TYPE_HINT)


def run_options(runtime: Any, device: Device, *, is_last: bool) -> Any:
    """Return the options of a run; the last one shrinks the arena, up to a gigabyte, unless a GPU has memory left."""
    options = runtime.RunOptions()
    if is_last and is_memory_released(device):
        arena = "cpu:0" if device.kind == "cpu" else f"gpu:{device.index}"
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", arena)
    return options


class OnnxEngine(OnnxGraph):
    """A graph of one input and one output."""

    def _check_signature(self) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise WeightsError(
                f"the graph has {len(inputs)} inputs and {len(outputs)} outputs instead of one each",
                where=self.path,
                hint=_GRAPH_HINT,
            )
        for value in (*inputs, *outputs):
            check_element_type(value, "float", where=self.path)
        self.input_name, self.output_name = inputs[0].name, outputs[0].name

    def shape(self) -> GraphShape:
        """Return channels, bins and frames of the graph's input and output.

        Raises:
            WeightsError: the input is not (batch, channels, bins, frames) with three fixed sizes, or the output
                has another shape.
        """
        shapes = [list(value.shape) for value in (self._session.get_inputs()[0], self._session.get_outputs()[0])]
        for name, shape in zip((self.input_name, self.output_name), shapes, strict=True):
            if len(shape) != 4 or not all(isinstance(size, int) and size > 0 for size in shape[1:]):
                raise WeightsError(f"the graph's {name!r} has the shape {shape}", where=self.path, hint=_GRAPH_HINT)
        if shapes[0][1:] != shapes[1][1:]:
            problem = f"the graph maps {shapes[0][1:]} to {shapes[1][1:]}, both must be the same"
            raise WeightsError(problem, where=self.path, hint=_GRAPH_HINT)
        channels, bins, frames = shapes[0][1:]
        return GraphShape(channels, bins, frames, self._metadata())

    def at(self, precision: Precision) -> Self:
        """Open the same graph in another arithmetic."""
        return type(self)(self.path, device=self.device, threads=self.threads, precision=precision)

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the graph over a batch."""
        feeds = {self.input_name: np.asarray(batch, np.float32)}
        return self._fetch(self.output_name, feeds, n_items=len(batch), is_last=is_last)

    def run_in_place(self, source: int, target: int, shape: tuple[int, ...], *, is_last: bool = False) -> None:
        """Run the graph on memory of its device, without copying.

        Args:
            source: address of the float32 input, which must be complete.
            target: address of the float32 output, which is complete on return.
            shape: shape of both.
            is_last: see :meth:`~my_submission.engines.base.Engine.run`.
        """
        binding = self._session.io_binding()
        for bind, name, address in (
            (binding.bind_input, self.input_name, source),
            (binding.bind_output, self.output_name, target),
        ):
            bind(name, self.device.kind, self.device.index, np.float32, shape, address)
        with self._explained(shape[0]):
            self._session.run_with_iobinding(binding, self._options(is_last=is_last))
            binding.synchronize_outputs()


@lru_cache(maxsize=1)
def _share_arena(runtime: Any) -> None:
    """Let all CPU sessions share one arena that grows by the requested size.

    Separate arenas keep about 140 MB for every network of the published size, even after shrinking.
    """
    memory = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    same_as_requested = 1
    runtime.create_and_register_allocator(memory, runtime.OrtArenaCfg({"arena_extend_strategy": same_as_requested}))


def open_session(
    runtime: Any,
    model: str | bytes,
    *,
    device: Device,
    threads: int,
    where: Path,
    weights: Mapping[str, Batch] | None = None,
    has_tf32: bool = False,
) -> Any:
    """Open an onnxruntime session under the settings that all engines share.

    Args:
        runtime: the onnxruntime module.
        model: a file's name, or a model in memory.
        device: where to run.
        threads: processors per run on the CPU.
        where: the file that the weights come from, for error messages.
        weights: arrays of the initialisers that a model in memory only names; the session copies or references them.
        has_tf32: whether a GPU may round the factors of products to TF32's ten bits.

    Raises:
        WeightsError: onnxruntime cannot open the model.
        DeviceError: onnxruntime cannot use the device.
    """
    options = _session_options(runtime, threads, weights or {})
    wanted: list[Any] = ["CPUExecutionProvider"]
    if device.kind == "cuda":
        try:
            load_cuda_libraries(runtime)
        except OSError as error:
            raise _refused(device, f"cuDNN cannot be loaded: {error}") from error
        wanted.insert(0, ("CUDAExecutionProvider", cuda_options(device, has_tf32=has_tf32)))
    try:
        # onnxruntime's fall-back would open another session on the CPU, here or when ``run`` fails on the GPU.
        with explained(device, 0):
            session = runtime.InferenceSession(model, options, providers=wanted, enable_fallback=0)
    except DeviceMemoryError:
        raise
    except Exception as error:  # onnxruntime's types have no common public base
        if device.kind == "cuda" and any(word in str(error).lower() for word in ("cuda", "cublas", "cudnn")):
            raise _refused(device, str(error)) from error
        raise _unopened(runtime, error, where) from error
    given = session.get_providers()
    if device.kind == "cuda" and "CUDAExecutionProvider" not in given:
        raise _refused(device, f"its session runs on {', '.join(given)}")
    logger.debug("%s: %s", where.name, given)
    return session


def _session_options(runtime: Any, threads: int, weights: Mapping[str, Batch]) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its warnings repeat what is checked below
    # Without memory patterns a chunk of the published networks needs half the memory at the same speed.
    options.enable_mem_pattern = False
    _share_arena(runtime)
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Otherwise the threads of a session keep spinning on the processor while the next session runs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Quantised weights are dequantised once, when the session opens, instead of in every run.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    if weights:
        values = [runtime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
        options.add_external_initializers(list(weights), values)
    return options


def _unopened(runtime: Any, error: Exception, where: Path) -> WeightsError:
    """Return the error of a graph that onnxruntime cannot open."""
    problem = f"onnxruntime {runtime.__version__} cannot open this graph ({' '.join(str(error).split())[:300]})"
    is_newer = any(words in str(error).lower() for words in _NEWER_THAN_RUNTIME)
    hint = "fetch it again, or check it with `verify`"
    if is_newer:
        hint = "install a newer onnxruntime, or export the graph again at a lower opset"
    return WeightsError(problem, where=where, hint=hint)


def cuda_options(device: Device, *, has_tf32: bool) -> dict[str, str]:
    """Return the options of onnxruntime's CUDA provider.

    Memory grows by the requested size instead of in powers of two, because torch's transforms need some too.
    """
    return {
        "device_id": str(device.index),
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": str(int(has_tf32)),
    }


def _refused(device: Device, reason: str) -> DeviceError:
    state = runtime_state()
    needed = (
        f"{state.problem}; run {state.cure}" if state.problem else "install the CUDA and cuDNN libraries that it needs"
    )
    return DeviceError(
        f"{state} does not give {device} ({' '.join(reason.split())})", hint=f"{needed}; or use --device cpu"
    )
