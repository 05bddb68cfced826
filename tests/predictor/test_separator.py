"""The Python API: files, arrays and tensors in; paths, arrays and a report out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import my_submission as mdx
from my_submission.errors import InputError, UnknownNameError
from my_submission.events import Finished
from tests.audio_fixtures import noise, write_audio

ROOT = Path(__file__).resolve().parents[2]
RATE = 44_100


@pytest.fixture(scope="module")
def separator() -> mdx.Separator:
    return mdx.Separator("starter-plus", stems=["vocals", "instrumental"], device="cpu", threads=1)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_audio(tmp_path / "My Song.wav", noise(2, RATE // 2))


def test_a_file_becomes_files_and_arrays(separator: mdx.Separator, song: Path, tmp_path: Path) -> None:
    shares: list[float] = []
    separation = separator.separate(song, tmp_path / "out", on_progress=lambda progress: shares.append(progress.share))
    folder = tmp_path / "out" / "My Song"
    assert separation.paths == {name: folder / f"My Song - {name}.wav" for name in ("vocals", "instrumental")}
    assert (folder / "separation.json").is_file()
    assert (separation.sample_rate, separation.report.system) == (RATE, "starter-plus")
    assert list(separation.stems) == ["vocals", "instrumental"]
    np.testing.assert_array_equal(
        separation.stems["vocals"], soundfile.read(separation.paths["vocals"], dtype="float32")[0].T
    )
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_the_default_output_is_that_of_the_command_line(
    separator: mdx.Separator, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert separator.separate("My Song.wav").paths["vocals"] == Path("stems/My Song/My Song - vocals.wav")


def test_without_output_the_stems_stay_in_memory(separator: mdx.Separator, song: Path, tmp_path: Path) -> None:
    separation = separator.separate(song, None)
    assert separation.paths == {}
    assert [path.name for path in tmp_path.iterdir()] == ["My Song.wav"]
    mixture = soundfile.read(song, dtype="float32")[0].T
    np.testing.assert_allclose(sum(separation.stems.values()), mixture, atol=1e-6)
    assert separation.report.input_path == str(song)


def test_arrays_come_back_as_arrays_at_their_rate(separator: mdx.Separator) -> None:
    mixture = noise(2, 24_000)
    separation = separator.separate(mixture, sample_rate=48_000)
    assert separation.sample_rate == 48_000
    assert {name: stem.shape for name, stem in separation.stems.items()} == dict.fromkeys(separator.stems, (2, 24_000))
    np.testing.assert_allclose(sum(separation.stems.values()), mixture, atol=1e-6)


@pytest.mark.needs("torch")
def test_tensors_come_back_as_tensors(separator: mdx.Separator) -> None:
    import torch

    mixture = torch.from_numpy(noise(2, RATE // 4)).requires_grad_()
    stems = separator.separate(mixture, sample_rate=RATE).stems
    assert all(isinstance(stem, torch.Tensor) and stem.dtype == torch.float32 for stem in stems.values())
    torch.testing.assert_close(sum(stems.values()), mixture.detach(), atol=1e-6, rtol=0)


def test_what_cannot_be_known_is_asked_for(separator: mdx.Separator, song: Path) -> None:
    with pytest.raises(InputError, match=r"sample rate of these samples is not known\. Give sample_rate=44_100"):
        separator.separate(noise(2, 1_000))
    with pytest.raises(InputError, match="a file states its own"):
        separator.separate(song, sample_rate=RATE)
    with pytest.raises(InputError, match="samples have no name"):
        separator.separate(noise(2, 1_000), "out", sample_rate=RATE)
    with pytest.raises(UnknownNameError, match="no field"):
        separator.separate(song, "out", filename="{title}{stem}")


def test_the_last_event_of_a_stream_is_the_separation(separator: mdx.Separator) -> None:
    *_, last = separator.stream(noise(2, 10_000), sample_rate=RATE)
    assert isinstance(last, Finished)
    assert isinstance(last.result, mdx.Separation)
    assert last.report is last.result.report


def test_one_call_keeps_the_system_for_the_next(song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from my_submission.predictor import separator as module

    loaded: list[tuple[str, ...]] = []
    load = module.load

    def counting(system: str, *, stems: tuple[str, ...], **options: object) -> mdx.Predictor:
        loaded.append(stems)
        return load(system, stems=stems, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "load", counting)
    module._separator.cache_clear()
    for stems in (["vocals"], ["vocals"], ["bass"]):
        separation = mdx.separate(song, tmp_path, stems=stems, device="cpu", audio_format=mdx.AudioFormat("flac"))
        assert [path.name for path in separation.paths.values()] == [f"My Song - {stems[0]}.flac"]
    assert loaded == [("vocals",), ("bass",)]


def test_all_public_names_are_listed_before_they_are_imported() -> None:
    code = (
        "import sys, my_submission as mdx; names = dir(mdx); assert set(mdx.__all__) <= set(names), names;"
        "assert 'numpy' not in sys.modules; [getattr(mdx, name) for name in mdx.__all__]; print('fine')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "fine", done.stderr


@pytest.mark.parametrize("budget", [-1.0, float("nan")])
def test_an_impossible_time_limit_is_an_error_of_the_package(budget: float, tiny_models: Path) -> None:
    separator = mdx.Separator("starter", models_dir=tiny_models)
    with pytest.raises(mdx.MdxError, match=r"a time limit of .* s is not possible. Give seconds, or None"):
        separator.separate(np.zeros((2, 1000), np.float32), sample_rate=44_100, budget_seconds=budget)


def test_no_threads_are_an_error_of_the_package(tiny_models: Path) -> None:
    with pytest.raises(mdx.MdxError, match=r"0 threads cannot run anything. Give at least 1"):
        mdx.Separator("starter", models_dir=tiny_models, threads=0)
