"""Fixtures that several test files share."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Every processor has a test process already; more threads in each would wait for one another. Read at imports.
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

pytest_plugins = ["tests.optional_libraries", "tests.parts"]

DATA = Path(__file__).parent / "data"

settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """A test draws the same numbers whichever tests ran before it, and in every run."""
    random.seed(0)
    if "torch" in sys.modules:  # never imported for this alone; some environments have none
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor write the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MDX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder whose starter is four tiny networks and a Mixer of random weights."""
    folder = tmp_path_factory.mktemp("models")
    return Path(shutil.copytree(DATA / "tiny_models", folder, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; tests are left out, with the reason, where there is none."""
    from tests.accessibility import running_chromium

    with running_chromium() as running:
        yield running
