"""Batches that fit a GPU's memory: chosen from what is free, halved where they do not fit, never silently."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from torch import nn

import my_submission as mdx
from my_submission.audio_io import WAV_FLOAT
from my_submission.engines import Device, device_memory
from my_submission.engines.base import Batch
from my_submission.engines.device_memory import DeviceMemory, PeakMemoryMeter, memory_reader
from my_submission.engines.devices import explained, memory_error
from my_submission.engines.fake_engine import FakeEngine
from my_submission.engines.onnx_engine import OnnxEngine, run_options
from my_submission.engines.out_of_memory import OutOfMemorySplitter, fitting
from my_submission.engines.segment_batches import SegmentBatches
from my_submission.engines.torch_engine import TorchEngine
from my_submission.errors import DeviceMemoryError
from my_submission.events import Note
from my_submission.geometry import WholeSong
from my_submission.mechanisms import SpectralMechanism, WaveformMechanism
from my_submission.mechanisms.chunks import chunk_device_bytes
from my_submission.mechanisms.memory_limits import DEVICE_SHARE
from my_submission.mechanisms.waveform_networks import SEGMENT_BYTES_PER_SAMPLE
from my_submission.predictor import Predictor, SeparationReport
from my_submission.predictor.memory import within_device
from my_submission.systems import LoadedSystem
from tests.model_makers import random_network, write_spectral
from tests.rigs import CHUNKING, GAINS, SEGMENTS, two_branches, waveform_engine

GPU = Device("cuda", 1)


class SmallCard:
    """Doubles a batch of up to ``most`` items, and has no memory for more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held: list[weakref.ref[Batch]] = []
        self.n_held_at_release: list[int] = []
        self.fake = FakeEngine(self._doubled)

    def _doubled(self, batch: Batch) -> Batch:
        working = np.zeros_like(batch)
        self.held.append(weakref.ref(working))
        with explained(GPU, len(batch)):
            if len(batch) > self.most:
                raise RuntimeError("CUDA out of memory. Tried to allocate 9.00 GiB")
        return 2 * batch + working

    def release(self) -> None:
        self.n_held_at_release.append(sum(reference() is not None for reference in self.held))

    def fitting(self, name: str = "vocals") -> OutOfMemorySplitter:
        return OutOfMemorySplitter(self.fake, name=name, release=self.release)


@pytest.mark.parametrize(("most", "expected"), [(8, [8]), (3, [8, 4, 2, 2, 2, 2]), (1, [8, 4, 2, *[1] * 8])])
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(most: int, expected: list[int]) -> None:
    card = SmallCard(most)
    engine = card.fitting()
    batch = np.random.default_rng(0).standard_normal((8, 2, 5)).astype(np.float32)
    np.testing.assert_array_equal(engine.run(batch, is_last=True), 2 * batch)
    assert [shape[0] for shape in card.fake.shapes] == expected
    assert card.n_held_at_release == [0] * expected.index(min(expected))  # the failed run's arrays are gone by then
    assert bool(engine.remark) == (most < 8)
    assert "cuda:1" in engine.remark or most == 8


def test_smaller_batches_last_and_only_the_last_run_is_said_to_be_last() -> None:
    card = SmallCard(2)
    engine = card.fitting()
    batch = np.ones((5, 2, 5), np.float32)
    np.testing.assert_array_equal(engine.run(batch), 2 * batch)
    np.testing.assert_array_equal(engine.run(batch, is_last=True), 2 * batch)
    assert [shape[0] for shape in card.fake.shapes] == [5, 2, 2, 1, 2, 2, 1]
    assert card.fake.n_last == 1
    assert engine.remark == "vocals: runs of 2, because cuda:1 has too little memory for a batch of 5"


def test_what_is_done_is_not_done_again() -> None:
    """Memory that runs out in the middle of a batch costs only the run that failed."""
    card = SmallCard(4)
    engine = card.fitting()
    engine.run(np.ones((8, 1), np.float32))
    card.most = 2
    batch = np.arange(8, dtype=np.float32)[:, None]

    def shrinking(heard: Batch) -> Batch:
        card.most = 4 if heard[0, 0] < 4 else 2
        return SmallCard._doubled(card, heard)

    card.fake.function = shrinking
    card.fake.shapes.clear()
    np.testing.assert_array_equal(engine.run(batch), 2 * batch)
    assert [shape[0] for shape in card.fake.shapes] == [4, 4, 2, 2]


def test_one_item_that_does_not_fit_is_a_clear_error() -> None:
    with pytest.raises(DeviceMemoryError, match=r"cuda:1 .* batch of 1\. Free memory there \(nvidia-smi .*--device"):
        SmallCard(0).fitting().run(np.ones((4, 1), np.float32))


def test_other_failures_stay_what_they_are() -> None:
    def broken(_: Batch) -> Batch:
        raise ValueError("something else")

    engine = OutOfMemorySplitter(FakeEngine(broken), name="vocals", release=lambda: None)
    with pytest.raises(ValueError, match="something else"):
        engine.run(np.ones((4, 1), np.float32))
    assert fitting(engine, Device("cpu"), name="vocals") is engine
    assert isinstance(fitting(engine, GPU, name="vocals"), OutOfMemorySplitter)


