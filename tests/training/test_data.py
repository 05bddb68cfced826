"""Song folders, splits, the spool, windows by number: what is read, what is remembered, what is refused."""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from evaluator.errors import DatasetError
from my_submission.errors import InputError
from my_submission.geometry import SAMPLE_RATE
from my_submission.stems import CINEMA_SOURCES, MUSIC_SOURCES
from tests.audio_fixtures import write_audio, write_media
from tests.training.published_recipes import songs_of_mean_length
from tests.training_songs import SECONDS, synthetic_stem, write_audio_song, write_spooled_songs
from training.augment.limiting import LimitAug
from training.augment.tone import Flip
from training.data.decoding import as_pcm, decode_songs
from training.data.songs import SongCollection, TrainingSong, read_collection, read_collections, require_song, split
from training.data.splits import MUSDB18_VALIDATION, expanded, validation_order
from training.data.stems import fingerprint, level, open_stem, write_stem
from training.examples.loading import RunData, RunDataModule, SongDataset, epoch_steps, read_data
from training.examples.remix import REFERENCE_RMS, RemixDataset
from training.examples.sampling import BatchPlan, PartSampler
from training.modules.registry import load_experiment
from training.tables.augment import AugmentSettings


@pytest.fixture(scope="module")
def spooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spooled_songs(tmp_path_factory.mktemp("corpus") / "songs", range(3))


def remix(
    collections: list[SongCollection], cache: Path, augment: AugmentSettings | None = None, **more: object
) -> RemixDataset:
    values = {"n_samples": 4096, "n_examples": 1000, "seed": 5, "draw": "song", "cache": cache} | more
    return RemixDataset(collections, augment or AugmentSettings(), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_a_window_of_a_file_is_that_part_of_it(suffix: str, tmp_path: Path) -> None:
    folder = write_audio_song(tmp_path / "song", ["bass"], suffix=suffix)
    stem = open_stem(folder / f"bass.{suffix}", song="song", source="bass")
    whole = soundfile.read(stem.path, dtype="float32")[0].T
    assert stem.n_samples == SAMPLE_RATE
    assert np.array_equal(stem.window(12_345, 1_000), whole[:, 12_345:13_345])


def test_a_window_beyond_the_end_is_filled_with_zeros(spooled: Path) -> None:
    stem = require_song(spooled / "song0").stems["bass"]
    end = stem.window(stem.n_samples - 10, 20)
    assert end[:, :10].any()
    assert not end[:, 10:].any()
    assert not stem.window(stem.n_samples + 5, 20).any()
    assert np.allclose(stem.window(1000, 500), synthetic_stem("bass", 0)[:, 1000:1500], atol=1e-4)


def test_a_mono_stem_is_heard_on_both_sides(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "bass.wav", synthetic_stem("bass", 0)[0], SAMPLE_RATE)
    window = open_stem(tmp_path / "bass.wav", song="s", source="bass").window(0, 100)
    assert window.shape == (2, 100)
    assert np.array_equal(window[0], window[1])


def test_what_is_no_stem_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "bass.wav").write_text("no audio")
    with pytest.raises(InputError, match=r"bass\.wav: is not an audio file"):
        require_song(tmp_path)
    write_audio_song(tmp_path, ["bass"], rate=22_050)
    with pytest.raises(InputError, match="22050 Hz"):
        require_song(tmp_path)
    (tmp_path / "bass.npy").write_bytes(b"\x93NUMPY cut")
    with pytest.raises(InputError, match="is not an array"):
        require_song(tmp_path)
    np.save(tmp_path / "bass.npy", np.zeros((10, 2), np.float32))
    with pytest.raises(InputError, match=r"float32 \(10, 2\)"):
        require_song(tmp_path)


