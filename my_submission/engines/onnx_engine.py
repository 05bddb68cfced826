"""ONNX graphs on onnxruntime: one session a file and device for the life of the process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from my_submission.engines.base import Batch
from my_submission.engines.cuda_libraries import load_cuda_libraries
from my_submission.engines.device_memory import gives_back
from my_submission.engines.devices import Device, explained
from my_submission.engines.processors import available_cpus
from my_submission.errors import DeviceError, DeviceMemoryError, MdxError, WeightsError
from my_submission.weights.onnx_layout import check_graph_file

logger = logging.getLogger(__name__)

_CURE_GRAPH = "export it with one float32 input (batch, channels, bins, frames), only the batch dynamic"

_CURE_TYPE = "export it with inputs and outputs in float32; the weights in it may be of any type"

_NEWER_THAN_RUNTIME = ("unsupported model ir version", "under development", "official support for domain")
"""How onnxruntime says that a graph was written for a newer one."""


@dataclass(frozen=True)
class GraphShape:
    """What a spectral graph says about itself.

    Attributes:
        channels: real and imaginary parts of every audio channel, 4 for stereo.
        bins: frequency bins that go through the network.
        frames: time frames of one chunk.
        metadata: the key-value notes in the file.
    """

    channels: int
    bins: int
    frames: int
    metadata: tuple[tuple[str, str], ...] = ()


class OnnxGraph:
    """A graph in a session of its own; what is fed and fetched is settled by the classes below.

    ``has_tf32`` says whether a GPU may round the factors of products to TF32's ten bits, as onnxruntime's default is.
    Where it may not, onnxruntime keeps convolutions of any type away from tensor cores.

    Args:
        path: the ONNX file.
        device: where to run; a CUDA device is used or refused, never replaced by the CPU.
        threads: processors one run may use on the CPU.

    Raises:
        WeightsError: the file is no ONNX graph, or not one of the kind.
        DeviceError: onnxruntime does not give the device that was asked for.
    """

    has_tf32 = False

    is_reference = True
    """Whether its numbers must be finite: a faster arithmetic may leave its range, which its caller looks for."""

    def __init__(self, path: Path, *, device: Device, threads: int) -> None:
        import onnxruntime

        check_graph_file(path)
        self.path = path
        self.device = device
        self.threads = threads
        self._runtime = onnxruntime
        self._session = open_session(
            onnxruntime, self._model(), device=device, threads=threads, where=path, has_tf32=self.has_tf32
        )
        self._check_signature()

    def _model(self) -> str | bytes:
        """What the session is opened on: the file itself, or its graph rewritten."""
        return str(self.path)

    def _check_signature(self) -> None:
        """Refuse a graph of other inputs and outputs than the class feeds and fetches."""
        raise NotImplementedError

    @property
    def runs_on(self) -> str:
        """The provider in use, by onnxruntime's own account."""
        provider = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        where = f"{self.threads} threads" if self.device.kind == "cpu" else str(self.device)
        return f"onnxruntime {self._runtime.__version__} {provider}, {where}"

    def _fetch(self, output: str, feeds: Mapping[str, npt.NDArray[Any]], *, n_items: int, is_last: bool) -> Batch:
        """One output of the graph for a batch of ``n_items``."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        try:
            with self._explained(n_items):
                fetched: Batch = self._session.run([output], contiguous, self._options(is_last=is_last))[0]
        except MdxError:
            raise
        except Exception as error:  # onnxruntime raises a family of its own without a common public base
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            problem = f"onnxruntime cannot run this graph ({' '.join(str(error).split())[:300]})"
            raise WeightsError(problem, where=self.path, hint="fetch it again, or check it with `verify`") from error
        if self.is_reference and not is_finite(fetched):
            problem = "the graph puts out NaN or infinity"
            hint = "fetch it again, check it with `verify`, or export the network again from sound weights"
            raise WeightsError(problem, where=self.path, hint=hint)
        return fetched

    def _options(self, *, is_last: bool) -> Any:
        return run_options(self._runtime, self.device, is_last=is_last)

    def _explained(self, n_items: int) -> AbstractContextManager[None]:
        return explained(self.device, n_items)


def is_finite(numbers: Batch) -> bool:
    """Whether all numbers are; looked at one by one only where their sum is not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(numbers.sum()) or np.isfinite(numbers).all())


