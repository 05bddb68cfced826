"""Every sample of the song: whatever a header says, files are decoded to their end, or it is said what is missing."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from my_submission.audio_io import DiskStore, ReadOptions, load_mixture, probe
from my_submission.audio_io.decoding.declared_length import file_facts
from my_submission.audio_io.decoding.decode import checked_blocks, open_decoder
from my_submission.audio_io.decoding.downmix import Downmix
from my_submission.errors import InputError
from tests.audio_fixtures import Wave, noise, sines, snr_db, write_audio, write_media
from tests.decoding_mutants import ffmpeg_samples

RATE = 44_100
SAMPLES = 30_000


def read(path: Path, options: ReadOptions | None = None) -> tuple[Wave, tuple[str, ...]]:
    """All samples, and the notes."""
    with open_decoder(path, options or ReadOptions()) as decoder:
        blocks = list(checked_blocks(decoder, 4_096))
        assert all(block.shape[1] == 4_096 for block in blocks[:-1])
        return np.concatenate(blocks, axis=1), decoder.notes


def problem(path: Path, options: ReadOptions | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read(path, options)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return caught.value.problem


def mp3(path: Path, samples: int = SAMPLES, *, has_tag: bool = False, bit_rate: int = 128_000) -> Path:
    options = {} if has_tag else {"write_xing": "0"}
    return write_media(path, [noise(2, samples)], codec="libmp3lame", options=options, bit_rate=bit_rate)


# --- MP3


def test_mp3_of_changing_bit_rate_without_a_count_of_frames(tmp_path: Path) -> None:
    parts = [mp3(tmp_path / f"{rate}.mp3", bit_rate=rate).read_bytes() for rate in (32_000, 320_000, 64_000)]
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(parts))
    got, _ = read(path)
    assert got.shape[1] == ffmpeg_samples(path) >= 3 * SAMPLES
    assert probe(path).samples is None


def test_mp3_whose_start_is_missing(tmp_path: Path) -> None:
    path = mp3(tmp_path / "a.mp3", has_tag=True)
    path.write_bytes(path.read_bytes()[5_000:])
    got, _ = read(path)
    assert got.shape[1] == ffmpeg_samples(path) > SAMPLES / 2


@pytest.mark.parametrize("n_frames", [0, 9, 0x7FFFFFFF])
def test_a_wrong_count_of_mp3_frames_is_told(tmp_path: Path, n_frames: int) -> None:
    path = mp3(tmp_path / "a.mp3", has_tag=True)
    data = bytearray(path.read_bytes())
    tag = max(data.find(b"Xing"), data.find(b"Info"))
    data[tag + 8 : tag + 12] = struct.pack(">I", n_frames)
    path.write_bytes(data)
    got, notes = read(path)
    assert SAMPLES <= got.shape[1] <= SAMPLES + 1_152
    assert len(notes) == 1
    assert notes[0].startswith(f"its Xing tag counts {n_frames} frames")


def test_mp3_with_the_right_count_has_the_length_of_what_was_encoded(tmp_path: Path) -> None:
    path = mp3(tmp_path / "a.mp3", has_tag=True)
    got, notes = read(path)
    assert got.shape[1] == SAMPLES == ffmpeg_samples(path) == probe(path).samples
    assert notes == ()
    with path.open("rb") as file:
        assert file_facts(file).has_exact_length


@pytest.mark.parametrize("between", [b"", b"TAG" + bytes(125), b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)])
def test_joined_mp3s_are_read_whole(tmp_path: Path, between: bytes) -> None:
    data = mp3(tmp_path / "a.mp3", has_tag=True).read_bytes()
    path = tmp_path / "joined.mp3"
    path.write_bytes(data + between + data)
    got, notes = read(path)
    assert 2 * SAMPLES <= got.shape[1] <= 2 * SAMPLES + 3 * 1_152
    assert notes[0].startswith("its Xing tag counts 28 frames")


def test_mp3_in_a_wav_is_read_to_its_end(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.wav", [noise(2, SAMPLES)], codec="libmp3lame")
    assert read(path)[0].shape[1] == ffmpeg_samples(path) >= SAMPLES


def test_a_cut_mp3_is_refused_by_its_count_of_frames(tmp_path: Path) -> None:
    path = mp3(tmp_path / "a.mp3", has_tag=True)
    path.write_bytes(path.read_bytes()[:-2_000])
    assert "its Xing tag counts" in problem(path)
    path = mp3(path, has_tag=True)
    path.write_bytes(path.read_bytes()[:-100])
    assert "are there; all of them were read" in read(path)[1][0]


# --- recordings that follow one another


@pytest.mark.parametrize("kind", ["ogg", "opus", "oga", "flac", "wav", "aiff"])
def test_joined_recordings_are_read_one_after_another(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    wave = sines(SAMPLES, 48_000)
    if kind == "oga":
        write_media(path, [wave], codec="flac", container="ogg", sample_rate=48_000)
    else:
        write_audio(path, wave, 48_000, **({"format": "OGG", "subtype": "OPUS"} if kind == "opus" else {}))
    one, notes = read(path)
    assert (one.shape, notes) == ((2, SAMPLES), ())
    path.write_bytes(path.read_bytes() * 3)
    got, notes = read(path)
    assert np.array_equal(got, np.concatenate([one] * 3, axis=1))
    assert notes == ("3 joined recordings in this file; all were read",)


def test_chained_recordings_of_other_rates_and_channels(tmp_path: Path) -> None:
    stereo, mono = sines(SAMPLES, RATE, (440.0,)), sines(SAMPLES // 2, RATE // 2, (440.0,))[:1]
    parts = [write_audio(tmp_path / f"{rate}.ogg", wave, rate) for wave, rate in ((mono, RATE // 2), (stereo, RATE))]
    path = tmp_path / "chained.ogg"
    path.write_bytes(b"".join(part.read_bytes() for part in reversed(parts)))
    got, notes = read(path)
    assert got.shape == (2, 2 * SAMPLES)
    assert snr_db(sines(SAMPLES, RATE, (440.0,))[:1, 3_000:-3_000], got[1:, SAMPLES + 3_000 : -3_000]) > 15
    assert notes[1] == f"recordings of another sample rate were resampled to {RATE} Hz"


def test_a_broken_recording_in_a_chain_is_named(tmp_path: Path) -> None:
    data = write_audio(tmp_path / "a.flac", noise(2, SAMPLES)).read_bytes()
    path = tmp_path / "joined.flac"
    path.write_bytes(data + data[:-1_000])
    assert problem(path).startswith("recording 2 of 2 in it: the file is truncated")


# --- ends that are missing


@pytest.mark.parametrize("n_bytes", [1, 40, 300])
@pytest.mark.parametrize("name", ["a.ogg", "a.opus"])
def test_ogg_cut_inside_its_last_page_is_refused(tmp_path: Path, name: str, n_bytes: int) -> None:
    options = {"format": "OGG", "subtype": "OPUS"} if name == "a.opus" else {}
    path = write_audio(tmp_path / name, noise(2, SAMPLES), 48_000, **options)
    path.write_bytes(path.read_bytes()[:-n_bytes])
    assert "the last page of an Ogg stream is cut" in problem(path)


def test_a_damaged_or_missing_ogg_page_is_told(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.ogg", noise(2, 200_000))
    data = path.read_bytes()
    pages = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    path.write_bytes(data[: pages[3]] + data[pages[4] :])
    assert "0 pages of its Ogg stream are damaged and 1 are missing" in problem(path)
    flipped = bytearray(data)
    flipped[pages[-1] + 60] ^= 1  # decoders leave such a page out and report a shorter file
    path.write_bytes(flipped)
    assert "1 pages of its Ogg stream are damaged and 0 are missing" in problem(path)


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [("a.webm", "libopus", "webm"), ("a.mkv", "aac", "matroska"), ("a.wma", "wmav2", "asf"), ("a.m4a", "aac", "ipod")],
)
def test_a_few_missing_bytes_of_a_container_are_noticed(tmp_path: Path, name: str, codec: str, container: str) -> None:
    path = write_media(tmp_path / name, [noise(2, 48_000)], codec=codec, container=container, sample_rate=48_000)
    read(path)
    path.write_bytes(path.read_bytes()[:-7])
    assert "truncated" in problem(path)


# --- headers that promise too little

SIZES: dict[str, Callable[[bytes], tuple[int, str]]] = {
    "wav": lambda data: (data.find(b"data") + 4, "<I"),
    "aiff": lambda data: (data.find(b"SSND") + 4, ">I"),
    "w64": lambda data: (data.find(b"data\xf3\xac") + 16, "<Q"),
    "caf": lambda data: (data.find(b"data") + 4, ">q"),
    "au": lambda data: (8, ">I"),
}


@pytest.mark.parametrize("kept", [0, 1])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("kind", list(SIZES))
def test_a_size_that_is_too_small_is_told_and_not_believed(tmp_path: Path, kind: str, subtype: str, kept: int) -> None:
    wave = noise(2, SAMPLES)
    path = write_audio(tmp_path / f"a.{kind}", wave, subtype=subtype)
    whole, _ = read(path)
    data = bytearray(path.read_bytes())
    position, form = SIZES[kind](bytes(data))
    (size,) = struct.unpack_from(form, data, position)
    n_bytes = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}[subtype] * 2 * SAMPLES
    struct.pack_into(form, data, position, size - n_bytes + kept * n_bytes // 4)
    path.write_bytes(data)
    got, notes = read(path)
    assert np.array_equal(got, whole)
    promised = kept * SAMPLES / 4 / RATE
    assert notes == (
        f"its header states {promised:.3f} s of audio; {SAMPLES / RATE - promised:.3f} s more follow and were read",
    )


@pytest.mark.parametrize(
    "behind", [b"LIST\4\0\0\0INFO" + b"id3 \x40\0\0\0" + bytes(64), b"TAG" + b"x" * 125, bytes(5_000)]
)
def test_what_follows_the_audio_is_not_taken_for_audio(tmp_path: Path, behind: bytes) -> None:
    path = write_audio(tmp_path / "a.wav", noise(2, SAMPLES))
    path.write_bytes(path.read_bytes() + behind)
    got, notes = read(path)
    assert (got.shape[1], notes) == (SAMPLES, ())


@pytest.mark.parametrize("behind", [b"", b"LIST\4\0\0\0INFO"])
def test_a_size_that_wrapped_at_4_gib(tmp_path: Path, behind: bytes) -> None:
    path = write_audio(tmp_path / "a.wav", noise(2, 1_000))
    header = path.read_bytes()
    with path.open("r+b") as file:  # sparse: 4 GiB of zeros between the first samples and the last
        file.seek(1 << 32)
        file.write(header + behind)
        size = file.tell() - 44 - len(behind)
        file.seek(40)
        file.write(struct.pack("<I", size & 0xFFFFFFFF))
    with path.open("rb") as file:
        span = file_facts(file).span
    assert span is not None
    assert (span.audio, span.surplus) == (size, 1 << 32)


def test_compressed_samples_behind_a_wav_header_that_promises_none(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", noise(2, SAMPLES), subtype="MS_ADPCM")
    whole = ffmpeg_samples(path)
    data = bytearray(path.read_bytes())
    at = data.find(b"data") + 4
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    got, notes = read(path)
    assert got.shape[1] == whole
    assert "its header states less audio than the file has" in notes[0]


def test_flac_that_counts_fewer_samples_than_it_holds(tmp_path: Path) -> None:
    wave = noise(2, SAMPLES)
    path = write_audio(tmp_path / "a.flac", wave)
    data = bytearray(path.read_bytes())
    data[22:26] = struct.pack(">I", SAMPLES // 3)
    path.write_bytes(data)
    got, notes = read(path)
    assert np.abs(got - wave).max() <= 2**-15
    said = f"its header counts {SAMPLES // 3} samples and its last frame ends at sample {SAMPLES}"
    assert notes == (f"{said}; all of them were read",)


def test_nothing_is_reserved_on_a_header_s_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserved = []
    resize = DiskStore.resize
    monkeypatch.setattr(DiskStore, "resize", lambda self, samples: (reserved.append(samples), resize(self, samples))[1])
    path = write_audio(tmp_path / "a.flac", noise(2, SAMPLES))
    data = bytearray(path.read_bytes())
    data[22:26] = struct.pack(">I", 400_000_000)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"its audio ends after 0\.680 s of 9070\.295 s"):
        load_mixture(path, scratch_dir=tmp_path)
    assert max(reserved) < 3_000_000


def test_a_store_grows_to_the_length_of_the_song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("my_submission.audio_io.mixture._FIRST_SAMPLES", 1_000)
    monkeypatch.setattr("my_submission.audio_io.mixture.BLOCK_SAMPLES", 700)
    wave = noise(2, 9_999)
    with load_mixture(write_audio(tmp_path / "a.wav", wave, subtype="FLOAT"), scratch_dir=tmp_path) as song:
        assert np.array_equal(song.store.read(0, song.samples), wave)


# --- odd files


def test_64_bit_integers_are_decoded_to_the_bit(tmp_path: Path) -> None:
    wave = noise(2, 1_000, level=0.2)
    body = (wave.T.astype(np.float64) * 2.0**63).astype("<i8").tobytes()
    form = struct.pack("<HHIIHH", 1, 2, RATE, RATE * 16, 16, 64)
    path = tmp_path / "a.wav"
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(body)) + body
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    assert np.array_equal(read(path)[0], wave)


def test_many_chunks_are_walked_once(tmp_path: Path) -> None:
    wave = noise(2, 1_000)
    data = write_audio(tmp_path / "a.wav", wave).read_bytes()
    path = tmp_path / "many.wav"
    path.write_bytes(data[:36] + b"junk\2\0\0\0zz" * 5_000 + data[36:])
    assert np.abs(read(path)[0] - wave).max() <= 2**-15


# --- tracks and channels


@pytest.mark.parametrize(("default", "number"), [(0, 1), (1, 2)])
def test_the_default_track_is_read(tmp_path: Path, default: int, number: int) -> None:
    waves = [sines(48_000, 48_000, (frequency,)) for frequency in (300.0, 1_000.0)]
    path = write_media(tmp_path / "a.mkv", waves, codec="flac", sample_rate=48_000, default=default)
    got, notes = read(path)
    assert snr_db(waves[default][:, 5_000:40_000], got[:, 5_000:40_000]) > 20
    assert notes == (f"audio track {number} of 2 was read, the default one; --audio-track chooses another",)
    asked, notes = read(path, ReadOptions(audio_track=3 - number))
    assert snr_db(waves[1 - default][:, 5_000:40_000], asked[:, 5_000:40_000]) > 20
    assert notes == ()
    assert problem(path, ReadOptions(audio_track=3)) == "there is no audio track 3, the file has 2"


def test_surround_gives_way_to_stereo_unless_it_is_mixed_down(tmp_path: Path) -> None:
    waves = [noise(6, 48_000), sines(48_000, 48_000)]
    path = write_media(tmp_path / "a.mkv", waves, codec="flac", sample_rate=48_000, default=0)
    got, notes = read(path)
    assert snr_db(waves[1][:, 5_000:40_000], got[:, 5_000:40_000]) > 15
    assert "audio track 2 of 2 was read, the first with one or two channels" in notes[0]
    got, notes = read(path, ReadOptions(downmix=True))
    assert got.shape[0] == 2
    assert "audio track 1 of 2 was read, the default one" in notes[0]
    assert notes[1].startswith("6 channels (FL FR FC LFE")


def test_a_file_of_one_track_has_no_other(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", noise(2, 100))
    assert read(path, ReadOptions(audio_track=1))[0].shape == (2, 100)
    assert problem(path, ReadOptions(audio_track=2)) == "there is no audio track 2, the file has 1"


def test_stem_files_need_no_note(tmp_path: Path) -> None:
    waves = [sines(48_000, 48_000, (frequency,)) for frequency in (300.0, 1_000.0)]
    path = write_media(tmp_path / "a.stem.mp4", waves, codec="aac", sample_rate=48_000)
    assert read(path)[1] == ()


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_downmix_follows_bs_775(tmp_path: Path, name: str) -> None:
    gains = {"FL": (1, 0), "FR": (0, 1), "FC": (0.5**0.5,) * 2, "LFE": (0, 0), "BL": (0.5**0.5, 0), "BR": (0, 0.5**0.5)}
    wave = noise(6, 5_000)
    path = write_audio(tmp_path / name, wave, subtype="PCM_24")
    with pytest.raises(InputError, match="6 channels where 1 or 2 are expected"):
        load_mixture(path, scratch_dir=None)
    with load_mixture(path, scratch_dir=None, options=ReadOptions(downmix=True)) as song:
        got = song.store.read(0, song.samples)
    expected = np.array(list(gains.values())).T @ wave / (1 + 2 * 0.5**0.5)
    assert np.abs(got - expected).max() < 1e-6
    assert song.notes[0].startswith("6 channels (FL FR FC LFE")
    assert "all scaled by -7.7 dB" in song.notes[0]


def test_a_downmix_never_exceeds_full_scale() -> None:
    loud = np.ones((8, 10), np.float32)
    downmix = Downmix(["FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"])
    assert np.abs(downmix(loud)).max() == pytest.approx(1)
    with pytest.raises(ValueError, match="12 channels in an unknown order"):
        Downmix(["NONE"] * 12)
    assert "assumed" in Downmix(["NONE"] * 4).note
