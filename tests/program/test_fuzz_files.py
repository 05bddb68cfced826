"""Every damaged file is read, or refused with a message that names it; ``tests.fuzz_files`` tries thousands by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz_files import Target, targets, try_mutant

N_MUTANTS = 12
SEED = 18

NAMES = [
    "zip.th",
    "network.th",
    "lightning.ckpt",
    "run.ckpt",
    "legacy.pt",
    "graph.onnx",
    "beside.onnx",
    "network.onnx",
    "archive.zip",
    "bass.npy",
    "manifest.json",
    "scores.json",
    "aicrowd.json",
    "reports.jsonl",
    "calibration.json",
    "submission.toml",
    "experiment.toml",
    "config.yaml",
    "clean.csv",
]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return {target.name: target for target in targets(tmp_path_factory.mktemp("made"))}


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_read_or_refused(known: dict[str, Target], name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(known[name].seed)
    if name != "network.th":  # which is none of the networks it is taken for
        known[name].read(tmp_path / name)
    outcomes = [try_mutant(known[name], tmp_path, number, SEED) for number in range(N_MUTANTS)]
    assert "refused" in outcomes or name == "calibration.json"


def test_no_kind_is_forgotten(known: dict[str, Target]) -> None:
    assert list(known) == NAMES