def check_element_type(value: Any, kind: str, *, where: Path) -> None:
    """Refuse an input or output of a session whose numbers are not of the kind: WeightsError."""
    if value.type != f"tensor({kind})":
        problem = f"the graph's {value.name!r} is a {value.type}, and a tensor({kind}) is needed"
        raise WeightsError(problem, where=where, hint=_CURE_TYPE)


Graph = TypeVar("Graph", bound=OnnxGraph)


def open_graph(kind: Callable[..., Graph], path: Path, *, device: Device, threads: int | None = None) -> Graph:
    """A file's graph as one of a kind: the same one for the life of the process while the file stays as it is.

    Args:
        kind: what is fed and fetched.
        path: the ONNX file.
        device: where to run.
        threads: processors for one run; as many as the process may use when not given.

    Raises:
        WeightsError: the file is no ONNX graph, or not one of the kind.
        DeviceError: onnxruntime does not give the device.
    """
    real = path.resolve()
    return cast(Graph, _opened(kind, real, real.stat().st_mtime_ns, device, threads or available_cpus()))


@lru_cache(maxsize=64)
def _opened(kind: Callable[..., OnnxGraph], path: Path, modified_ns: int, device: Device, threads: int) -> OnnxGraph:
    return kind(path, device=device, threads=threads)


def run_options(runtime: Any, device: Device, *, is_last: bool) -> Any:
    """Options of one run: the last one shrinks the arena, which can be a gigabyte, unless a GPU has plenty."""
    options = runtime.RunOptions()
    if is_last and gives_back(device):
        arena = "cpu:0" if device.kind == "cpu" else f"gpu:{device.index}"
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", arena)
    return options


class OnnxEngine(OnnxGraph):
    """A graph of one input and one output. Use :func:`open_onnx` so that a file is opened once."""

    def _check_signature(self) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise WeightsError(
                f"the graph has {len(inputs)} inputs and {len(outputs)} outputs instead of one each",
                where=self.path,
                hint=_CURE_GRAPH,
            )
        for value in (*inputs, *outputs):
            check_element_type(value, "float", where=self.path)
        self.input_name, self.output_name = inputs[0].name, outputs[0].name

    def shape(self) -> GraphShape:
        """Channels, bins and frames from the graph's own input and output.

        Raises:
            WeightsError: the input is not (batch, channels, bins, frames) with three fixed sizes, or the output
                has another shape.
        """
        shapes = [list(value.shape) for value in (self._session.get_inputs()[0], self._session.get_outputs()[0])]
        for name, shape in zip((self.input_name, self.output_name), shapes, strict=True):
            if len(shape) != 4 or not all(isinstance(size, int) and size > 0 for size in shape[1:]):
                raise WeightsError(f"the graph's {name!r} has the shape {shape}", where=self.path, hint=_CURE_GRAPH)
        if shapes[0][1:] != shapes[1][1:]:
            problem = f"the graph maps {shapes[0][1:]} to {shapes[1][1:]}, both must be the same"
            raise WeightsError(problem, where=self.path, hint=_CURE_GRAPH)
        metadata = self._session.get_modelmeta().custom_metadata_map
        channels, bins, frames = shapes[0][1:]
        return GraphShape(channels, bins, frames, metadata=tuple(sorted(metadata.items())))

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Run the graph over a batch."""
        feeds = {self.input_name: np.asarray(batch, np.float32)}
        return self._fetch(self.output_name, feeds, n_items=len(batch), is_last=is_last)

    def run_in_place(self, source: int, target: int, shape: tuple[int, ...], *, is_last: bool = False) -> None:
        """Run the graph on memory of its own device, without copying.

        Args:
            source: address of the float32 input; it must be complete when this is called.
            target: address of the float32 output, which is complete when this returns.
            shape: of both.
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


