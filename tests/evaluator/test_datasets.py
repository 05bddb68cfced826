"""Layouts, source names, pairing, block reading."""

from __future__ import annotations

import re
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evaluator.audio import AudioShape, FileStem, SumStem
from evaluator.datasets import (
    CINEMA_SOURCES,
    MUSIC_SOURCES,
    DatasetSong,
    common_sources,
    find_songs,
    match_estimates,
)
from evaluator.errors import DatasetError
from evaluator.pairs import StemPair

RATE = 8000


def write(path: Path, *, seconds: float = 0.1, channels: int = 2, rate: int = RATE, seed: int = 0) -> np.ndarray:
    audio = 0.1 * np.random.default_rng(seed).standard_normal((int(seconds * rate), channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype="DOUBLE" if path.suffix == ".wav" else None)
    return audio.T


def read(stem: FileStem | SumStem, block: int = 97) -> np.ndarray:
    return np.concatenate(list(stem.blocks(block)), axis=1)


def test_songs_are_found_below_subsets_without_hidden_folders(tmp_path: Path) -> None:
    for place in ("train/one song", "test/zwei Lieder", "test/三"):
        for source in (*MUSIC_SOURCES, "mixture"):
            write(tmp_path / place / f"{source}.wav")
    (tmp_path / "test" / "notes.txt").write_text("no song")
    write(tmp_path / "test" / ".hidden" / "bass.wav")
    songs = find_songs(tmp_path)
    assert [song.location for song in songs] == ["test/zwei Lieder", "test/三", "train/one song"]
    assert all(song.sources == set(MUSIC_SOURCES) and song.mixture is not None for song in songs)
    assert common_sources(songs) == MUSIC_SOURCES


def test_dnr_layout_uses_the_challenges_names(tmp_path: Path) -> None:
    for source in ("mix", "speech", "sfx", "music"):
        write(tmp_path / "tt" / "1004" / f"{source}.wav")
    (song,) = find_songs(tmp_path)
    assert song.name == "1004"
    assert song.sources == set(CINEMA_SOURCES)
    assert song.mixture == FileStem(tmp_path / "tt" / "1004" / "mix.wav")
    assert common_sources([song]) == CINEMA_SOURCES


def test_cdx_layout_drops_the_folders_prefix_and_the_split_mixture(tmp_path: Path) -> None:
    for source in ("dialog", "effect", "music", "mixture_Lt", "mixture_Rt"):
        write(tmp_path / "film_7" / f"film_7_{source}.wav")
    (song,) = find_songs(tmp_path)
    assert song.sources == set(CINEMA_SOURCES)
    assert song.mixture is None


def test_other_formats_and_other_sources(tmp_path: Path) -> None:
    for source, suffix in (("vocals", "flac"), ("accompaniment", "ogg")):
        write(tmp_path / "song" / f"{source}.{suffix}")
    (song,) = find_songs(tmp_path)
    assert common_sources([song]) == ("accompaniment", "vocals")


def test_a_folder_that_is_itself_the_song(tmp_path: Path) -> None:
    write(tmp_path / "lone song" / "vocals.wav")
    (song,) = find_songs(tmp_path / "lone song")
    assert (song.name, song.location) == ("lone song", ".")


def test_a_lone_mixture_is_an_incomplete_song_and_a_stray_file_none(tmp_path: Path) -> None:
    for source in MUSIC_SOURCES:
        write(tmp_path / "song" / f"{source}.wav")
    write(tmp_path / "hidden stems" / "mixture.wav")
    write(tmp_path / "preview.wav")
    songs = find_songs(tmp_path)
    assert {song.name: len(song.sources) for song in songs} == {"song": 4, "hidden stems": 0}
    assert common_sources(songs) == MUSIC_SOURCES
    assert common_sources(songs[:1]) == ()


def test_common_sources_follow_the_majority(tmp_path: Path) -> None:
    for index in range(3):
        for source in (*MUSIC_SOURCES, "guitar"):
            write(tmp_path / str(index) / f"{source}.wav")
    write(tmp_path / "odd" / "vocals.wav")
    assert common_sources(find_songs(tmp_path)) == MUSIC_SOURCES


@pytest.mark.parametrize("make", [False, True], ids=["absent", "empty"])
def test_a_missing_or_empty_folder_is_refused(make: bool, tmp_path: Path) -> None:
    root = tmp_path / "here"
    if make:
        root.mkdir()
    with pytest.raises(DatasetError, match=r"no songs here|no such folder"):
        find_songs(root)


def test_estimates_are_found_by_place_then_by_name() -> None:
    references = [DatasetSong("a", "test/a"), DatasetSong("b", "test/b"), DatasetSong("c", "test/c")]
    estimates = [DatasetSong("a", "test/a"), DatasetSong("a", "old/a"), DatasetSong("b", "b"), DatasetSong("x", "x")]
    pairs, unclear = match_estimates(references, estimates)
    assert {place: song.location for place, song in pairs.items()} == {"test/a": "test/a", "test/b": "b"}
    assert unclear == {}


def test_an_estimate_that_could_be_two_is_refused_and_the_others_are_paired() -> None:
    estimates = [DatasetSong("a", "x/a"), DatasetSong("a", "y/a"), DatasetSong("b", "z/b")]
    pairs, unclear = match_estimates([DatasetSong("a", "test/a"), DatasetSong("b", "b")], estimates)
    assert {place: song.location for place, song in pairs.items()} == {"b": "z/b"}
    assert list(unclear) == ["test/a"]
    assert re.search(r"several estimates.*x/a, y/a.*Keep one", unclear["test/a"])


def test_two_lone_songs_belong_together_whatever_their_names() -> None:
    pairs, _ = match_estimates([DatasetSong("reference", ".")], [DatasetSong("estimate", ".")])
    assert pairs["."].name == "estimate"


@pytest.mark.parametrize("block", [1, 97, 800, 10_000])
def test_a_file_in_blocks_is_the_file(block: int, tmp_path: Path) -> None:
    audio = write(tmp_path / "a.wav")
    stem = FileStem(tmp_path / "a.wav")
    assert stem.shape() == AudioShape(800, 2, RATE)
    np.testing.assert_array_equal(read(stem, block), audio)


def test_sums_and_baselines(tmp_path: Path) -> None:
    parts = {name: write(tmp_path / "s" / f"{name}.wav", seed=i) for i, name in enumerate(MUSIC_SOURCES)}
    (song,) = find_songs(tmp_path)
    total = np.sum(list(parts.values()), axis=0)
    baseline = song.baseline(MUSIC_SOURCES)
    assert set(baseline) == set(MUSIC_SOURCES)
    share = baseline["bass"]
    np.testing.assert_allclose(np.concatenate(list(share.blocks(100)), axis=1), total / 4, atol=1e-12)
    assert share.shape() == AudioShape(800, 2, RATE)


def test_content_keys_follow_content_not_names(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(tmp_path / f"{name}.wav", seed=seed)
    a, b, c = (FileStem(tmp_path / f"{name}.wav") for name in "abc")
    assert a.content_key() == b.content_key() != c.content_key()
    assert SumStem((a,), 0.5).content_key() != SumStem((a,), 0.25).content_key()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": 0.2}, "estimate vocals has 1600 samples, its reference 800.*--length pad"),
        ({"rate": 16_000}, "estimate vocals has 16000 Hz, its reference 8000.*--resample"),
        ({"channels": 1}, "estimate vocals has 1 channels, its reference 2.*--channels match"),
        ({"channels": 1, "seconds": 0.2}, "1 channels, .* has 1600 samples.*with --channels match --length pad"),
        (
            {"channels": 3},
            r"estimate vocals has 3 channels, its reference 2\. Separate .* with its length, rate and channels\.$",
        ),
    ],
)
def test_stems_that_do_not_fit_are_named(change: dict[str, float], message: str, tmp_path: Path) -> None:
    write(tmp_path / "ref.wav")
    write(tmp_path / "est.wav", **change)  # type: ignore[arg-type]
    reference, estimate = ({"vocals": FileStem(tmp_path / name)} for name in ("ref.wav", "est.wav"))
    with pytest.raises(DatasetError, match=rf"est\.wav: .*{message}"):
        StemPair.open(reference, estimate, ["vocals"])