@pytest.mark.parametrize("name", ["bass.mp3", "bass.m4a", "bass.aiff"])
def test_formats_that_are_decoded_from_the_beginning(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A window is the same part of the whole, where it begins in the first block or in a later one; and it is told."""
    wave = np.concatenate([synthetic_stem("other", seed, 4.0) for seed in range(2)], axis=1)
    path = tmp_path / "c" / "song" / name
    path.parent.mkdir(parents=True)
    if path.suffix == ".m4a":
        write_media(path, [wave], codec="aac")
    else:
        write_audio(path, wave)
    with caplog.at_level(logging.WARNING):
        stem = read_collection(tmp_path / "c").songs[0].stems["bass"]
    assert f"1 stems are {path.suffix}, decoded from the start" in caplog.text
    assert stem.n_samples == pytest.approx(wave.shape[1], abs=4_000)
    whole = stem.window(0, stem.n_samples)
    assert np.corrcoef(whole[0, 5_000:300_000], wave[0, 5_000:300_000])[0, 1] > 0.99
    for start in (1_000, 262_000, 300_000):
        np.testing.assert_array_equal(stem.window(start, 5_000), whole[:, start : start + 5_000])
    assert not stem.window(stem.n_samples - 10, 100)[:, 10:].any()
    assert decode_songs([path.parent], tmp_path / "corpus") == 1
    stored = np.load(tmp_path / "corpus" / "song" / "bass.npy")
    np.testing.assert_allclose(stored.T / 32_768, whole, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_stem_that_is_not_finite_is_refused_by_name(value: float, tmp_path: Path) -> None:
    """Where it is read, at the sample it stands at; and before training, when its level is measured."""
    wave = synthetic_stem("bass", 0, 1.0)
    wave[1, 30_000] = value
    (tmp_path / "c" / "song").mkdir(parents=True)
    soundfile.write(tmp_path / "c" / "song" / "bass.wav", wave.T, SAMPLE_RATE, subtype="FLOAT")
    stem = require_song(tmp_path / "c" / "song").stems["bass"]
    assert stem.window(0, 30_000).any()
    with pytest.raises(InputError, match=r"bass\.wav: contains NaN or infinity at sample 30000"):
        stem.window(20_000, 20_000)
    with pytest.raises(InputError, match=r"bass\.wav: contains NaN or infinity"):
        level(stem, tmp_path / "cache")
    with pytest.raises(InputError, match=r"bass\.wav: contains NaN or infinity"):
        decode_songs([tmp_path / "c" / "song"], tmp_path / "corpus")


def test_an_example_tells_what_it_is_made_of(spooled: Path, tmp_path: Path) -> None:
    """The stems of its sources in turn, doubled ones twice, absent ones not; from one song where they are together."""
    settings = AugmentSettings(doubled={"bass": 0.999999}, absent={"vocals": 0.999999})
    dataset = remix([read_collection(spooled)], tmp_path, settings)
    assert [stem.source for stem in dataset.stems_of(3)] == ["bass", "bass", "drums", "other"]
    together = remix([read_collection(spooled)], tmp_path, AugmentSettings(coherent=1.0))
    assert len({stem.song for stem in together.stems_of(0)}) == 1
    assert len(together.stems_of(0)) == 4


def test_a_song_may_lack_sources(tmp_path: Path) -> None:
    song = require_song(write_audio_song(tmp_path / "instrumental", ["bass", "drums"]))
    stems = song.stacked()
    assert stems.shape == (4, 2, SAMPLE_RATE)
    assert not stems[2:].any()
    assert stems[:2].any()
    with pytest.raises(InputError, match="contains no stem"):
        require_song(tmp_path)


def test_a_folder_without_songs_says_what_is_in_it(tmp_path: Path) -> None:
    write_audio_song(tmp_path / "musdb" / "train" / "song", ["bass"])
    with pytest.raises(InputError, match="Name the folders in it: train"):
        read_collection(tmp_path / "musdb")
    (tmp_path / "stems").mkdir()
    (tmp_path / "stems" / "a.stem.mp4").touch()
    with pytest.raises(InputError, match="python -m training decode"):
        read_collection(tmp_path / "stems")
    with pytest.raises(InputError, match="is not a folder"):
        read_collection(tmp_path / "nowhere")
    with pytest.raises(InputError, match="weight of b, c"):
        read_collections([tmp_path / "a", tmp_path / "b"], {"a": 1.0, "c": 2.0})


def test_the_published_split_is_86_to_14() -> None:
    names = [f"song {index:02d}" for index in range(86)] + list(MUSDB18_VALIDATION)
    collection = SongCollection("train", tuple(TrainingSong(name, {}) for name in names))
    training, validation = split([collection], expanded(["musdb18"]))
    assert len(training[0].songs) == 86
    assert [song.name for song in validation] == list(MUSDB18_VALIDATION)
    assert validation_order(["zebra", "Actions - One Minute Smile", "ape"])[0] == "Actions - One Minute Smile"


def test_musdb_has_the_same_split() -> None:
    import yaml

    musdb = pytest.importorskip("musdb")
    config = Path(musdb.__file__).parent / "configs" / "mus.yaml"
    assert tuple(yaml.safe_load(config.read_text())["validation_tracks"]) == MUSDB18_VALIDATION


def test_copies_of_held_out_songs_are_held_out_and_only_the_original_validates() -> None:
    original = SongCollection("train", (TrainingSong("a", {}), TrainingSong("b", {})))
    copies = SongCollection("train_p=-1_t=10", (TrainingSong("a", {}), TrainingSong("b", {})))
    training, validation = split([copies, original], {"b"})
    assert [[song.name for song in collection.songs] for collection in training] == [["a"], ["a"]]
    assert validation == [original.songs[1]]
    assert copies.is_augmented
    assert not original.is_augmented


def test_a_changed_split_meets_no_stale_memory(spooled: Path) -> None:
    first = read_data(load_experiment("tiny", ['data.held_out=["song1"]']), [spooled])
    second = read_data(load_experiment("tiny", ['data.held_out=["song2"]']), [spooled])
    assert [song.name for song in first.training[0].songs] == ["song0", "song2"]
    assert [song.name for song in second.training[0].songs] == ["song0", "song1"]
    assert [song.name for song in second.validation] == ["song2"]
    with pytest.raises(InputError, match="none of the held-out songs"):
        read_data(load_experiment("tiny", ['data.held_out=["song9"]']), [spooled])
    with pytest.raises(InputError, match="every song is held out"):
        read_data(load_experiment("tiny", ['data.held_out=["song0","song1","song2"]']), [spooled])


def test_levels_are_remembered_by_content(spooled: Path, tmp_path: Path) -> None:
    stem = require_song(spooled / "song0").stems["bass"]
    expected = float(np.sqrt(np.mean(synthetic_stem("bass", 0) ** 2)))
    assert level(stem, tmp_path) == pytest.approx(expected, rel=1e-3)
    (entry,) = tmp_path.iterdir()
    entry.write_text('{"active_rms": 0.25}')
    assert level(stem, tmp_path) == 0.25  # remembered, not measured
    changed = replace(stem, path=tmp_path / "bass.npy")
    np.save(changed.path, np.load(stem.path) // 2)
    assert level(changed, tmp_path) == pytest.approx(expected / 2, rel=1e-2)  # the same name, another content


def test_a_fingerprint_sees_every_kind_of_change(tmp_path: Path) -> None:
    path = tmp_path / "a"
    seen = set()
    for content, time in ((bytes(100_000), 1), (bytes(100_001), 1), (bytes(99_999) + b"1", 1), (bytes(100_000), 2)):
        path.write_bytes(content)
        os.utime(path, (time, time))
        seen.add(fingerprint(path))
    assert len(seen) == 4


def test_decoding_keeps_sixteen_bits_and_skips_silence(tmp_path: Path) -> None:
    folder = write_audio_song(tmp_path / "song", ["bass", "drums"])
    soundfile.write(folder / "vocals.wav", np.zeros((SAMPLE_RATE, 2)), SAMPLE_RATE)
    soundfile.write(folder / "other.wav", 1.5 * synthetic_stem("other", 0, 1.0).T / 0.2, SAMPLE_RATE, subtype="FLOAT")
    assert decode_songs([folder], tmp_path / "corpus") == 1
    assert sorted(p.name for p in (tmp_path / "corpus" / "song").iterdir()) == ["bass.npy", "drums.npy", "other.npy"]
    stored = np.load(tmp_path / "corpus" / "song" / "bass.npy")
    assert np.array_equal(stored, soundfile.read(folder / "bass.wav", dtype="int16")[0])
    clipped = np.load(tmp_path / "corpus" / "song" / "other.npy")
    assert (clipped.min(), clipped.max()) == (-32768, 32767)
    kept = (tmp_path / "corpus" / "song" / "bass.npy").stat().st_mtime_ns
    decode_songs([folder], tmp_path / "corpus")
    assert (tmp_path / "corpus" / "song" / "bass.npy").stat().st_mtime_ns == kept


def test_a_stem_file_of_musdb18_is_decoded(tmp_path: Path) -> None:
    """The excerpt that comes with the package stempeg; its streams are mixture, drums, bass, other, vocals."""
    import shutil

    stempeg = pytest.importorskip("stempeg")
    if shutil.which("ffmpeg") is None:
        pytest.skip("stem files need ffmpeg")
    path = Path(stempeg.example_stem_path())
    assert decode_songs([path], tmp_path) == 1
    song = require_song(tmp_path / path.name.removesuffix(".stem.mp4"))
    assert set(song.stems) <= set(MUSIC_SOURCES)
    assert song.n_samples > 5 * SAMPLE_RATE


def test_what_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "song.txt").touch()
    with pytest.raises(InputError, match="neither a song folder"):
        decode_songs([tmp_path / "song.txt"], tmp_path / "corpus")
    (tmp_path / "a.stem.mp4").write_text("no stems")
    with pytest.raises(DatasetError, match=r"a\.stem\.mp4"):
        decode_songs([tmp_path / "a.stem.mp4"], tmp_path / "corpus")


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("training.data.stems.np.save", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_stem(tmp_path / "song", "bass", as_pcm_of("bass"))
    assert list((tmp_path / "song").iterdir()) == []


def as_pcm_of(source: str) -> np.ndarray:
    return np.rint(synthetic_stem(source, 0, 1.0).T * 32767).astype(np.int16)


def test_pcm_of_a_spooled_stem_is_itself(spooled: Path) -> None:
    stem = require_song(spooled / "song0").stems["drums"]
    assert np.array_equal(as_pcm(stem), np.load(stem.path))


def test_an_example_depends_on_seed_and_number_alone(spooled: Path, tmp_path: Path) -> None:
    experiment = load_experiment("starter/vocals")
    collections = [read_collection(spooled)]
    one, other = (remix(collections, tmp_path, experiment.augment) for _ in range(2))
    for number in (5, 3, 17):
        one.example(number + 100)
        assert np.array_equal(one.example(number), other.example(number))
    assert not np.array_equal(one.example(1), one.example(2))
    assert not np.array_equal(remix(collections, tmp_path, experiment.augment, seed=6).example(1), one.example(1))
    assert one.example(0).shape == (4, 2, 4096)


def test_plain_examples_are_windows_of_random_songs(spooled: Path, tmp_path: Path) -> None:
    """As published: each source from a song of its own, nothing changed."""
    songs = {seed: synthetic_stem("bass", seed) for seed in range(3)}
    drawn: Counter[int] = Counter()
    dataset = remix([read_collection(spooled)], tmp_path, n_samples=512)
    for number in range(30):
        window = dataset.example(number)[0]
        for seed, whole in songs.items():
            places = np.flatnonzero(np.abs(whole[0, :-511] - window[0, 0]) < 1e-4)
            drawn[seed] += any(np.allclose(whole[:, p : p + 512], window, atol=1e-4) for p in places)
    assert sum(drawn.values()) >= 30
    assert set(drawn) == {0, 1, 2}


def test_coherent_examples_are_one_song_at_one_time(spooled: Path, tmp_path: Path) -> None:
    """Stems of one song that are copies of each other stay copies, through changes of speed, too."""
    copied = tmp_path / "copied"
    for seed in range(3):
        pcm = np.rint(synthetic_stem("vocals", seed).T * 32767).astype(np.int16)
        for source in MUSIC_SOURCES:
            write_stem(copied / f"song{seed}", source, pcm)
    speed = load_experiment("tiny", ['augment.effects=[{kind="speed"}]']).augment.effects
    collections = [read_collection(copied)]
    together = remix(collections, tmp_path, AugmentSettings(coherent=1.0, effects=speed))
    apart = remix(collections, tmp_path, AugmentSettings(coherent=0.0, effects=speed))
    for number in range(5):
        assert all(np.array_equal(row, together.example(number)[0]) for row in together.example(number))
    assert not any(np.array_equal(apart.example(n)[0], apart.example(n)[1]) for n in range(5))


def test_absent_sources_are_silent_and_doubled_ones_fuller(spooled: Path, tmp_path: Path) -> None:
    collections = [read_collection(spooled)]
    plain, absent, doubled = (
        remix(collections, tmp_path, AugmentSettings(**fields))
        for fields in ({}, {"absent": {"vocals": 0.999999}}, {"doubled": {"bass": 0.999999}})
    )
    for number in range(5):
        assert not absent.example(number)[3].any()
        assert all(absent.example(number)[row].any() for row in range(3))
        assert not np.array_equal(doubled.example(number)[0], plain.example(number)[0])


def test_levels_are_equal_on_average(spooled: Path, tmp_path: Path) -> None:
    dataset = remix([read_collection(spooled)], tmp_path, AugmentSettings(level_db=0.0), n_samples=40_000)
    rms = np.sqrt(np.mean(np.square([dataset.example(n) for n in range(8)]), axis=(0, 2, 3)))
    assert np.allclose(rms, REFERENCE_RMS, rtol=0.25)


def test_coherent_examples_keep_the_balance_of_their_song(tmp_path: Path) -> None:
    """A song's own levels, except where an offset says what a source's level is."""
    for source, factor in zip(MUSIC_SOURCES, (0.5, 1.0, 0.25, 0.75), strict=True):
        write_stem(tmp_path / "c" / "one", source, np.rint(as_pcm_of(source) * factor).astype(np.int16))
    offsets = AugmentSettings(coherent=1.0, level_db=0.0, coherent_level_db=0.0, level_offset_db={"vocals": -20.0})
    collections = [read_collection(tmp_path / "c")]
    kept = remix(collections, tmp_path, offsets, n_samples=44_100).example(0)
    recorded = remix(collections, tmp_path, AugmentSettings(coherent=1.0), n_samples=44_100).example(0)
    vocals = MUSIC_SOURCES.index("vocals")
    others = [row for row in range(4) if row != vocals]
    np.testing.assert_array_equal(kept[others], recorded[others])
    assert np.sqrt(np.mean(np.square(kept[vocals]))) == pytest.approx(REFERENCE_RMS / 10.0, rel=0.25)


def test_only_songs_with_a_balance_keep_it(tmp_path: Path) -> None:
    """Windows of one song come from songs with two sources that are balanced, not from one and vocals."""
    write_audio_song(tmp_path / "c" / "drums", ["drums", "vocals"])
    write_audio_song(tmp_path / "c" / "vocals", ["vocals"])
    settings = AugmentSettings(coherent=1.0, level_db=0.0, coherent_level_db=0.0, level_offset_db={"vocals": -20.0})
    write_audio_song(tmp_path / "d" / "band", ["bass", "drums", "other"])
    both = [read_collection(tmp_path / name) for name in "cd"]
    assert {stem.song for number in range(9) for stem in remix(both, tmp_path, settings).stems_of(number)} == {"band"}
    write_audio_song(tmp_path / "e" / "bass", ["bass"])
    write_audio_song(tmp_path / "e" / "other", ["other"])
    with pytest.raises(InputError, match="2 of bass, drums, other"):
        remix([read_collection(tmp_path / name) for name in "ce"], tmp_path, settings)


def test_collections_are_drawn_by_their_weight(spooled: Path, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet"
    for source in MUSIC_SOURCES:
        write_stem(quiet / "one", source, (as_pcm_of(source) // 8).astype(np.int16))
    collections = [read_collection(spooled, 0.25), read_collection(quiet, 0.75)]
    for draw in ("song", "length"):
        dataset = remix(collections, tmp_path, n_samples=20_000, draw=draw)
        loud = [np.abs(dataset.example(number)[2]).max() > 0.1 for number in range(200)]
        assert 0.15 < np.mean(loud) < 0.35


def test_final_effects_follow_those_of_the_mixture(spooled: Path, tmp_path: Path) -> None:
    songs = [read_collection(spooled)]
    before = AugmentSettings(mixture_effects=(LimitAug(),))
    after = AugmentSettings(mixture_effects=(LimitAug(),), final_effects=(Flip(probability=1.0, sources=("bass",)),))
    plain, changed = (remix(songs, tmp_path, augment, n_samples=20_000).example(3) for augment in (before, after))
    assert np.array_equal(changed, plain * np.array([-1, 1, 1, 1], dtype=np.float32)[:, None, None])
    assert changed.any()


def test_a_source_that_no_song_has_is_named(tmp_path: Path) -> None:
    write_audio_song(tmp_path / "c" / "song", ["bass", "drums", "other"])
    with pytest.raises(InputError, match="vocals"):
        remix([read_collection(tmp_path / "c")], tmp_path)


@pytest.mark.parametrize(
    ("world_size", "micro_batch", "sizes"),
    [
        (1, 8, {(8,)}),
        (1, 3, {(3, 3, 2)}),
        (2, 4, {(4,)}),
        (2, 1, {(1, 1, 1, 1)}),
        (3, 8, {(3,), (2,)}),  # the published bass network's devices
        (3, 2, {(2, 1), (1, 1)}),
        (4, 2, {(2,)}),
    ],
)
def test_processes_share_one_stream(world_size: int, micro_batch: int, sizes: set[tuple[int, ...]]) -> None:
    """However a step is split, each of its examples is there once, and each counts the same in the gradient."""
    plan = BatchPlan(batch=8, micro_batch=micro_batch, world_size=world_size, epoch_steps=3)
    samplers = [PartSampler(plan, rank) for rank in range(world_size)]
    for epoch in (0, 2):
        parts = []
        for sampler in samplers:
            sampler.set_epoch(epoch)
            parts.append(list(sampler))
        assert {len(mine) for mine in parts} == {len(samplers[0])} == {3 * plan.n_parts}
        for step in range(3):
            of_step = [mine[step * plan.n_parts : (step + 1) * plan.n_parts] for mine in parts]
            assert {tuple(map(len, mine)) for mine in of_step} == sizes
            first = (epoch * 3 + step) * 8
            assert sorted(n for mine in of_step for part in mine for n in part) == list(range(first, first + 8))
    mean_of_means = np.mean(
        [[plan.loss_scale(len(part)) * np.mean(part) for part in plan.parts(0, rank)] for rank in range(world_size)]
    )
    assert mean_of_means == pytest.approx(3.5)
    assert plan.smallest_part == min(len(part) for rank in range(world_size) for part in plan.parts(0, rank))


def test_a_resumed_run_reads_on_in_its_own_epoch(spooled: Path, tmp_path: Path) -> None:
    """Before Lightning says which one it is: workers read ahead."""
    experiment = load_experiment("tiny", ["run.epoch_steps=3"])
    source = RunDataModule(experiment, RunData([read_collection(spooled)], []), tmp_path)
    source.trainer = SimpleNamespace(global_rank=0, world_size=1, current_epoch=2)  # type: ignore[assignment]
    assert next(iter(source.train_dataloader().batch_sampler)) == [24, 25, 26, 27]  # type: ignore[arg-type]


def test_a_sampler_goes_on_where_the_epoch_says() -> None:
    sampler = PartSampler(BatchPlan(batch=2, micro_batch=2, world_size=1, epoch_steps=2), 0)
    assert list(sampler) == [[0, 1], [2, 3]]
    sampler.set_epoch(5)
    assert list(sampler.sampler) == [[20, 21], [22, 23]]
    with pytest.raises(ValueError, match="batch=3 cannot be split over 2 processes in parts of at most 1"):
        BatchPlan(batch=3, micro_batch=1, world_size=2, epoch_steps=1)
    with pytest.raises(ValueError, match="at least 1"):
        BatchPlan(batch=0, micro_batch=2, world_size=1, epoch_steps=1)
    with pytest.raises(ValueError, match="epoch_steps=0"):
        BatchPlan(batch=1, micro_batch=2, world_size=1, epoch_steps=0)


@pytest.mark.parametrize(
    ("name", "n_songs", "steps"),
    [
        ("kuielab-a/bass", 86, 451),
        ("kuielab-a/vocals", 86, 226),
        ("kuielab-b/drums", 136, 1430),
        ("kuielab-b/vocals", 136, 712),
        ("lasaft/v1", 86, 3_612),
        ("lasaft/lightsaft", 86, 221),
        ("lasaft/v2-light", 86, 602),
        ("lasaft/v2-large", 86, 1_806),
        ("aimless/xumx", 100, 400),
        ("aimless/demucs-split", 100, 937),
        ("aimless/mdx-hdemucs", 44, 132),
    ],
)
def test_an_epoch_is_as_long_as_published(name: str, n_songs: int, steps: int) -> None:
    """Steps for songs of MUSDB18-HQ's length; stretched copies do not lengthen an epoch."""
    original = songs_of_mean_length(n_songs)
    copies = SongCollection("train_p=1_t=0", original.songs)
    assert epoch_steps(load_experiment(name), RunData([original, copies], [])) == steps
    assert epoch_steps(load_experiment("tiny"), RunData([original], [])) == 50


def test_validation_songs_are_whole_or_their_beginning(spooled: Path) -> None:
    songs = read_collection(spooled).songs
    whole, beginning = (SongDataset(songs, seconds)[0] for seconds in (None, 0.5))
    assert whole.shape == (4, 2, int(SECONDS * SAMPLE_RATE))
    assert beginning.shape == (4, 2, SAMPLE_RATE // 2)
    assert np.array_equal(beginning.numpy(), whole[..., : SAMPLE_RATE // 2].numpy())


def test_cinema_sources_are_read_under_the_names_of_dnr_and_levelled_apart(tmp_path: Path) -> None:
    scene = tmp_path / "dnr" / "scene"
    scene.mkdir(parents=True)
    for name, source in (("speech", "bass"), ("sfx", "drums"), ("music", "other")):
        soundfile.write(scene / f"{name}.wav", synthetic_stem(source, 0).T, SAMPLE_RATE)
    collection = read_collection(tmp_path / "dnr")
    assert set(collection.songs[0].stems) == {"dialog", "effect", "music"}
    stacked = collection.songs[0].stacked(sources=CINEMA_SOURCES)
    assert np.array_equal(stacked[1], soundfile.read(scene / "sfx.wav", dtype="float32")[0].T)
    augment = AugmentSettings(level_db=0.0, level_offset_db={"effect": -12.0})
    dataset = remix([collection], tmp_path, augment, sources=CINEMA_SOURCES, n_samples=2 * SAMPLE_RATE)
    loud = [float(np.sqrt(np.mean(row**2))) for row in dataset.example(0)]
    assert loud == pytest.approx([REFERENCE_RMS, REFERENCE_RMS / 10**0.6, REFERENCE_RMS], rel=0.15)  # of a part of each
