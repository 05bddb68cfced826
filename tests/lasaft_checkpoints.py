"""Checkpoints of the originals' options, written as the authors' programs write theirs, from the stored vectors."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).parent / "data" / "reference" / "options"
VECTORS = (
    "v1_film_lasaft_sig",
    "v1_gpocm_tfc",
    "v1_lasaft_encoder",
    "v1_lasaft_mag_map",
    "v1_lasaft_naive",
    "v2_full",
    "v2_gn",
    "v2_key_listen",
    "v2_linear",
    "v2_mask_tanh",
    "v2_query_listen",
)
HOP, FRAMES = 128, 16


def vector(name: str, folder: Path = FOLDER) -> dict[str, np.ndarray]:
    """Arrays of one file."""
    with np.load(folder / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored.files}


def state_of(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The original's state."""
    return {key[6:]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith("state/")}


def write_checkpoint(name: str, into: Path, *, folder: Path = FOLDER, **options: Any) -> Path:
    """Write a vector's state with its options where the authors' program keeps them: in the file, or beside it."""
    arrays = vector(name, folder)
    stated = json.loads(str(arrays["config"]))
    into.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"state_dict": state_of(arrays), "epoch": 3}
    if name.startswith("v1"):
        stated.pop("class")
        content["hyper_parameters"] = {**stated, "args": argparse.Namespace(musdb_root="..")}
    else:
        (into / "config.yaml").write_text(json.dumps(settings_of_second_program(stated)), encoding="utf-8")
    torch.save(content, into / "network.ckpt", **options)
    return into / "network.ckpt"


def settings_of_second_program(stated: dict[str, Any]) -> dict[str, Any]:
    """The settings of LASAFT-Net-v2, in the layout of its Hydra configuration; JSON is YAML too."""
    act, place = stated.get("act", "relu"), "lasaft.models.conditioned.spec2spec"
    blocks = {
        "_target_": f"{place}.block_functions.MkTFCLightSAFTGPoCM",
        "gr": "${model.spec2spec.internal_channels}",
        "num_layers": "${model.spec2spec.n_internal_layers}",
        **{"kt": 3, "kf": 3, "bn_factor": 8, "min_bn_units": 4, "num_tdfs": 3, "dk": 8},
        "bias": stated.get("bias", False),
        "activation": act,
        "condition_dim": "${model.spec2spec.embedding_dim}",
        "norm": "${model.norm}",
        "query_listen": "${model.query_listen}",
        "key_listen": "${model.key_listen}",
    }
    network = {
        "_target_": f"{place}.base.BaseNet",
        "n_fft": "${model.n_fft}",
        "input_channels": 2 if stated.get("typ") == "magnitude" else 4,
        **{"internal_channels": 4, "n_blocks": 3, "n_internal_layers": 2, "control_input_dim": 4, "embedding_dim": 6},
        "first_conv_activation": stated.get("first", "relu"),
        "last_activation": stated.get("last", "identity"),
        "control_vector_type": stated.get("vec", "embedding"),
        "condition_to": stated.get("to", "decoder"),
        "norm": "${model.norm}",
        "mk_block_f": blocks,
        "mk_ds_f": {"activation": act, "norm": "${model.norm}"},
        "mk_us_f": {"activation": act, "norm": "${model.norm}"},
    }
    model = {
        "name": "v2",
        **{"n_fft": 256, "num_frame": FRAMES, "hop_length": HOP},
        "spec_type": stated.get("typ", "complex"),
        "spec_est_mode": stated.get("est", "mapping"),
        "norm": stated.get("norm", "bn"),
        "query_listen": stated.get("q", True),
        "key_listen": stated.get("k", True),
        "spec2spec": network,
    }
    return {"trainer": {"precision": 16}, "dataset": {"n_fft": 512, "batch_size": 4}, "model": model}