def open_onnx(path: Path, *, device: Device, threads: int | None = None) -> OnnxEngine:
    """A graph of one input and one output; see :func:`open_graph`."""
    return open_graph(OnnxEngine, path, device=device, threads=threads)


@lru_cache(maxsize=1)
def _share_arena(runtime: Any) -> None:
    """Give all CPU sessions one arena that grows by what is asked for.

    An arena of its own keeps some 140 MB for every network of the published size, whatever is shrunk.
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
    """An onnxruntime session under the settings that all of ours share.

    Args:
        runtime: the onnxruntime module.
        model: a file's name, or a model in memory.
        device: where to run.
        threads: processors for one run on the CPU.
        where: the file that the weights come from, for error messages.
        weights: arrays for the initialisers that a model in memory only names; onnxruntime repacks what it can and
            keeps the rest, so they need not be kept by the caller.
        has_tf32: whether a GPU may round the factors of products to TF32's ten bits.

    Raises:
        WeightsError: onnxruntime cannot open the model.
        DeviceError: onnxruntime does not give the device.
    """
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its own warnings repeat what is checked below
    # Without patterns a chunk of the published networks needs half the memory at the same speed.
    options.enable_mem_pattern = False
    _share_arena(runtime)
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Otherwise threads of a session that has just run keep the processor busy while the next one runs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Weights of few bits are converted once, when the session opens, instead of in every run.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    if weights:
        values = [runtime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
        options.add_external_initializers(list(weights), values)
    wanted: list[Any] = ["CPUExecutionProvider"]
    if device.kind == "cuda":
        try:
            load_cuda_libraries(runtime)
        except OSError as error:
            raise _refused(device, f"cuDNN cannot be loaded: {error}") from error
        wanted.insert(0, ("CUDAExecutionProvider", cuda_options(device, has_tf32=has_tf32)))
    try:
        # Its own fall-back would open another session on the CPU, here or when ``run`` fails on the GPU.
        with explained(device, 0):
            session = runtime.InferenceSession(model, options, providers=wanted, enable_fallback=0)
    except DeviceMemoryError:
        raise
    except Exception as error:  # onnxruntime raises a family of its own without a common public base
        if device.kind == "cuda" and any(word in str(error).lower() for word in ("cuda", "cublas", "cudnn")):
            raise _refused(device, str(error)) from error
        problem = f"onnxruntime {runtime.__version__} cannot open this graph ({' '.join(str(error).split())[:300]})"
        is_newer = any(words in str(error).lower() for words in _NEWER_THAN_RUNTIME)
        hint = "fetch it again, or check it with `verify`"
        if is_newer:
            hint = "install a newer onnxruntime, or export the graph again at a lower opset"
        raise WeightsError(problem, where=where, hint=hint) from error
    given = session.get_providers()
    if device.kind == "cuda" and "CUDAExecutionProvider" not in given:
        raise _refused(device, f"its session runs on {', '.join(given)}")
    logger.debug("%s: %s", where.name, given)
    return session


def cuda_options(device: Device, *, has_tf32: bool) -> dict[str, str]:
    """Options of onnxruntime's CUDA provider.

    Memory grows by what is asked for instead of in powers of two: torch's transforms need some of it too.
    """
    return {
        "device_id": str(device.index),
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": str(int(has_tf32)),
    }


def _refused(device: Device, reason: str) -> DeviceError:
    return DeviceError(
        f"onnxruntime does not give {device} ({' '.join(reason.split())})",
        hint="install onnxruntime-gpu alone (not onnxruntime beside it) with matching CUDA and cuDNN libraries, "
        "or use --device cpu",
    )