@pytest.mark.parametrize(
    "message",
    [
        "Failed to allocate memory for requested buffer of size 268435456",
        "Available memory of 1 is smaller than requested bytes of 2",
        "CUDA failure 2: out of memory ; GPU=0",
        "CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDA out of memory. Tried to allocate 20.00 MiB",
    ],
)
def test_every_library_s_words_are_known(message: str) -> None:
    with pytest.raises(DeviceMemoryError, match="batch of 3"), explained(GPU, 3):
        raise RuntimeError(message)


def test_memory_of_the_host_is_not_the_card_s() -> None:
    with pytest.raises(DeviceMemoryError, match="cpu has too little memory for a batch of 3"), explained(GPU, 3):
        raise MemoryError("Unable to allocate 105. MiB for an array")
    with pytest.raises(DeviceMemoryError, match="cpu has too little memory for a batch of 3"), explained(GPU, 3):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    assert DEVICE_SHARE < device_memory.PLENTY_SHARE  # what is kept leaves room for what is planned


@pytest.mark.parametrize(("free", "expected"), [(80, False), (70, True), (20, True)])
def test_memory_is_given_back_where_it_is_scarce(free: int, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a last run; on the CPU always."""
    monkeypatch.setattr(device_memory, "memory_reader", lambda device: lambda: DeviceMemory(free, 100))
    assert device_memory.is_memory_released(GPU) is expected
    entries: list[tuple[str, str]] = []

    class RunOptions:
        def add_run_config_entry(self, *entry: str) -> None:
            entries.append(entry)  # type: ignore[arg-type]

    run_options(SimpleNamespace(RunOptions=RunOptions), GPU, is_last=True)
    assert entries == ([("memory.enable_memory_arena_shrinkage", "gpu:1")] if expected else [])
    monkeypatch.undo()
    assert device_memory.is_memory_released(Device("cpu"))


def test_weights_that_do_not_fit_are_said_to_be_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 1.00 GiB")

    network = nn.Linear(2, 2)
    monkeypatch.setattr(network, "to", full)
    with pytest.raises(DeviceMemoryError, match="too little memory for the weights of a network"):
        TorchEngine(network, device=Device("cpu"))
    write_spectral(tmp_path, "vocals", random_network(64, growth=2), n_fft=256, hop=64, bins=64, frames=64)
    monkeypatch.setattr("onnxruntime.InferenceSession", full)
    with pytest.raises(DeviceMemoryError, match="the weights of a network"):
        OnnxEngine(tmp_path / "vocals.onnx", device=Device("cpu"), threads=1)


def test_errors_of_ours_pass_through() -> None:
    with pytest.raises(DeviceMemoryError, match="batch of 7"), explained(GPU, 3):
        raise memory_error(GPU, 7)


def on_small_cards(most: int) -> Predictor:
    """A system whose spectral networks fit ``most`` chunks, asked for eight in a run."""
    engines = {source: SmallCard(most).fitting(source) for source in GAINS}
    return Predictor(two_branches(engines=engines, batch_size=8), read_device_memory=lambda: DeviceMemory(60, 100))


def test_songs_come_out_the_same_and_say_so(tmp_path: Path) -> None:
    mixture = 0.1 * np.random.default_rng(1).standard_normal((60_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", mixture, 44_100, subtype="FLOAT")
    stems, reports = {}, {}
    for most in (3, 8):
        events = list(
            on_small_cards(most).stream_file(tmp_path / "song.wav", tmp_path / str(most), audio_format=WAV_FLOAT)
        )
        report = getattr(events[-1], "result", None)
        assert isinstance(report, SeparationReport)
        reports[most] = report
        stems[most] = [soundfile.read(path)[0] for path in report.outputs.values()]
        assert [event.text for event in events if isinstance(event, Note)] == list(report.notes)
    np.testing.assert_array_equal(stems[3], stems[8])
    assert len(reports[3].notes) == 4
    assert all("runs of 2" in note for note in reports[3].notes)
    assert reports[8].notes == ()
    assert reports[8].peak_device_memory_bytes == 40
    assert (
        Predictor(two_branches())
        .separate_file(tmp_path / "song.wav", tmp_path / "cpu")
        .as_json()["peak_device_memory_bytes"]
        is None
    )


CHUNK_BYTES = chunk_device_bytes(CHUNKING)


def batch_sizes(system: LoadedSystem) -> set[int]:
    networks = system.branches[0].mechanism
    assert isinstance(networks, SpectralMechanism)
    return {network.batch_size for network in networks.networks}


def demucs_in(system: LoadedSystem) -> WaveformMechanism:
    mechanism = system.branches[1].mechanism
    assert isinstance(mechanism, WaveformMechanism)
    return mechanism


@pytest.mark.parametrize(("chunks", "expected"), [(0, 1), (1, 1), (3, 3), (100, 8)])
def test_batches_are_chosen_from_free_memory(chunks: int, expected: int) -> None:
    """As many chunks as fit, never more than there would be; one is tried even where it seems not to fit."""
    free = int((chunks + 0.5) * CHUNK_BYTES / DEVICE_SHARE)
    fitted, notes = within_device(two_branches(batch_size=8), free, device="cuda:1")
    assert batch_sizes(fitted) == {expected}
    fewer = [note for note in notes if "instead of 8 chunks" in note]
    assert len(fewer) == (4 if expected < 8 else 0)
    assert all("cuda:1" in note for note in notes)


def test_loading_looks_at_the_card(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader that a GPU would have, on a card that is full: batches of one, unless more were asked for."""
    monkeypatch.setattr("my_submission.mechanisms.options.CPU_BATCH_CHUNKS", 8)
    monkeypatch.setattr("my_submission.predictor.loading.memory_reader", lambda _: lambda: DeviceMemory(0, 100))
    for asked, expected in ((None, 1), (4, 4)):
        predictor = mdx.load("starter", models_dir=tiny_models, device="cpu", batch_chunks=asked)
        assert batch_sizes(predictor.system) == {expected}
        assert bool(predictor.setup_notes) == (asked is None)


def test_a_batch_size_that_was_asked_for_stays() -> None:
    fitted, _ = within_device(two_branches(batch_size=8), 0, device="cuda:1", has_fixed_batches=True)
    assert batch_sizes(fitted) == {8}


def test_segments_shrink_where_they_must_and_whole_songs_stay_whole() -> None:
    system = two_branches()
    plenty = 2 * int(SEGMENT_BYTES_PER_SAMPLE * SEGMENTS.segment_samples / DEVICE_SHARE)
    fitted, notes = within_device(system, plenty, device="cuda:1")
    assert notes == ()
    assert demucs_in(fitted).chunking == SEGMENTS
    _, notes = within_device(system, plenty // 4, device="cuda:1", has_fixed_batches=True)
    assert notes == ("demucs: segments of 0.1 s instead of 0.2 s, to fit the free memory of cuda:1",)
    whole = two_branches(segments=WholeSong(SEGMENTS))
    assert within_device(whole, plenty // 4, device="cuda:1", has_fixed_batches=True)[1] == ()


@pytest.mark.parametrize(("segments", "expected"), [(0, 1), (3, 3), (100, 8)])
def test_segments_run_together_as_memory_allows(segments: int, expected: int) -> None:
    system = two_branches(segment_engine=SegmentBatches(waveform_engine()))
    need = SEGMENT_BYTES_PER_SAMPLE * demucs_in(system).valid_length(SEGMENTS.segment_samples)
    fitted, _ = within_device(system, int((segments + 0.5) * need / DEVICE_SHARE), device="cuda:1")
    assert demucs_in(fitted).segments_together == expected


def test_segments_of_one_length_are_one_batch() -> None:
    """Results come in the order of the segments; the run that is said to be the last is the last one."""
    runs: list[tuple[tuple[int, ...], bool]] = []

    class Recorder(FakeEngine):
        def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
            runs.append((batch.shape, is_last))
            return 2 * batch

    segments = [np.full((2, length), value, np.float32) for value, length in enumerate((7, 5, 7, 6))]
    results = SegmentBatches(Recorder()).run_together(segments, is_last=True)
    for segment, result in zip(segments, results, strict=True):
        np.testing.assert_array_equal(result, 2 * segment)
    assert runs == [((1, 2, 5), False), ((1, 2, 6), False), ((2, 2, 7), True)]


def watched(levels: list[Callable[[], DeviceMemory]]) -> tuple[Callable[[], DeviceMemory], threading.Event]:
    """A reader that goes through what it is given, and an event that is set once all was read."""
    is_through = threading.Event()

    def read() -> DeviceMemory:
        if len(levels) == 1:
            is_through.set()
            return levels[0]()
        return levels.pop(0)()

    return read, is_through


def test_the_peak_is_the_largest_of_all_looks() -> None:
    levels: list[Callable[[], DeviceMemory]] = [
        (lambda used=used: DeviceMemory(100 - used, 100))
        for used in (10, 70, 30)  # type: ignore[misc]
    ]
    read, is_through = watched(levels)
    with PeakMemoryMeter(read, interval_seconds=0.001) as watch:
        assert is_through.wait(30)
    assert watch.peak_bytes == 70
    with PeakMemoryMeter(None) as watch:
        pass
    assert watch.peak_bytes is None
    assert memory_reader(Device("cpu")) is None


def test_a_card_that_cannot_be_read_any_more_ends_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    is_through = threading.Event()

    def read() -> DeviceMemory:
        is_through.set()
        raise RuntimeError("CUDA error: unspecified launch failure")

    with PeakMemoryMeter(read) as watch:
        assert is_through.wait(30)
    assert watch.peak_bytes is None
    assert "can no longer be read" in caplog.text
