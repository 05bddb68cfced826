"""The stem writer: the challenge's bytes, all or nothing, honest levels, and a cure for every failure."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.audio_io import WAV_FLOAT, AudioFormat, StemFolderWriter
from my_submission.audio_io.writing import stem_writer
from my_submission.dsp.resampling import resample, resampled_length
from my_submission.errors import OutputError
from my_submission.files import locks, part_files
from tests.audio_fixtures import noise, sines, snr_db

ROOT = Path(__file__).parents[2]
NAMES = ("bass", "drums")
SAMPLES = 20_000


def stems(samples: int = SAMPLES, level: float = 0.5) -> dict[str, np.ndarray]:
    return {name: noise(2, samples, seed=seed, level=level) for seed, name in enumerate(NAMES)}


def write(directory: Path, song: dict[str, np.ndarray], *, block: int = 7_000, **options: object) -> StemFolderWriter:
    samples = next(iter(song.values())).shape[1]
    settings = {"sample_rate": 44_100, "samples": samples, **options}
    with StemFolderWriter(directory, tuple(song), **settings) as writer:
        for start in range(0, samples, block):
            writer.write({name: stem[:, start : start + block] for name, stem in song.items()})
    return writer


def listing(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("bits", ["16", "24"])
def test_pcm_is_byte_for_byte_what_soundfile_writes(tmp_path: Path, bits: str) -> None:
    edges = [1, -1, 1.0001, -1.0001, 3e38, -3e38, 1 - 2**-24, 2**-24 - 1, 0, -0.0, 1e-40, -1e-40]
    edges += [sign * n * 2.0**-power for sign in (1, -1) for n in (1, 2, 3, 5) for power in range(8, 36)]
    loud, wide = noise(2, SAMPLES, level=0.6), noise(2, SAMPLES, seed=1)
    wide *= np.exp(np.random.default_rng(2).uniform(-25, 2, wide.shape)).astype(np.float32)
    song = {"bass": loud, "drums": wide, "other": np.tile(np.array(edges, np.float32), (2, SAMPLES))[:, :SAMPLES]}
    write(tmp_path / "out", song, audio_format=AudioFormat("wav", bit_depth=bits))
    for name, stem in song.items():
        soundfile.write(tmp_path / "reference.wav", stem.T, 44_100, subtype=f"PCM_{bits}")
        assert (tmp_path / "out" / f"{name}.wav").read_bytes() == (tmp_path / "reference.wav").read_bytes()
    assert listing(tmp_path / "out") == ["bass.wav", "drums.wav", "other.wav"]


@pytest.mark.parametrize(
    ("file_format", "bits", "tolerance"),
    [
        ("wav", "24", 2**-23),
        ("flac", "16", 2**-15),
        ("flac", "24", 2**-23),
        ("wav", "32f", 0),
        ("aiff", "16", 2**-15),
        ("aiff", "24", 2**-23),
        ("aiff", "32f", 0),
    ],
)
def test_lossless_formats_keep_the_samples_to_their_bit_depth(
    tmp_path: Path, file_format: str, bits: str, tolerance: float
) -> None:
    song = stems(level=0.1)
    wanted = AudioFormat(file_format, bit_depth=bits)
    writer = write(tmp_path, song, audio_format=wanted)
    for name, stem in song.items():
        path = writer.paths[name]
        assert path == tmp_path / f"{name}.{file_format}"
        assert soundfile.info(path).subtype == wanted.subtype
        assert np.abs(soundfile.read(path, dtype="float32")[0].T - stem).max() <= tolerance


def test_float_never_clamps_and_repeats_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = stems(level=50)
    writer = write(tmp_path / "a", song, audio_format=WAV_FLOAT)
    assert np.array_equal(soundfile.read(writer.paths["bass"], dtype="float32")[0].T, song["bass"])
    assert writer.levels["bass"].clipped_samples == 0
    data = writer.paths["bass"].read_bytes()
    stamp = data.find(b"PEAK") + 12
    assert 12 < stamp < 200
    assert data[stamp : stamp + 4] == bytes(4)


@pytest.mark.parametrize("bits", ["16", "24"])
@pytest.mark.parametrize("file_format", ["wav", "flac"])
def test_levels_are_reported(tmp_path: Path, bits: str, file_format: str) -> None:
    wave = np.zeros((2, 1_000), np.float32)
    wave[0, :8] = [1.0, -1.0, 1.0001, -1.0001, 3.0, -2.5, 0.5, 0.999]
    writer = write(tmp_path, {"bass": wave}, audio_format=AudioFormat(file_format, bit_depth=bits), block=3)
    levels = writer.levels["bass"]
    assert levels.peak == 3.0
    assert levels.clipped_samples == 4
    assert levels.rms == pytest.approx(np.sqrt(np.mean(wave.astype(np.float64) ** 2)), rel=1e-6)
    written = soundfile.read(writer.paths["bass"])[0].T
    assert np.abs(written - np.clip(wave, -1, 1)).max() < 2e-4  # 1 becomes the largest integer, nothing wraps around


@pytest.mark.parametrize(("rate", "samples"), [(48_000, 50_001), (8_000, 1), (96_000, 1), (96_000, 44_101)])
def test_back_at_the_inputs_own_rate_and_length(tmp_path: Path, rate: int, samples: int) -> None:
    song = {"bass": noise(2, resampled_length(samples, rate, 44_100))}
    block = 9_000
    with StemFolderWriter(tmp_path, ["bass"], sample_rate=rate, samples=samples, audio_format=WAV_FLOAT) as writer:
        for start in range(0, song["bass"].shape[1], block):
            writer.write({"bass": song["bass"][:, start : start + block]})
    written, rate_written = soundfile.read(tmp_path / "bass.wav", dtype="float32", always_2d=True)
    assert rate_written == rate
    assert np.array_equal(written.T, resample(song["bass"], 44_100, rate, samples=samples))


def test_round_trip_through_the_working_rate(tmp_path: Path) -> None:
    original = sines(96_001, 48_000)
    song = {"bass": resample(original, 48_000, 44_100)}
    write(tmp_path, song, sample_rate=48_000, samples=96_001, audio_format=WAV_FLOAT, block=10**6)
    written = soundfile.read(tmp_path / "bass.wav", dtype="float32")[0].T
    assert written.shape == original.shape
    assert snr_db(original[:, 2_000:-2_000], written[:, 2_000:-2_000]) > 90


def test_an_exception_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "bass.wav").write_bytes(b"before")

    def fail_in_the_middle() -> None:
        with StemFolderWriter(tmp_path, NAMES, sample_rate=44_100, samples=SAMPLES) as writer:
            writer.write(stems(1_000))
            assert len(listing(tmp_path)) == 3  # the parts are hidden files beside the final place
            assert all(name.startswith(".") or name == "bass.wav" for name in listing(tmp_path))
            raise RuntimeError("network failed")

    with pytest.raises(RuntimeError, match="network failed"):
        fail_in_the_middle()
    assert listing(tmp_path) == ["bass.wav"]
    assert (tmp_path / "bass.wav").read_bytes() == b"before"


def test_folders_made_here_are_removed_on_failure_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for directory in (tmp_path / "new" / "song", tmp_path / "mine"):
        with (
            pytest.raises(KeyboardInterrupt),
            StemFolderWriter(directory, NAMES, sample_rate=44_100, samples=SAMPLES),
        ):
            raise KeyboardInterrupt
    assert listing(tmp_path) == ["mine"]


def test_earlier_stems_are_replaced_and_too_few_samples_are_a_bug(tmp_path: Path) -> None:
    write(tmp_path, stems())
    before = (tmp_path / "bass.wav").read_bytes()
    with (
        pytest.raises(ValueError, match="only 1000 of 20000 samples"),
        StemFolderWriter(tmp_path, NAMES, sample_rate=44_100, samples=SAMPLES) as writer,
    ):
        writer.write(stems(1_000))
    assert (tmp_path / "bass.wav").read_bytes() == before
    assert listing(tmp_path) == ["bass.wav", "drums.wav"]
    write(tmp_path, stems(level=0.1))
    assert (tmp_path / "bass.wav").read_bytes() != before


def killed_run(directory: Path, *, stage: str) -> None:
    code = f"""