def test_a_missing_stem_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    with pytest.raises(DatasetError, match="no estimate for bass, drums"):
        StemPair.open(dict.fromkeys(("bass", "drums"), FileStem(tmp_path / "a.wav")), {}, ["bass", "drums"])


def test_files_that_are_no_audio_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("not audio")
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 2)), RATE)
    for name in ("text.wav", "empty.wav", "absent.wav"):
        with pytest.raises(DatasetError, match=name):
            FileStem(tmp_path / name).shape()
    with pytest.raises(DatasetError, match=r"text\.wav"):
        read(FileStem(tmp_path / "text.wav"))
    with pytest.raises(DatasetError, match=r"absent\.wav"):
        FileStem(tmp_path / "absent.wav").content_key()


def test_samples_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    audio = np.zeros((50, 1))
    audio[20] = np.nan
    soundfile.write(tmp_path / "nan.wav", audio, RATE, subtype="FLOAT")
    with pytest.raises(DatasetError, match="not finite"):
        read(FileStem(tmp_path / "nan.wav"))


def falcon_69() -> Path:
    """The real MUSDB18 excerpt that stempeg ships."""
    for folder in map(Path, sys.path):
        found = sorted(folder.glob("stempeg/data/*.stem.mp4"))
        if found:
            return found[0]
    pytest.skip("stempeg, which ships the excerpt, is not installed")


def test_stem_mp4_is_decoded_by_musdb(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("decoding .stem.mp4 needs ffmpeg and ffprobe on PATH")
    source = falcon_69()
    (tmp_path / "test").mkdir()
    shutil.copy(source, tmp_path / "test" / source.name)
    (song,) = find_songs(tmp_path)
    assert (song.name, song.location) == (source.name[:-9], f"test/{source.name[:-9]}")
    assert song.sources == set(MUSIC_SOURCES)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # musdb's ffmpeg pipes are closed by the garbage collector
        decoded = song.decoded(scratch)
    assert decoded.mixture is not None
    shapes = {stem.shape() for stem in (*decoded.stems.values(), decoded.mixture)}
    assert len(shapes) == 1
    assert shapes.pop().channels == 2
    mixture, total = read(decoded.mixture, 1 << 16), read(SumStem(tuple(decoded.stems.values())), 1 << 16)  # type: ignore[arg-type]
    assert 10 * np.log10((mixture**2).sum() / ((mixture - total) ** 2).sum()) > 15, "the stems add up to the mixture"


def test_stem_mp4_without_ffmpeg_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "song.stem.mp4").write_bytes(b"x")
    (song,) = find_songs(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatasetError, match=r"song\.stem\.mp4.*Install ffmpeg"):
        song.decoded(tmp_path)


def test_stem_mp4_that_is_none_says_so(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("decoding .stem.mp4 needs ffmpeg and ffprobe on PATH")
    pytest.importorskip("musdb", reason="musdb is not installed")
    (tmp_path / "song.stem.mp4").write_bytes(b"not a film")
    (song,) = find_songs(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DatasetError, match="cannot be decoded"):
            song.decoded(tmp_path)
