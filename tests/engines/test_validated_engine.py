"""A faster arithmetic is used only where it agrees with the reference, and says so."""

from __future__ import annotations

import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from my_submission.dsp.stft import from_frames
from my_submission.engines import Device
from my_submission.engines.fake_engine import FakeEngine
from my_submission.engines.frame_major import FrameMajorOnnx
from my_submission.engines.openvino_engine import OpenVinoFrames, bf16_obstacle
from my_submission.engines.spectral_engine import SilenceSkipping, frame_spectral_engine, remarks_of
from my_submission.engines.validated_engine import (
    EXCERPT_FRAMES,
    MIN_AGREEMENT_DB,
    ValidatedEngine,
    agreement_db,
    loudest_frames,
    loudest_item,
    loudest_stretch,
    sdr_change_db,
)
from my_submission.errors import DeviceMemoryError, WeightsError
from my_submission.geometry import StftGeometry
from tests.model_makers import passing_the_mixture, random_network, write_spectral

SHAPE = {"n_fft": 256, "hop": 64, "bins": 64, "frames": 96}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def scaled(gain: float) -> FakeEngine:
    return FakeEngine(lambda batch: (gain * batch).astype(np.float32))


@pytest.mark.parametrize(("error", "is_used"), [(1e-3, True), (1e-2, False)])
def test_the_faster_engine_must_agree(error: float, is_used: bool) -> None:
    """60 dB is close enough, 40 dB is not; the comparison is made once, on an excerpt, and never on silence."""
    reference, faster = scaled(2.0), scaled(2.0 * (1 + error))
    engine = ValidatedEngine(reference, {"bf16": [faster].pop}, excerpt=loudest_frames, name="vocals")
    silence, batch = np.zeros((1, 4, 128, 8), np.float32), noise(2, 4, 128, 8)
    np.testing.assert_array_equal(engine.run(silence), silence)
    assert (engine.verdict, faster.shapes) == ("", [])
    for _ in range(2):
        np.testing.assert_array_equal(
            engine.run(batch, is_last=True), (faster if is_used else reference).function(batch)
        )
    excerpt = (1, 4, EXCERPT_FRAMES, 8)
    assert faster.shapes == ([excerpt, (2, 4, 128, 8), (2, 4, 128, 8)] if is_used else [excerpt])
    assert reference.shapes[1] == excerpt
    assert engine.verdict.startswith("vocals: ")
    kept = weakref.ref(faster)
    del faster
    assert (kept() is not None) == is_used
    assert ("agrees with fp32 to 60 dB" in engine.verdict) == is_used
    wrapped = SilenceSkipping(frame_spectral_engine(engine, StftGeometry(256, 64, 8), workers=1))
    assert remarks_of(wrapped) == (engine.verdict,)
    assert remarks_of(SilenceSkipping(reference)) == ()


def test_waveforms_are_compared_and_not_spectra() -> None:
    """A part of the spectra that the inverse transform drops, as random weights make it, hides nothing.

    The imaginary part of bin 0 belongs to no waveform. At 40 times the rest it makes an error 60 dB below the
    spectra one 28 dB below the waveform.
    """
    geometry = StftGeometry(256, 64, 64)

    def spectra(batch: np.ndarray) -> np.ndarray:
        dropped = np.zeros_like(batch)
        dropped[:, 1, :, 0] = 40 * np.sqrt(np.sum(batch**2) / dropped[:, 1, :, 0].size)
        return batch + dropped

    error = noise(1, 4, EXCERPT_FRAMES, 64)
    batch = np.random.default_rng(1).standard_normal(error.shape).astype(np.float32)
    error *= 1e-3 * np.sqrt(np.sum(spectra(batch) ** 2) / np.sum(error**2))
    reference, faster = FakeEngine(spectra), FakeEngine(lambda batch: spectra(batch) + error)
    assert agreement_db(reference.run(batch), faster.run(batch)) == pytest.approx(60, abs=0.1)
    to_waves = partial(from_frames, geometry=geometry)
    engine = ValidatedEngine(
        reference, {"bf16": lambda: faster}, excerpt=loudest_frames, to_waves=to_waves, name="vocals"
    )
    np.testing.assert_array_equal(engine.run(batch), spectra(batch))
    assert "fp32, because bf16 agrees with it to only 28 dB" in engine.verdict


def test_the_first_candidate_that_agrees_is_used(caplog: pytest.LogCaptureFixture) -> None:
    """Two cannot be opened, one overflows, one is too far away: each is named with its reason, the next is used."""

    def refused() -> FakeEngine:
        raise WeightsError("the operator Foo is not known to work in float16", where="g.onnx", hint="use fp32")

    def broken() -> FakeEngine:
        raise RuntimeError("no kernel\nfor it")

    candidates = {
        "int4": refused,
        "int8": broken,
        "fp16": lambda: FakeEngine(lambda batch: batch + np.float32(np.inf)),
        "bf16": lambda: scaled(2.1),
        "tf32": lambda: scaled(2.0001),
        "never": lambda: pytest.fail("opened for nothing"),
    }
    engine = ValidatedEngine(scaled(2.0), candidates, excerpt=loudest_item, name="vocals")
    batch = noise(3, 2, 100)
    np.testing.assert_array_equal(engine.run(batch), np.float32(2.0001) * batch)
    assert engine.verdict.startswith("vocals: fake, agrees with fp32 to 86 dB")
    reasons = ("int4 cannot be used (the operator Foo", "fp16 overflows", "bf16 agrees with it to only 26 dB")
    assert all(reason in engine.verdict for reason in reasons)
    assert "int8 cannot be used (no kernel for it)" in engine.verdict
    assert "int8 cannot be used" in caplog.text
    refusing = ValidatedEngine(scaled(2.0), {"fp16": candidates["fp16"]}, excerpt=loudest_item, name="vocals")
    np.testing.assert_array_equal(refusing.run(batch), 2 * batch)
    assert refusing.verdict == "vocals: fp32, because fp16 overflows"