import os, signal, numpy as np
from my_submission.audio_io import StemFolderWriter
from my_submission.files import part_files
if {stage!r} == "rename":
    part_files.PartFile.commit = lambda self: os.kill(os.getpid(), signal.SIGKILL)
with StemFolderWriter({str(directory)!r}, {NAMES!r}, sample_rate=44_100, samples=20_000) as writer:
    block = np.zeros((2, 10_000), np.float32)
    writer.write(dict.fromkeys({NAMES!r}, block))
    if {stage!r} == "write":
        os.kill(os.getpid(), signal.SIGKILL)
    writer.write(dict.fromkeys({NAMES!r}, block))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("stage", ["write", "rename"])
def test_a_killed_run_leaves_no_stem_and_its_parts_go_with_the_next(tmp_path: Path, stage: str) -> None:
    (tmp_path / "bass.wav").write_bytes(b"before")
    (tmp_path / ".bass.notes.part").write_bytes(b"not ours")
    killed_run(tmp_path, stage=stage)
    assert (tmp_path / "bass.wav").read_bytes() == b"before"
    assert not (tmp_path / "drums.wav").exists()
    assert [name for name in listing(tmp_path) if name.startswith(".bass.") and name != ".bass.notes.part"]
    write(tmp_path, stems())
    assert listing(tmp_path) == [".bass.notes.part", "bass.wav", "drums.wav"]


