"""Decoding: every format against its writer, and every kind of damage with its message."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from my_submission.audio_io import AudioInfo, probe, read_blocks
from my_submission.audio_io.decoding.container_ends import is_mp4_cut
from my_submission.audio_io.decoding.declared_length import file_facts
from my_submission.errors import InputError
from tests.audio_fixtures import cut, noise, sines, snr_db, write_audio, write_media, write_video_only

SAMPLES = 50_001


def decoded(path: Path, block_samples: int = 4_096) -> np.ndarray:
    return np.concatenate(list(read_blocks(path, block_samples=block_samples)), axis=1)


def error_of(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        list(read_blocks(path))
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.wav", {"subtype": "PCM_16"}, 2**-15),
        ("a.wav", {"subtype": "PCM_U8"}, 2**-7),
        ("a.wav", {"subtype": "PCM_24"}, 2**-23),
        ("a.wav", {"subtype": "PCM_32"}, 2**-24),
        ("a.wav", {"subtype": "FLOAT"}, 0),
        ("a.wav", {"subtype": "DOUBLE"}, 0),
        ("a.wav", {"format": "RF64", "subtype": "FLOAT"}, 0),
        ("a.w64", {"subtype": "FLOAT"}, 0),
        ("a.caf", {"subtype": "FLOAT"}, 0),
        ("a.au", {"subtype": "FLOAT"}, 0),
        ("a.flac", {"subtype": "PCM_24"}, 2**-23),
        ("a.aiff", {"subtype": "PCM_16"}, 2**-15),
    ],
)
def test_lossless_formats_come_back(tmp_path: Path, name: str, options: dict[str, str], tolerance: float) -> None:
    wave = noise(2, SAMPLES)
    path = write_audio(tmp_path / name, wave, 48_000, **options)
    info = probe(path)
    assert (info.path, info.sample_rate, info.channels, info.samples) == (path, 48_000, 2, SAMPLES)
    assert info.codec == options["subtype"]
    got = decoded(path)
    assert got.dtype == np.float32
    assert got.shape == wave.shape
    assert np.abs(got - wave).max() <= tolerance


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3", "a.opus"])
def test_lossy_formats_equal_one_read_of_the_whole(tmp_path: Path, name: str) -> None:
    options = {"format": "OGG", "subtype": "OPUS"} if name == "a.opus" else {}
    path = write_audio(tmp_path / name, sines(SAMPLES, 48_000), 48_000, **options)
    reference = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    assert np.array_equal(decoded(path), reference)
    assert reference.shape == (2, SAMPLES)


def test_blocks_are_full_except_the_last(tmp_path: Path) -> None:
    wav = write_audio(tmp_path / "a.wav", noise(2, SAMPLES))
    m4a = write_media(tmp_path / "a.m4a", [noise(2, SAMPLES)], codec="aac")
    for path in (wav, m4a):
        lengths = [block.shape[1] for block in read_blocks(path, block_samples=10_000)]
        assert lengths[:-1] == [10_000] * (len(lengths) - 1)
        assert 0 < lengths[-1] <= 10_000
        assert all(block.flags.c_contiguous for block in read_blocks(path, block_samples=10_000))
    with pytest.raises(ValueError, match="block_samples=0"):
        list(read_blocks(wav, block_samples=0))


def test_float_samples_beyond_full_scale_are_kept(tmp_path: Path) -> None:
    wave = noise(2, 100, level=5)
    assert np.array_equal(decoded(write_audio(tmp_path / "a.wav", wave, subtype="FLOAT")), wave)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.mp4", "aac"), ("a.webm", "libopus"), ("a.mka", "libopus")]
)
def test_lossy_formats_are_decoded_by_ffmpeg_within_20_db(tmp_path: Path, name: str, codec: str) -> None:
    wave = sines(96_000, 48_000)
    path = write_media(tmp_path / name, [wave], codec=codec, sample_rate=48_000)
    info = probe(path)
    assert (info.sample_rate, info.channels, info.samples) == (48_000, 2, None)
    got = decoded(path)
    assert abs(got.shape[1] - 96_000) < 3_000
    assert snr_db(wave[:, 10_000:80_000], got[:, 10_000:80_000]) > 20


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.webm", "libopus"), ("a.mka", "libopus")])
def test_equals_the_ffmpeg_command(tmp_path: Path, name: str, codec: str) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg command here")
    path = write_media(tmp_path / name, [sines(96_000, 48_000)], codec=codec, sample_rate=48_000)
    command = ["ffmpeg", "-loglevel", "error", "-i", str(path), "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    reference = np.frombuffer(raw, "<f4").reshape(-1, 2).T
    got = decoded(path)
    # The command may be another version of FFmpeg: since 9 the padding of the last AAC frame is left out.
    assert abs(got.shape[1] - reference.shape[1]) < 1_024
    common = min(got.shape[1], reference.shape[1])
    assert snr_db(reference[:, :common], got[:, :common]) > 60


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "flac"])
def test_integers_scale_through_ffmpeg_as_through_libsndfile(tmp_path: Path, codec: str) -> None:
    wave = np.array([[-1, -0.5, 0, 0.25, 0.75], [0.5, 0.5, -0.25, 0, -1]], np.float32)
    path = tmp_path / "a.mkv"
    rate, form = 44_100, {"pcm_u8": "u8", "pcm_s32le": "s32", "pcm_f32le": "flt", "pcm_f64le": "dbl"}.get(codec, "s16")
    scaled = {"u8": wave * 128 + 128, "s16": wave * 2**15, "s32": wave.astype(np.float64) * 2**31}.get(form, wave)
    kind = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}[form]
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        stream.codec_context.format = form
        packed = np.ascontiguousarray(scaled.T.astype(kind)).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format=form, layout="stereo")
        frame.sample_rate = rate
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert np.array_equal(decoded(path), wave)


@pytest.mark.parametrize("name", ["a.mka", "a.m4a"])
def test_metadata_that_is_no_utf8_changes_nothing(tmp_path: Path, name: str) -> None:
    path = write_media(tmp_path / name, [noise(2, 48_000)], codec="aac", metadata={"title": "a name"})
    before = decoded(path)
    data = path.read_bytes()
    assert b"a name" in data
    path.write_bytes(data.replace(b"a name", b"a\xff\xfeame"))
    assert np.array_equal(decoded(path), before)


def test_first_audio_stream_is_the_mixture(tmp_path: Path) -> None:
    mixture, drums = sines(48_000, 48_000), 0 * sines(48_000, 48_000)
    path = write_media(tmp_path / "song.stem.mp4", [mixture, drums], codec="aac", sample_rate=48_000)
    assert snr_db(mixture[:, 5_000:40_000], decoded(path)[:, 5_000:40_000]) > 20


@pytest.mark.parametrize("sizes", [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0x7FFFFFFF, 0x7FFFF000), (0, 0x80000000)])
def test_wav_from_a_pipe_is_read_to_its_end(tmp_path: Path, sizes: tuple[int, int]) -> None:
    wave = noise(2, SAMPLES)
    path = write_audio(tmp_path / "a.wav", wave)
    data = bytearray(path.read_bytes())
    data[4:8], data[40:44] = struct.pack("<I", sizes[0]), struct.pack("<I", sizes[1])
    path.write_bytes(data)
    assert np.abs(decoded(path) - wave).max() <= 2**-15


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
def test_what_ffmpeg_writes_into_a_pipe_is_read(tmp_path: Path, form: str) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg command here")
    source = write_audio(tmp_path / "source.wav", sines(SAMPLES, 44_100))
    command = ["ffmpeg", "-loglevel", "error", "-i", str(source), "-f", form, "-"]
    path = tmp_path / f"piped.{form}"
    path.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    assert abs(decoded(path).shape[1] - SAMPLES) < 3_000


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.w64", "a.caf", "a.au", "a.ogg", "a.rf64", "a.mp3"])
@pytest.mark.parametrize("keep_ratio", [0.9, 0.5])
@pytest.mark.filterwarnings("ignore")
def test_cut_files_are_refused(tmp_path: Path, name: str, keep_ratio: float) -> None:
    path = cut(write_audio(tmp_path / name, noise(2, SAMPLES)), keep_ratio=keep_ratio)
    error = error_of(path)
    assert "truncated" in error.problem
    assert error.hint is not None
    assert "copy or download it again" in error.hint
    assert f"ffmpeg -i {name} " in error.hint


def test_cut_by_one_sample_block_of_flac(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", noise(2, SAMPLES))
    path.write_bytes(path.read_bytes()[:-200])
    assert "truncated" in str(error_of(path))


def test_wav_header_without_any_data(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", noise(2, SAMPLES))
    path.write_bytes(path.read_bytes()[:44])
    assert "the header states 200004 bytes of audio and the file has 0" in str(error_of(path))
    path.write_bytes(path.read_bytes()[:30])
    assert "not audio that can be decoded" in str(error_of(path))


@pytest.mark.parametrize("is_faststart", [False, True])
@pytest.mark.parametrize("keep_ratio", [0.97, 0.6])
def test_cut_m4a_is_refused(tmp_path: Path, is_faststart: bool, keep_ratio: float) -> None:
    options = {"movflags": "+faststart"} if is_faststart else {}
    path = write_media(tmp_path / "a.m4a", [noise(2, 100_000)], codec="aac", options=options)
    assert decoded(path).shape[1] >= 100_000
    assert "truncated: a box of the MP4 container reaches beyond" in str(error_of(cut(path, keep_ratio=keep_ratio)))


def box(kind: bytes, content: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(">I", len(content) + 8 if size is None else size) + kind + content


@pytest.mark.parametrize(
    ("content", "is_cut"),
    [
        (box(b"ftyp") + box(b"moov", bytes(9)), False),
        (box(b"ftyp") + box(b"mdat", bytes(9), size=18), True),
        (box(b"ftyp") + box(b"mdat", bytes(9), size=0), False),  # as long as the file
        (box(b"ftyp") + box(b"mdat", struct.pack(">Q", 20) + bytes(4), size=1), False),  # 64-bit size
        (box(b"ftyp") + box(b"mdat", struct.pack(">Q", 21) + bytes(4), size=1), True),
        (box(b"ftyp") + box(b"mdat", size=3), True),
        (b"RIFF", False),
    ],
)
def test_an_mp4_whose_boxes_reach_beyond_its_end_is_cut(tmp_path: Path, content: bytes, is_cut: bool) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert is_mp4_cut(file) is is_cut


@pytest.mark.parametrize(
    "content",
    [
        b"caff" + bytes(4),
        b"riff" + bytes(80),
        b".snd\0",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF" + bytes(20),
        b"RIFF" + bytes(10**6),
        b"",
    ],
)
def test_headers_without_data_say_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert file_facts(file).span is None


def test_a_change_of_rate_on_the_way_is_refused(tmp_path: Path) -> None:
    parts = [write_media(tmp_path / f"{r}.aac", [noise(2, r)], codec="aac", sample_rate=r) for r in (44_100, 24_000)]
    path = tmp_path / "both.aac"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert "sample rate or channels change after 1.0" in str(error_of(path))


def test_a_mono_file_keeps_its_level_through_ffmpeg(tmp_path: Path) -> None:
    wave = sines(48_000, 48_000, (440.0,))[:1]
    got = decoded(write_media(tmp_path / "a.m4a", [wave], codec="aac", sample_rate=48_000))
    assert snr_db(wave[:, 5_000:40_000], got[:, 5_000:40_000]) > 20


def test_cut_webm_is_refused_by_its_declared_length(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.webm", [noise(2, 96_000)], codec="libopus", sample_rate=48_000)
    error = error_of(cut(path))
    assert "truncated" in error.problem


def test_damage_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.m4a", [noise(2, 100_000)], codec="aac")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8_000] = np.random.default_rng(0).integers(0, 256, 8_000, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    assert "its audio breaks after" in str(error_of(path))


def test_files_without_bytes_or_samples_are_refused(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.wav"
    nothing.write_bytes(b"")
    assert "the file is empty (0 bytes)" in str(error_of(nothing))
    silent = write_audio(tmp_path / "a.wav", np.zeros((2, 0), np.float32))
    assert "the file contains no samples" in str(error_of(silent))
    with pytest.raises(InputError, match="contains no samples"):
        probe(silent)


def test_zero_length_data_before_other_chunks_is_empty_and_not_a_pipe(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", np.zeros((2, 0), np.float32))
    extra = b"LIST" + struct.pack("<I", 4_000) + bytes(4_000)
    data = path.read_bytes() + extra
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    assert "the file contains no samples" in str(error_of(path))


@pytest.mark.parametrize("name", ["text.wav", "text.mp4", "노래 with space.flac"])
def test_text_is_not_audio(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("These are not the samples you are looking for.\n" * 40)
    error = error_of(path)
    assert "not audio that can be decoded" in error.problem
    assert "give a WAV, FLAC" in str(error.hint)


def test_a_playlist_in_disguise_opens_nothing(tmp_path: Path) -> None:
    secret = write_media(tmp_path / "secret.aac", [noise(2, 44_100)], codec="aac", container="adts")
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {secret.name}\n",
    ):
        path = tmp_path / "list.m3u8"
        path.write_text(text)
        error_of(path)


def test_missing_folder_pipe_and_raw(tmp_path: Path) -> None:
    assert "there is no such file" in str(error_of(tmp_path / "missing.wav"))
    assert "this is a folder" in str(error_of(tmp_path))
    raw = tmp_path / "a.raw"
    raw.write_bytes(bytes(100))
    assert "raw samples have no header" in str(error_of(raw))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.wav")
        assert "this is a pipe or device" in str(error_of(tmp_path / "pipe.wav"))
    assert "cannot be read" in str(error_of(tmp_path / ("long" * 100 + ".wav")))


def test_a_file_without_read_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_audio(tmp_path / "a.wav", noise(2, 10))
    path.chmod(0)
    if os.access(path, os.R_OK):  # a superuser reads everything

        def refuse(self: Path, *_: object) -> None:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "open", refuse)
    error = error_of(path)
    assert "no permission to read" in error.problem
    assert "chmod u+r" in str(error.hint)


def test_no_audio_stream_and_unknown_codec(tmp_path: Path) -> None:
    video = write_video_only(tmp_path / "video.mp4")
    assert "there is no audio stream" in str(error_of(video))
    odd = write_media(tmp_path / "odd.mka", [noise(2, 48_000)], codec="ac3", sample_rate=48_000)
    data = odd.read_bytes()
    assert b"A_AC3" in data
    odd.write_bytes(data.replace(b"A_AC3", b"A_XYZ"))
    error = error_of(odd)
    assert "codec" in error.problem
    assert "convert it to WAV or FLAC" in str(error.hint)


def test_absent_pyav_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_media(tmp_path / "a.m4a", [noise(2, 4_000)], codec="aac")
    monkeypatch.setitem(sys.modules, "av", None)
    error = error_of(path)
    assert "PyAV" in error.problem
    assert "pip install av" in str(error.hint)


def test_impossible_sample_rates_and_channels_are_refused(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", noise(2, 100), 7)
    assert "sample rate of 7 Hz" in str(error_of(path))
    with pytest.raises(InputError, match="no channel"):
        AudioInfo(path, 44_100, 0, None, "WAV", "PCM_16")


def test_names_with_spaces_letters_and_broken_bytes(tmp_path: Path) -> None:
    wave = noise(2, 100)
    names = ["a b.wav", "노래.wav", "file:x%03d.wav", "-o.wav"]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"broken\xff.wav"))
    for name in names:
        path = tmp_path / name
        write_audio(tmp_path / "plain.wav", wave, subtype="FLOAT").rename(path)
        assert np.array_equal(decoded(path), wave)
        m4a = write_media(tmp_path / "plain.m4a", [noise(2, 4_000)], codec="aac").rename(path.with_suffix(".m4a"))
        assert decoded(m4a).shape[0] == 2


def test_mp3_without_a_frame_count_is_not_suspected(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.mp3", sines(SAMPLES, 44_100))
    data = path.read_bytes()
    tag = max(data.find(b"Info", 0, 4_096), data.find(b"Xing", 0, 4_096))
    assert tag > 0
    second_frame = data.find(data[:2], tag)
    assert second_frame > 0
    path.write_bytes(data[second_frame:][: len(data) // 2])
    assert probe(path).samples is None
    assert decoded(path).shape[1] > 5_000


def test_mp3_behind_an_id3_tag_keeps_its_length(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.mp3", sines(SAMPLES, 44_100))
    path.write_bytes(b"ID3\x04\0\0" + bytes([0, 0, 0x28, 0]) + bytes(0x28 << 7) + path.read_bytes())
    assert probe(path).samples == SAMPLES
    assert decoded(path).shape[1] == SAMPLES
