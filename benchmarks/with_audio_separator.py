"""The same network with audio-separator; needs an interpreter that has it (tested with 0.47).

Its MDX class is used directly, because its public entry point asks a server which model a file is. Frames per
chunk are those of the graph, for which it runs onnxruntime; for any other number, its default of 256 among them, it
converts the graph to torch with onnx2torch, whose torchvision does not load beside every
torch. That path is not measured.

Usage: PYTHON with_audio_separator.py SONG OUT MODEL.onnx OVERLAP [N_FFT BINS FRAMES_EXPONENT]
"""

from __future__ import annotations

import logging
import sys
import types
from pathlib import Path

import torch

sys.modules.setdefault("onnx2torch", types.ModuleType("onnx2torch"))
PUBLISHED = (6144, 2048, 9)
"""n_fft, bins, and the logarithm of the frames of leaderboard A's vocals."""


def main() -> None:
    """Separate one song with one network."""
    from audio_separator.separator.architectures.mdx_separator import MDXSeparator

    song, out, model, overlap, *sizes = sys.argv[1:]
    n_fft, bins, frames_exponent = map(int, sizes) if sizes else PUBLISHED
    Path(out).mkdir(parents=True, exist_ok=True)
    common = {
        "logger": logging.getLogger("audio_separator"),
        "log_level": logging.WARNING,
        "torch_device": torch.device("cpu"),
        "torch_device_cpu": torch.device("cpu"),
        "torch_device_mps": None,
        "onnx_execution_provider": ["CPUExecutionProvider"],
        "model_name": "vocals",
        "model_path": model,
        "model_data": {
            "compensate": 1.0,
            "mdx_dim_f_set": bins,
            "mdx_dim_t_set": frames_exponent,
            "mdx_n_fft_scale_set": n_fft,
            "primary_stem": "Vocals",
        },
        "output_dir": out,
        "output_format": "WAV",
        "output_bitrate": None,
        "normalization_threshold": 0.9,
        "amplification_threshold": 0.0,
        "output_single_stem": "Vocals",
        "invert_using_spec": False,
        "sample_rate": 44_100,
        "use_soundfile": True,
    }
    settings = {
        "hop_length": 1024,
        "segment_size": 2**frames_exponent,
        "overlap": float(overlap),
        "batch_size": 1,
        "enable_denoise": False,
    }
    MDXSeparator(common_config=common, arch_config=settings).separate(song)


if __name__ == "__main__":
    main()