def test_two_runs_at_once_do_not_destroy_each_other(tmp_path: Path) -> None:
    song = stems()
    with StemFolderWriter(tmp_path, NAMES, sample_rate=44_100, samples=SAMPLES) as first:
        first.write(song)
        with (
            pytest.raises(OutputError, match="another run is writing this file"),
            StemFolderWriter(tmp_path, NAMES, sample_rate=44_100, samples=SAMPLES),
        ):
            pass
    assert listing(tmp_path) == ["bass.wav", "drums.wav"]


def test_wrong_arguments_of_the_writer_are_value_errors(tmp_path: Path) -> None:
    for names in ((), ("a", "a"), ("a/b",), ("",), ("..",)):
        with pytest.raises(ValueError, match="file names"):
            StemFolderWriter(tmp_path, names, sample_rate=44_100, samples=5)
    with pytest.raises(ValueError, match="samples=0"):
        StemFolderWriter(tmp_path, NAMES, sample_rate=44_100, samples=0)
    with pytest.raises(ValueError, match="inside its with block"):
        StemFolderWriter(tmp_path, NAMES, sample_rate=44_100, samples=5).write(stems(5))
    song = stems(5)
    for wrong, message in [
        ({"bass": song["bass"]}, "are expected"),
        ({"bass": song["bass"], "drums": song["drums"][:, :4]}, "one shape"),
        ({name: stem[:1] for name, stem in song.items()}, "one shape"),
        (stems(6), "6 samples given where the song has 5"),
    ]:
        with (
            pytest.raises(ValueError, match=message),
            StemFolderWriter(tmp_path, NAMES, sample_rate=44_100, samples=5) as writer,
        ):
            writer.write(wrong)
    assert listing(tmp_path) == []


def test_not_a_number_is_refused(tmp_path: Path) -> None:
    song = stems()
    song["drums"][1, 77] = np.nan
    with pytest.raises(OutputError, match=r"drums.wav: .*NaN or infinity.* Separate with --precision fp32"):
        write(tmp_path, song)
    assert listing(tmp_path) == []


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    for directory in (tmp_path / "out", tmp_path / "out" / "song"):
        with pytest.raises(OutputError, match=r"a file is where a folder should be\. Rename or remove it") as caught:
            write(directory, stems())
        assert caught.value.where == str(directory)
    assert (tmp_path / "out").read_text() == "x"


def test_a_folder_where_a_stem_should_be(tmp_path: Path) -> None:
    (tmp_path / "drums.wav").mkdir()
    with pytest.raises(OutputError, match=r"drums.wav: a folder is where a file should go. Rename or remove"):
        write(tmp_path, stems())
    assert listing(tmp_path) == ["drums.wav"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EACCES, "there is no permission to write here. Make it writable"),
        (errno.EROFS, "the file system is read-only. Choose another"),
        (errno.ENOSPC, "the disk is full. Free some space"),
        (errno.EIO, r"it cannot be written \(Input/output error\)"),
    ],
)
def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    real_open = os.open

    def refuse(path: object, flags: int, *rest: int, **options: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), str(path))
        return real_open(path, flags, *rest, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(part_files.os, "open", refuse)
    with pytest.raises(OutputError, match=message) as caught:
        write(tmp_path / "out", stems())
    assert caught.value.where == str(tmp_path / "out")
    monkeypatch.undo()
    assert listing(tmp_path) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="a superuser may write everywhere")
