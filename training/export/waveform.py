"""ONNX export of DemucsSplit, for waveforms of any length; compared with the torch module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from my_submission.engines.waveform_onnx import ARCHITECTURE, INPUT, OUTPUT
from my_submission.networks.demucs_split import WholeLength
from training.export.graphs import Exported, agreement_db, completed, in_eval_mode, run_on_cpu, traced, write_graph

EXTRA_SAMPLES = (0, 4_411, 10_007)
"""Lengths of the parity check beyond the shortest input; the graph is traced at the second."""


def export_demucs_split(network: WholeLength, path: Path, *, seed: int = 0) -> Exported:
    """Write the graph of a DemucsSplit: ``float32 [1, channels, S]`` to ``[1, sources, channels, S]``.

    The length is dynamic; one item is separated at a time, because the exporter fixes the LSTM's batch. Zeros follow
    the samples that the network estimates, as in the module. The metadata contains what an input needs beyond the
    samples that are wanted.

    Args:
        network: the network; its mode is restored.
        path: the output file.
        seed: seed of the waveforms for the parity check.

    Raises:
        ValueError: graph and module disagree by more than rounding errors.
    """
    config = network.config
    lengths = [config.valid_length(1) + extra for extra in EXTRA_SAMPLES]
    with in_eval_mode(network):
        model = traced(
            network,
            (torch.randn(1, config.audio_channels, lengths[1]),),
            inputs={INPUT: {2: "samples"}},
            output=OUTPUT,
            output_axes={3: "samples"},
        )
        fields = {"architecture": ARCHITECTURE, "lost_samples": config.max_loss, "min_samples": config.valid_length(1)}
        sizes = (1, config.groups, config.audio_channels)
        content = completed(model, fixed=sizes, fields=fields, half_weights=False, n_dynamic=1)
        rng, ratios = np.random.default_rng(seed), []
        for length in lengths:
            x = rng.standard_normal((1, config.audio_channels, length)).astype(np.float32)
            with torch.inference_mode():
                expected = network(torch.from_numpy(x)).numpy()
            ratios.append(agreement_db(expected, run_on_cpu(content, {INPUT: x})))
    return write_graph(content, path, parity_db=min(ratios))
