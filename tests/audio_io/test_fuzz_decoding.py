"""Damaged files of every format: decoded to their end, read with a note, or refused; never anything else.

``MDX_FUZZ_MUTANTS=2000 pytest tests/audio_io/test_fuzz_decoding.py`` tries more;
``python -m tests.decoding_mutants 2000``
counts crashes too.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.decoding_mutants import FORMATS, MUTATIONS, mutants, originals, verdict

N_MUTANTS = int(os.environ.get("MDX_FUZZ_MUTANTS", "0")) or len(FORMATS) * len(MUTATIONS)
SEED = int(os.environ.get("MDX_FUZZ_SEED", "0"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return originals(tmp_path_factory.mktemp("whole"), samples=12_000)


def test_whole_files_are_decoded_without_a_note(whole: dict[str, Path]) -> None:
    assert {suffix: verdict(path) for suffix, path in whole.items()} == dict.fromkeys(FORMATS, "decoded")


def test_damaged_files_are_decoded_noted_or_refused(whole: dict[str, Path], tmp_path: Path) -> None:
    wrong = []
    for mutant in mutants(whole, N_MUTANTS, SEED):
        path = tmp_path / f"mutant.{mutant.suffix}"
        path.write_bytes(mutant.data)
        said = verdict(path, mutant, whole[mutant.suffix])
        if said not in {"decoded", "noted", "refused"}:
            wrong.append(f"{mutant.name}: {said}")
    assert wrong == []