def test_numbers_that_leave_the_range_later_are_computed_again() -> None:
    """A batch that overflows comes from the reference, and so does everything after it, and that is said."""
    faster = FakeEngine(lambda batch: np.where(batch > 10, np.float32(np.inf), 2 * batch))
    engine = ValidatedEngine(scaled(2.0), {"fp16": lambda: faster}, excerpt=loudest_item, name="vocals")
    quiet, loud = noise(1, 2, 100), 20 + noise(1, 2, 100)
    for batch in (quiet, loud, quiet):
        np.testing.assert_array_equal(engine.run(batch), 2 * batch)
    assert len(faster.shapes) == 3
    assert engine.verdict == "vocals: fp32 from here on, because fake left the range of its numbers"


def test_a_check_that_finds_no_memory_decides_nothing() -> None:
    failures = [DeviceMemoryError("cuda:0 has too little memory")]

    def faster(batch: np.ndarray) -> np.ndarray:
        if failures:
            raise failures.pop()
        return 2 * batch

    engine = ValidatedEngine(scaled(2.0), {"fp16": lambda: FakeEngine(faster)}, excerpt=loudest_item, name="vocals")
    with pytest.raises(DeviceMemoryError):
        engine.run(noise(1, 2, 100))
    assert engine.verdict == ""
    engine.run(noise(1, 2, 100))
    assert engine.verdict.startswith("vocals: fake, agrees with fp32 to inf dB")


def test_the_limit_is_a_hundredth_of_a_decibel() -> None:
    """Measured: noise at the least agreement under an estimate of 15 dB SDR changes it by what is said."""
    assert sdr_change_db(MIN_AGREEMENT_DB) < 0.01
    rng = np.random.default_rng(1)
    source, error, rounding = rng.standard_normal((3, 400_000))
    estimate = source + 10 ** (-15 / 20) * error
    rounded = estimate + 10 ** (-MIN_AGREEMENT_DB / 20) * rounding * estimate.std()
    sdr = [10 * np.log10(np.sum(source**2) / np.sum((source - one) ** 2)) for one in (estimate, rounded)]
    assert sdr[0] - sdr[1] == pytest.approx(sdr_change_db(MIN_AGREEMENT_DB), abs=0.002)


def test_the_excerpt_is_the_loudest() -> None:
    batch = 0.1 * noise(2, 4, 200, 8)
    batch[1, :, 70:100] = 1
    np.testing.assert_array_equal(loudest_frames(batch), batch[1:, :, 64:128])
    assert loudest_frames(batch[:, :, :40]).shape == (1, 4, 40, 8)
    assert agreement_db(batch, batch) == np.inf
    assert agreement_db(batch, batch * np.float32(np.nan)) == agreement_db(0 * batch, batch) == -np.inf


def test_the_loudest_stretch_of_waveforms() -> None:
    batch = 0.1 * noise(3, 2, 1000)
    batch[1, :, 420:480] = 1
    np.testing.assert_array_equal(loudest_item(batch), batch[1:2])
    np.testing.assert_array_equal(loudest_stretch(batch, 200), batch[1:2, :, 400:600])
    np.testing.assert_array_equal(loudest_stretch(batch, 700), batch[1:2, :, :700])
    assert loudest_stretch(batch, 2000).shape == (1, 2, 1000)


@pytest.mark.needs("torch")
def test_bfloat16_is_close_to_the_reference(tmp_path: Path) -> None:
    if (obstacle := bf16_obstacle()) is not None:
        pytest.skip(obstacle)
    write_spectral(tmp_path, "vocals", passing_the_mixture(random_network(64, growth=12)), **SHAPE)
    exact = FrameMajorOnnx(tmp_path / "vocals.onnx", device=Device("cpu"), threads=1)
    rounded = OpenVinoFrames(tmp_path / "vocals.onnx", threads=1)
    for frames in (96, 32):
        batch = noise(1, 4, frames, 64)
        got = rounded.run(batch)
        assert got.dtype == np.float32
        geometry = StftGeometry(SHAPE["n_fft"], SHAPE["hop"], SHAPE["bins"])
        heard = [from_frames(spectra, geometry) for spectra in (exact.run(batch), got)]
        assert MIN_AGREEMENT_DB < agreement_db(*heard) < 110
        np.testing.assert_array_equal(rounded.run(batch, is_last=True), got)
    assert "bf16" in rounded.runs_on
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(WeightsError):
        OpenVinoFrames(tmp_path / "text.onnx", threads=1)
