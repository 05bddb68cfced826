"""The committed cinematic networks: complete, small enough for plain git, and at work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile

from my_submission.cli import main
from my_submission.stems import CINEMA_SOURCES
from my_submission.systems import find_system
from my_submission.weights import ModelsFolder
from training_material.foley import engine, rain

MAX_BYTES = 8_000_000
MAX_BYTES_A_FILE = 5_000_000
RATE = 48_000


@pytest.fixture(scope="module")
def committed() -> ModelsFolder:
    return ModelsFolder(Path(__file__).resolve().parents[2] / "models")


def test_the_files_are_those_of_the_manifest_and_small(committed: ModelsFolder) -> None:
    names = find_system("starter-cinema").artefacts
    assert names == tuple(f"starter-cinema/{source}" for source in CINEMA_SOURCES)
    sizes = [committed.require(name).stat().st_size for name in names]  # require compares size and hash
    assert max(sizes) <= MAX_BYTES_A_FILE
    assert sum(sizes) <= MAX_BYTES
    assert [committed.artefact(name).n_bytes for name in names] == sizes


@pytest.mark.parametrize("source", CINEMA_SOURCES)
def test_a_graph_has_the_published_contract(source: str, committed: ModelsFolder) -> None:
    session = onnxruntime.InferenceSession(committed.require(f"starter-cinema/{source}"))
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, made.name) == ("input", "output")
    assert given.shape[1:] == made.shape[1:] == [4, 768, 128]
    told = session.get_modelmeta().custom_metadata_map
    assert (told["n_fft"], told["hop"], told["target"]) == ("2048", "1024", source)
    assert not session.run(None, {"input": np.zeros((1, 4, 768, 128), np.float32)})[0].any()


@pytest.mark.parametrize("n_channels", [1, 2])
def test_a_film_at_48_khz_comes_apart_into_stereo_stems_at_its_rate(n_channels: int, tmp_path: Path) -> None:
    film = tmp_path / "film.wav"
    scene = 0.05 * (rain(np.random.default_rng(5), 3 * RATE) + 4.0 * engine(np.random.default_rng(6), 3 * RATE))
    soundfile.write(film, np.tile(scene[:, None], (1, n_channels)), RATE)
    assert main(["separate", str(film), "-o", str(tmp_path), "--system", "starter-cinema", "--device", "cpu"]) == 0
    read = {
        source: soundfile.read(tmp_path / "film" / f"film - {source}.wav", always_2d=True) for source in CINEMA_SOURCES
    }
    assert {(rate, stem.shape) for stem, rate in read.values()} == {(RATE, (3 * RATE, 2))}
    powers = {source: float(np.mean(stem**2)) for source, (stem, _) in read.items()}
    assert all(0.0 < power < float(np.mean(scene**2)) for power in powers.values())
    assert len({round(power, 9) for power in powers.values()}) == len(CINEMA_SOURCES)  # three networks, not one thrice