def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission to write here"):
        write(tmp_path / "out", stems())
    tmp_path.chmod(0o700)


def test_too_little_space_shows_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1_000})()
    monkeypatch.setattr(stem_writer.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(
        OutputError, match=r"160000 bytes are needed for 2 stems, but only 1000 are free\. Free some space"
    ):
        write(tmp_path / "out", stems())
    assert listing(tmp_path) == []
    write(tmp_path / "out", stems(), audio_format=AudioFormat("flac"))  # compressed, it may still fit


@pytest.mark.parametrize("file_format", ["wav", "flac"])
def test_a_real_size_limit_in_the_middle(tmp_path: Path, file_format: str) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
import numpy as np
from my_submission.audio_io import AudioFormat, StemFolderWriter
wave = np.random.default_rng(0).standard_normal((2, 100_000)).astype(np.float32) * 0.1
with StemFolderWriter({str(tmp_path / "out")!r}, ["bass"], sample_rate=44_100, samples=100_000,
                      audio_format=AudioFormat({file_format!r})) as writer:
    for start in range(0, 100_000, 5_000):
        writer.write({{"bass": wave[:, start : start + 5_000]}})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "OutputError" in done.stderr
    assert f"bass.{file_format}: the stem could not be written completely" in done.stderr
    assert "Free some space there, or choose another output folder." in done.stderr
    assert listing(tmp_path) == []


def test_a_write_that_loses_samples_is_noticed_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = soundfile.SoundFile.write
    monkeypatch.setattr(soundfile.SoundFile, "write", lambda self, data: real_write(self, data[:-1]))
    with pytest.raises(OutputError, match=r"19997 of 20000 samples arrived on the disk"):
        write(tmp_path, stems())
    assert listing(tmp_path) == []


def test_a_failing_rename_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(part_files.os, "replace", refuse)
    with pytest.raises(OutputError, match=f"{tmp_path.name}: there is no permission to write here"):
        write(tmp_path, stems())
    assert listing(tmp_path) == []


def test_a_sample_rate_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a FLAC file of 768000 Hz cannot be opened.*--format wav"):
        write(
            tmp_path / "out", {"bass": noise(2, 10)}, sample_rate=768_000, samples=10, audio_format=AudioFormat("flac")
        )
    assert listing(tmp_path) == []


def test_beyond_four_gigabytes_the_file_is_an_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stem_writer, "WAV_LIMIT_BYTES", SAMPLES * 4 - 1)
    song = stems(level=0.1)
    writer = write(tmp_path, song)
    info = soundfile.info(writer.paths["bass"])
    assert (info.format, info.frames) == ("RF64", SAMPLES)
    assert np.abs(soundfile.read(writer.paths["bass"], dtype="float32")[0].T - song["bass"]).max() <= 2**-15
    monkeypatch.setattr(stem_writer, "WAV_LIMIT_BYTES", SAMPLES * 4)
    assert soundfile.info(write(tmp_path, song).paths["bass"]).format == "WAV"


def test_names_with_spaces_and_other_letters(tmp_path: Path) -> None:
    song = {"lead vocals": noise(2, 100), "보컬": noise(2, 100)}
    write(tmp_path / "내 노래", song)
    assert listing(tmp_path / "내 노래") == sorted(f"{name}.wav" for name in song)


def test_without_file_locks_parts_of_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks, "lock_descriptor", refuse)
    (tmp_path / ".bass.123456.part").write_bytes(b"maybe someone's")
    write(tmp_path, stems())
    assert listing(tmp_path) == [".bass.123456.part", "bass.wav", "drums.wav"]


def test_systems_without_locks_rely_on_deletion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "HAS_LOCKS", False)
    (tmp_path / ".bass.123456.part").write_bytes(b"left behind")
    write(tmp_path, stems())
    assert listing(tmp_path) == ["bass.wav", "drums.wav"]
