"""The two libraries of Fourier transforms give the same spectra, frames and songs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy import fft as numpy_fft
from scipy import fft as scipy_fft

from my_submission.dsp import fourier

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("n", [16_384, 6144, 60])
@pytest.mark.parametrize("library", [numpy_fft, scipy_fft])
def test_transforms_are_float32_and_agree_with_float64(
    n: int, library: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To 120 dB of the largest bin, the rounding of float32; missing bins count as zero."""
    monkeypatch.setattr(fourier, "_library", library)
    frames = np.random.default_rng(0).standard_normal((2, 3, n)).astype(np.float32)
    spectra, expected = fourier.rfft(frames), numpy_fft.rfft(frames.astype(np.float64))
    assert spectra.dtype == np.complex64
    np.testing.assert_allclose(spectra, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    kept, n_kept = spectra[..., : n // 3], n // 3
    inverse = fourier.irfft(kept, n)
    assert inverse.dtype == np.float32
    full = np.zeros_like(expected)
    full[..., :n_kept] = expected[..., :n_kept]
    np.testing.assert_allclose(inverse, numpy_fft.irfft(full, n), rtol=0, atol=1e-5)


@pytest.mark.parametrize("is_there", [True, False])
def test_scipy_is_used_where_it_is_installed(is_there: bool) -> None:
    absent = "" if is_there else "sys.modules['scipy'] = None; "
    code = f"import sys; {absent}from my_submission.dsp import fourier; print(fourier.LIBRARY)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{'scipy' if is_there else 'numpy'}\n"
