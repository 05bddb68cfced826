"""Programs that training calls: what they say when they fail, and that none hangs a run."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest

from my_submission.errors import InputError, MdxError
from tests.training_material.test_drumming import beat
from training import programs
from training_material import render, singing, speaking
from training_material.render import render_folder
from training_material.speaking import SynthesisedVoice

HANGING = "#!/bin/sh\nexec tail -f /dev/null\n"


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A program that never ends and never says anything."""
    script = tmp_path / "hanging"
    script.write_text(HANGING)
    script.chmod(0o755)
    monkeypatch.setattr(programs, "MAX_SECONDS", 0.1)
    monkeypatch.setattr(programs, "MAX_IDLE_SECONDS", 0.1)
    return str(script)


def test_a_program_that_hangs_is_stopped_and_one_that_fails_is_heard(hanging: str, tmp_path: Path) -> None:
    with pytest.raises(MdxError, match=r"song\.mid: hanging had not finished after 0\.1 s and was stopped"):
        programs.run([hanging], where="song.mid")
    with pytest.raises(MdxError, match=r"song\.mid: sh failed \(no such tune\)"):
        programs.run(["sh", "-c", "echo no such tune >&2; exit 3"], where="song.mid", seconds=60.0)
    with pytest.raises(MdxError, match=r"sh failed \(exit code 3\)"):
        programs.run(["sh", "-c", "exit 3"], seconds=60.0)
    programs.run(["sh", "-c", f"echo done > {tmp_path}/done"], seconds=60.0)
    assert (tmp_path / "done").read_text() == "done\n"


def test_output_is_read_to_its_end_or_as_far_as_asked(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    assert programs.read_output(["sh", "-c", "echo abc"], 9, errors) == (b"abc\n", False, 0)
    assert programs.read_output(["sh", "-c", "while true; do echo abc; done"], 6, errors) == (b"abc\nab", True, 0)
    assert programs.read_output(["sh", "-c", "echo no >&2; exit 4"], 6, errors) == (b"", False, 4)
    assert errors.read_text() == "no\n"


def test_a_program_that_falls_silent_is_stopped(hanging: str, tmp_path: Path) -> None:
    with pytest.raises(MdxError, match=r"wrote nothing for 0\.1 s and was stopped"):
        programs.read_output([hanging], 9, tmp_path / "errors", where="song.mid")
    with pytest.raises(MdxError, match=r"sh wrote nothing"):
        programs.read_output(["sh", "-c", f"echo abc; exec {hanging}"], 9, tmp_path / "errors")


def test_no_synthesiser_hangs_a_corpus(hanging: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "FLUIDSYNTH", hanging)
    monkeypatch.setattr(singing, "FLITE", hanging)
    monkeypatch.setitem(speaking.COMMANDS, "flite", (hanging, "{voice}"))
    (tmp_path / "midi").mkdir()
    song: mido.MidiFile = beat(2)
    song.save(tmp_path / "midi" / "a.mid")
    (tmp_path / "font.sf2").touch()
    folders = (tmp_path / "midi", [tmp_path / "font.sf2"], tmp_path / "out")
    with pytest.raises(InputError, match=r"a\.mid: hanging wrote nothing"):
        render_folder(*folders, seed=0, max_seconds=2.0, n_processes=1)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(MdxError, match="hanging had not finished"):
        singing.spoken_singer("slt")
    with pytest.raises(MdxError, match="flite:slt: hanging had not finished"):
        SynthesisedVoice("flite", "slt", ["words"])(np.random.default_rng(0))
