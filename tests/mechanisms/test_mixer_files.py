"""Files of a Mixer: the submission's, and those of the authors' training program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from my_submission.errors import WeightsError
from my_submission.mechanisms.mixer import read_mixer
from my_submission.stems import MUSIC_SOURCES
from tests.model_makers import random_mixer


def saved(path: Path, content: dict[str, object]) -> Path:
    torch.save(content, path)
    return path


def test_both_names_of_the_matrix_are_read(tmp_path: Path) -> None:
    """The training state may hold the frozen networks beside the matrix, and may be half a checkpoint of Lightning."""
    matrix = torch.from_numpy(random_mixer())
    training = {"mixing_layer.weight": matrix, "separators.0.first_conv.0.weight": torch.zeros(2)}
    for number, content in enumerate(
        (
            {"linear.weight": matrix},
            {"mixing_layer.weight": matrix},
            {"state_dict": training, "epoch": 9, "hyper_parameters": {"dim_t": 256}},
        )
    ):
        read = read_mixer(saved(tmp_path / f"{number}.ckpt", content), MUSIC_SOURCES)
        np.testing.assert_array_equal(read.matrix, matrix.numpy())


@pytest.mark.parametrize("content", [{"linear.weight": 1, "bias": 1}, {"mixer.weight": 1}, {}])
def test_other_tensors_are_refused(tmp_path: Path, content: dict[str, int]) -> None:
    path = saved(tmp_path / "mixer.ckpt", {name: torch.zeros(8, 10) for name in content})
    with pytest.raises(WeightsError, match=r"a Mixer is one tensor linear\.weight, or mixing_layer\.weight"):
        read_mixer(path, MUSIC_SOURCES)
