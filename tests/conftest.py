"""Fixtures that several test files share."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from my_submission.stems import MUSIC_SOURCES
from tests.model_makers import random_mixer, random_network, write_manifest, write_spectral, write_torch

settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """A test draws the same numbers whichever tests ran before it, and in every run."""
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor write the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MDX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


TINY_N_FFT = {"bass": 1024, "drums": 256, "other": 512, "vocals": 384}


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder whose starter is four tiny networks and a Mixer of random weights."""
    folder = tmp_path_factory.mktemp("models")
    shape = {"hop": 64, "bins": 64, "frames": 128}
    entries = [
        write_spectral(folder, f"starter/{source}", random_network(64, growth=2), n_fft=TINY_N_FFT[source], **shape)
        for source in MUSIC_SOURCES
    ]
    mixer = {"linear.weight": torch.from_numpy(random_mixer())}
    entries.append(write_torch(folder, "starter/mixer", mixer, "mixer", suffix="ckpt"))
    write_manifest(folder, entries)
    return folder
