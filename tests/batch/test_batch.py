"""Batches without a cluster: places, catalogues, records, the work of one worker, and who does what when."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from my_submission.audio_io import AudioFormat
from my_submission.audio_io.writing import stem_sets
from my_submission.batch import earlier_results
from my_submission.batch.catalogue import find_catalogue
from my_submission.batch.display import BatchDisplay
from my_submission.batch.outcomes import CatalogueSong, SongOutcome
from my_submission.batch.ray_cluster import Cluster, WorkerNeeds, connected
from my_submission.batch.recipe import CatalogueRecipe, weights_by_content
from my_submission.batch.remote_paths import Storage
from my_submission.batch.run import make_plan
from my_submission.batch.scheduling import (
    Policy,
    PoolEvent,
    SongScheduler,
    StartRefused,
    TaskRaised,
    TaskReturned,
    WorkerLost,
    WorkerProgress,
    WorkerReady,
)
from my_submission.batch.separation import SeparationJob
from my_submission.cli import main
from my_submission.errors import InputError, MdxError, UnknownNameError, WeightsError
from my_submission.files import scratch
from my_submission.files.scratch import remove_abandoned, scratch_folder
from my_submission.stems import MUSIC_SOURCES
from tests.local_server import Page, running_server
from tests.program.test_architecture import imports, modules

STORAGE = Storage()


def write_song(path: Path, seed: int = 0, samples: int = 9_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal((samples, 2)), 44_100)
    return path


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def names(*inputs: object, lists: tuple[Path, ...] = (), output: Path | None = None) -> list[str]:
    place = None if output is None else STORAGE.place(output)
    songs = find_catalogue(map(str, inputs), map(str, lists), storage=STORAGE, output=place)
    return [song.name for song in songs]


# Layers

LAYERS = [
    {"remote_paths", "outcomes"},
    {"catalogue", "recipe", "scheduling"},
    {"earlier_results", "ray_cluster", "summary", "display"},
    {"separation", "scoring"},
    {"run"},
]
"""Modules of the package, from the ground up."""


def test_imports_go_down_and_one_file_knows_ray() -> None:
    layer_of = {name: layer for layer, names in enumerate(LAYERS) for name in names}
    found = {path.stem: set(imports(path)) for path in modules("my_submission/batch") if path.stem != "__init__"}
    assert set(found) == set(layer_of)
    for module, named in found.items():
        own = {name.split(".")[2] for name in named if name.startswith("my_submission.batch.")}
        assert [name for name in own if layer_of.get(name, -1) >= layer_of[module] and name != module] == []
    assert [module for module, named in found.items() if "ray" in named] == ["ray_cluster"]


# Catalogues


def test_a_folder_of_audio_files_at_any_depth_in_natural_order(tmp_path: Path) -> None:
    for file in ("b/song 10.flac", "b/song 2.mp3", "a.wav", ".hidden/c.wav", "b/notes.txt", "out/a/bass.wav"):
        touch(tmp_path / file)
    assert names(tmp_path, output=tmp_path / "out") == ["a", "b/song 2", "b/song 10"]


def test_stems_beside_a_mixture_are_no_songs(tmp_path: Path) -> None:
    for file in ("train/one/mixture.wav", "train/one/bass.wav", "two/mixture.wav", "two/vocals.wav", "three.stem.mp4"):
        touch(tmp_path / file)
    assert names(tmp_path) == ["three", "train/one", "two"]
    assert names(tmp_path / "two") == ["two"]


def test_patterns_and_files_with_pattern_signs_in_their_names(tmp_path: Path) -> None:
    for file in ("one.wav", "two.wav", "what [live]?.wav"):
        touch(tmp_path / file)
    assert names(tmp_path / "*o*.wav") == ["one", "two"]
    assert names(tmp_path / "what [live]?.wav") == ["what [live]?"]
    with pytest.raises(InputError, match="nothing matches"):
        names(tmp_path / "*.flac")


def test_a_list_names_songs_relative_to_itself(tmp_path: Path) -> None:
    elsewhere = touch(tmp_path / "elsewhere" / "far.wav")
    touch(tmp_path / "lists" / "folder" / "one" / "mixture.wav")
    songs = tmp_path / "lists" / "songs.txt"
    songs.write_text(f"# two songs\n\nnear.wav\n{elsewhere}\nartist/other name\tnear.wav\nfolder\n", encoding="utf-8")
    found = find_catalogue([], [str(songs)], storage=STORAGE)
    assert [song.name for song in found] == ["near", "far", "artist/other name", "one"]
    assert found[0].url == str(tmp_path / "lists" / "near.wav")


def test_songs_of_one_name_are_all_done(tmp_path: Path) -> None:
    for file in ("disc/01.flac", "disc/01.wav", "disc/02.wav", "more/disc/02.wav", "more/03.wav"):
        touch(tmp_path / file)
    assert names(tmp_path) == ["disc/01.flac", "disc/01.wav", "disc/02", "more/03", "more/disc/02"]
    songs = tmp_path / "songs.txt"
    songs.write_text("03\tdisc/01.wav\n", encoding="utf-8")
    notes: list[str] = []
    found = find_catalogue(
        [str(tmp_path / "more" / "03.wav"), str(tmp_path / "disc" / "01.wav"), str(tmp_path / "disc" / "01.wav")],
        [str(songs)],
        storage=STORAGE,
        on_note=notes.append,
    )
    assert [song.name for song in found] == ["more/03", "01", "03"]
    assert notes == [
        f"{tmp_path / 'disc' / '01.wav'} was found 2 times; it is separated once",
        "several songs are called '03'; their stems are written to more/03",
    ]


def test_web_addresses_keep_their_name_and_lose_their_query() -> None:
    (song,) = find_catalogue(["https://host.example/a%20b/S%C3%B8ng.mp3?token=1"], [], storage=STORAGE)
    assert song == CatalogueSong("Søng", "https://host.example/a%20b/S%C3%B8ng.mp3?token=1")


@pytest.mark.parametrize("line", ["../up\tone.wav", "/top\tone.wav", ".batch/x\tone.wav", "..\tone.wav"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, line: str) -> None:
    songs = tmp_path / "songs.txt"
    songs.write_text(line, encoding="utf-8")
    with pytest.raises(InputError, match="cannot be the name"):
        names(lists=(songs,))


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.wav")
    touch(tmp_path / "locked" / "b.wav")
    listed = os.scandir

    def refused(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    notes: list[str] = []
    songs = find_catalogue([str(tmp_path)], [], storage=STORAGE, on_note=notes.append)
    assert [song.name for song in songs] == ["a"]
    assert notes == [f"{tmp_path / 'locked'} cannot be read (Permission denied); its songs are left out"]


def test_a_folder_gives_every_kind_of_audio_and_tells_what_is_passed_over(tmp_path: Path) -> None:
    for name in ("a.mov", "b/c.CAF", "d.w64", "e.mkv", "f.tta", "g.m4b", "cover.jpg", "b/notes.txt", "b/more.txt"):
        touch(tmp_path / name)
    notes: list[str] = []
    songs = find_catalogue([str(tmp_path)], [], storage=STORAGE, on_note=notes.append)
    assert [song.name for song in songs] == ["a", "b/c", "d", "e", "f", "g"]
    assert len(notes) == 1
    assert "skipped 3 files (2 .txt, 1 .jpg)" in notes[0]
    touch(tmp_path / "h" / "mixture.wav")
    touch(tmp_path / "h" / "bass.wav")
    notes.clear()
    songs = find_catalogue([str(tmp_path)], [], storage=STORAGE, on_note=notes.append)
    assert [song.name for song in songs] == ["h"]
    assert "skipped 9 files" in notes[0]


def test_what_is_no_catalogue_says_so(tmp_path: Path) -> None:
    touch(tmp_path / "texts" / "a.txt")
    with pytest.raises(InputError, match="no song below"):
        names(tmp_path / "texts")
    with pytest.raises(InputError, match="no such list"):
        names(lists=(tmp_path / "absent.txt",))
    with pytest.raises(InputError, match="no song was given"):
        names()
    twice = touch(tmp_path / "twice.txt")
    twice.write_text("a\tone.wav\na\ttwo.wav\nb\tone.wav\nb\ttwo.wav\na\tone.wav\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"overwrite each other: 'a': .*one.wav, .*two.wav; 'b': .*one.wav, .*two"):
        names(lists=(twice,))
    with pytest.raises(UnknownNameError, match="cannot be used"):
        names("nonsense://host/a.wav")


# One worker's work


@pytest.fixture(scope="module")
def recipe(tiny_models: Path) -> CatalogueRecipe:
    settings = {
        "models_dir": str(tiny_models),
        "device": "cpu",
        "threads": 1,
        "allow_unverified": False,
    }
    weights = weights_by_content("starter", settings)
    return CatalogueRecipe(system="starter", load_settings=settings, settings={"device": "cpu"}, weights=weights)


@pytest.fixture(scope="module")
def separate(recipe: CatalogueRecipe) -> object:
    return recipe.open()


def job(recipe: CatalogueRecipe, output: object, **more: object) -> SeparationJob:
    return SeparationJob(recipe, str(output), STORAGE, **more)  # type: ignore[arg-type]


def test_a_song_is_made_once_and_found_again_by_its_content(recipe: CatalogueRecipe, tmp_path: Path) -> None:
    song = CatalogueSong("one", str(write_song(tmp_path / "one.wav")))
    work = job(recipe, tmp_path / "out")()
    done = work(song)
    assert (done.status, done.error) == ("done", None)
    assert sorted(path.name for path in (tmp_path / "out" / "one").iterdir()) == sorted(
        [*(f"{source}.wav" for source in MUSIC_SOURCES), "separation.json"]
    )
    output = STORAGE.place(tmp_path / "out")
    assert [outcome.status for outcome in make_plan([song], output, recipe, STORAGE).known] == ["reused"]

    os.utime(song.url, (1, 1))  # the same content with another time stamp: the worker has to look
    assert make_plan([song], output, recipe, STORAGE).waiting == [song]
    inode = (tmp_path / "out" / "one" / "bass.wav").stat().st_ino
    assert work(song).status == "reused"
    assert (tmp_path / "out" / "one" / "bass.wav").stat().st_ino == inode
    assert make_plan([song], output, recipe, STORAGE).waiting == []

    write_song(tmp_path / "one.wav", seed=1)  # another content
    assert make_plan([song], output, recipe, STORAGE).waiting == [song]
    again = work(song)
    assert again.status == "done"
    assert again.record is not None
    assert done.record is not None
    assert again.record["key"] != done.record["key"]


@pytest.mark.parametrize("damage", ["no record", "cut stem", "damaged record", "another version"])
def test_what_is_not_whole_is_made_again(recipe: CatalogueRecipe, tmp_path: Path, damage: str) -> None:
    song = CatalogueSong("one", str(write_song(tmp_path / "one.wav")))
    work = job(recipe, tmp_path / "out")()
    work(song)
    folder = tmp_path / "out" / "one"
    whole = (folder / "bass.wav").read_bytes()
    record = folder / "separation.json"
    if damage == "no record":
        record.unlink()
    elif damage == "cut stem":
        (folder / "bass.wav").write_bytes(whole[:100])
    elif damage == "damaged record":
        record.write_text("{")
    else:
        record.write_text(json.dumps({**json.loads(record.read_text(encoding="utf-8")), "schema": 0}))
    assert work(song).status == "done"
    assert (folder / "bass.wav").read_bytes() == whole


def test_other_options_replace_stems_and_take_the_old_ones_away(recipe: CatalogueRecipe, tmp_path: Path) -> None:
    song = CatalogueSong("one", str(write_song(tmp_path / "one.wav")))
    job(recipe, tmp_path / "out")()(song)
    flac = replace(recipe, audio_format=AudioFormat("flac"))
    assert flac.digest != recipe.digest
    assert job(flac, tmp_path / "out")()(song).status == "done"
    assert {path.suffix for path in (tmp_path / "out" / "one").iterdir()} == {".flac", ".json"}
    assert replace(recipe, settings={"device": "cpu", "refine": "always"}).digest != recipe.digest
    assert replace(recipe, weights={**recipe.weights, "starter/bass": "0" * 64}).digest != recipe.digest


def test_a_broken_file_is_noted_and_not_tried_again_until_it_changes(
    recipe: CatalogueRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "broken.wav"
    path.write_text("no audio\n" * 40)
    song = CatalogueSong("broken", str(path))
    work = job(recipe, tmp_path / "out")()
    failed = work(song)
    assert (failed.status, failed.is_final, failed.retry_reason) == ("failed", True, None)
    assert not (tmp_path / "out" / "broken").exists()
    output = STORAGE.place(tmp_path / "out")
    (known,) = make_plan([song], output, recipe, STORAGE).known
    assert "known from an earlier run" in str(known.error)
    assert make_plan([song], output, recipe, STORAGE, retries_failed=True).waiting == [song]

    os.utime(path, (1, 1))
    assert make_plan([song], output, recipe, STORAGE).waiting == [song]
    with monkeypatch.context() as patch:  # the worker knows it by its content, without decoding it
        patch.setattr("my_submission.predictor.Predictor.separate_file", None)
        assert work(song).error == failed.error

    write_song(path)
    assert work(song).status == "done"
    assert not (tmp_path / "out" / ".batch" / "failed" / "broken.json").exists()


def test_an_absent_file_fails_and_leaves_no_note(recipe: CatalogueRecipe, tmp_path: Path) -> None:
    song = CatalogueSong("absent", str(tmp_path / "absent.wav"))
    outcome = job(recipe, tmp_path / "out")()(song)
    assert (outcome.status, outcome.is_final) == ("failed", True)
    assert "no such file" in str(outcome.error)
    assert make_plan([song], STORAGE.place(tmp_path / "out"), recipe, STORAGE).waiting == [song]


def test_a_place_that_cannot_be_written_is_worth_another_try(recipe: CatalogueRecipe, tmp_path: Path) -> None:
    song = CatalogueSong("one", str(write_song(tmp_path / "one.wav")))
    (tmp_path / "out").write_text("a file in the way")
    outcome = job(recipe, tmp_path / "out")()(song)
    assert outcome.status == "failed"
    assert outcome.retry_reason is not None


def test_stems_never_go_beside_their_mixture(recipe: CatalogueRecipe, tmp_path: Path) -> None:
    song = CatalogueSong("one", str(write_song(tmp_path / "one" / "mixture.wav")))
    outcome = job(recipe, tmp_path)()(song)
    assert "replace the references beside the mixture" in str(outcome.error)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["mixture.wav"]


@pytest.mark.parametrize("report", [False, True])
def test_no_song_is_replaced_by_a_stem_or_a_document(
    recipe: CatalogueRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str], report: bool
) -> None:
    path = write_song(tmp_path / "out" / "bass" / "bass.flac")
    before = path.read_bytes()
    outcome = job(recipe, tmp_path / "out")()(CatalogueSong("bass", str(path)))
    assert "it is an input" in str(outcome.error)
    models = str(recipe.load_settings["models_dir"])
    where = ["-o", str(tmp_path / "new"), "--report", str(path)] if report else ["-o", str(tmp_path / "out")]
    assert main(["batch", str(path), "--system", "starter", "--models-dir", models, *where]) == 1
    assert "it is an input" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert sorted(path.name for path in path.parent.iterdir()) == ["bass.flac"]


def test_a_worker_with_other_weights_refuses(recipe: CatalogueRecipe) -> None:
    other = replace(recipe, weights={**recipe.weights, "starter/drums": "0" * 64})
    with pytest.raises(WeightsError, match=r"starter/drums on this machine differ from those"):
        other.open()


def test_a_publisher_killed_between_stems_leaves_a_song_that_is_not_done(
    recipe: CatalogueRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = CatalogueSong("one", str(write_song(tmp_path / "one.wav")))
    work = job(recipe, tmp_path / "out")()
    work(song)
    write_song(tmp_path / "one.wav", seed=1)

    class KilledError(BaseException):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    folder = tmp_path / "out" / "one"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(earlier_results, "replace_set", killed)
        with pytest.raises(KilledError):
            work(song)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    finish = stem_sets._finish

    def killed_here(directory: Path, journal: dict[str, object]) -> None:
        if directory == folder:
            raise KilledError
        finish(directory, journal)

    with monkeypatch.context() as patch:
        patch.setattr(stem_sets, "_finish", killed_here)  # once the journal lies there
        with pytest.raises(KilledError):
            work(song)
    output = STORAGE.place(tmp_path / "out")
    assert earlier_results.read_record(output.child("one")) is None
    assert make_plan([song], output, recipe, STORAGE).waiting == [song]
    assert work(song).status == "reused"  # the worker finishes what the other one had begun
    assert sorted(path.name for path in folder.iterdir()) == sorted(before)


def test_scratch_of_the_dead_is_removed_and_that_of_the_living_kept(tmp_path: Path) -> None:
    code = "import os, signal, sys; from pathlib import Path; from my_submission.files.scratch import scratch_folder\n"
    code += "with scratch_folder(Path(sys.argv[1]), prefix='mdx-'): os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with scratch_folder(tmp_path, prefix="mdx-") as folder:
        assert list(tmp_path.iterdir()) == [folder]
        remove_abandoned(tmp_path, prefix="mdx-")
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_scratch_taken_away_before_it_was_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, True])
    monkeypatch.setattr(scratch, "try_lock", lambda descriptor, **_: next(answers))
    with scratch_folder(tmp_path, prefix="mdx-") as folder:
        assert folder.is_dir()
    assert next(answers, None) is None


def test_songs_from_the_web(recipe: CatalogueRecipe, tmp_path: Path) -> None:
    content = write_song(tmp_path / "one.flac").read_bytes()
    work = job(recipe, tmp_path / "out", scratch_dir=str(tmp_path / "scratch"))()
    with running_server() as server:
        url = server.add("songs/one.flac", content)
        broken = server.add("songs/broken.flac", Page(content, cut_after=5_000))
        absent = server.url("songs/absent.flac")
        outcomes = [work(CatalogueSong(name, url)) for name, url in (("one", url), ("b", broken), ("a", absent))]
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "failed"]
    assert [outcome.is_final for outcome in outcomes] == [False, False, True]
    assert "cannot be reached" in str(outcomes[1].error)
    alone = recipe.open().separate_file(tmp_path / "one.flac", tmp_path / "alone")
    for source, path in alone.outputs.items():
        assert (tmp_path / "out" / "one" / f"{source}.wav").read_bytes() == Path(path).read_bytes()


def test_a_folder_on_the_web_is_its_links() -> None:
    with running_server() as server:
        server.add(
            "music/", b'<a href="song%202.wav">2</a> <a href="/music/song%2010.wav">10</a> <a href="/x/b.wav">b</a>'
        )
        songs = find_catalogue([server.url("music/")], [], storage=STORAGE)
    assert [song.url for song in songs] == [server.url("music/song%202.wav"), server.url("music/song%2010.wav")]
    assert [song.name for song in songs] == ["song 2", "song 10"]


def test_an_address_without_a_server_is_worth_another_try(recipe: CatalogueRecipe, tmp_path: Path) -> None:
    with running_server() as server:
        url = server.url("one.wav")
    outcome = job(recipe, tmp_path / "out")()(CatalogueSong("one", url))
    assert outcome.retry_reason is not None


# Who does what when


class FakePool:
    """Workers that answer at once, by a script: what happens to a task at its nth attempt."""

    def __init__(self, script: dict[tuple[str, int], str] | None = None, *, start: str = "ready") -> None:
        self.script = script or {}
        self.start_kind = start
        self.events: list[PoolEvent[str]] = []
        self.n_started = self.in_flight = self.max_in_flight = 0
        self.attempts: dict[str, int] = {}
        self.ended: list[int] = []

    def start(self) -> int:
        self.n_started += 1
        made = {
            "ready": WorkerReady(self.n_started),
            "lost": WorkerLost(self.n_started, "no memory"),
            "refused": StartRefused(self.n_started, "no weights"),
        }
        if self.start_kind in made:
            self.events.append(made[self.start_kind])
        return self.n_started

    def submit(self, worker: int, task: str) -> None:
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.attempts[task] = self.attempts.get(task, 0) + 1
        kind = self.script.get((task, self.attempts[task]), "ok")
        if kind == "hangs":
            return
        event = {"lost": WorkerLost(worker, "killed"), "raised": TaskRaised(worker, "ValueError: bug")}
        self.events.append(event.get(kind, TaskReturned(worker, f"{task}:{kind}")))

    def end(self, worker: int) -> None:
        self.ended.append(worker)
        self.in_flight -= 1

    def wait(self, timeout_seconds: float) -> list[PoolEvent[str]]:
        if not self.events:
            return []
        event = self.events.pop(0)
        if not isinstance(event, WorkerReady | StartRefused) and self.in_flight:
            self.in_flight -= 1
        return [event]


def ticking() -> Iterator[float]:
    seconds = 0.0
    while True:
        seconds += 1.0
        yield seconds


def follow(pool: FakePool, tasks: list[str], policy: Policy) -> list[WorkerProgress[str, str]]:
    clock = ticking()
    schedule = SongScheduler(
        pool,
        tasks,
        policy,
        clock=lambda: next(clock),
        retry_reason=lambda result: result if result.endswith("again") else None,
    )
    return list(schedule.run())


def ends(events: list[WorkerProgress[str, str]]) -> dict[str, tuple[str, int]]:
    through = [event for event in events if event.kind in {"returned", "failed"}]
    assert len({event.task for event in through}) == len(through)
    return {str(event.task): (event.kind, event.attempts) for event in through}


def test_no_more_tasks_are_in_flight_than_there_are_workers() -> None:
    pool = FakePool()
    tasks = [f"t{number}" for number in range(1_000)]
    assert ends(follow(pool, tasks, Policy(3))) == dict.fromkeys(tasks, ("returned", 1))
    assert (pool.n_started, pool.max_in_flight) == (3, 3)
    few = FakePool()
    follow(few, ["one"], Policy(3))
    assert few.n_started == 1


def test_a_task_whose_worker_is_lost_is_done_by_another() -> None:
    pool = FakePool({("b", 1): "lost", ("c", 1): "raised", ("d", 1): "again"})
    events = follow(pool, ["a", "b", "c", "d", "e"], Policy(2))
    assert ends(events) == {task: ("returned", 2 if task in "bcd" else 1) for task in "abcde"}
    assert pool.n_started == 3
    assert [event.task for event in events if event.kind == "retried"] == ["b", "c", "d"]


@pytest.mark.parametrize("kind", ["lost", "raised"])
def test_a_task_that_kills_every_worker_is_given_up_and_the_others_are_done(kind: str) -> None:
    pool = FakePool({("poison", attempt): kind for attempt in range(1, 10)})
    events = follow(pool, ["poison", "a", "b"], Policy(2, n_retries=2))
    assert ends(events) == {"poison": ("failed", 3), "a": ("returned", 1), "b": ("returned", 1)}
    assert pool.attempts["poison"] == 3


def test_a_result_that_stays_bad_is_returned_after_the_last_try() -> None:
    pool = FakePool({("a", attempt): "again" for attempt in range(1, 10)})
    assert ends(follow(pool, ["a"], Policy(1, n_retries=1))) == {"a": ("returned", 2)}


@pytest.mark.parametrize(
    ("start", "message"), [("lost", "3 workers in a row"), ("refused", "no weights"), ("never", "no worker was ready")]
)
def test_a_run_that_can_have_no_worker_ends(start: str, message: str) -> None:
    with pytest.raises(MdxError, match=message):
        follow(FakePool(start=start), ["a"], Policy(1, start_seconds=20))


# The display


def display_of(*, is_terminal: bool) -> str:
    """What is shown of three songs, of which one is done, one fails after another try, one is left."""
    out = io.StringIO()
    song, bad = CatalogueSong("a [b]", "a.wav"), CatalogueSong("bad", "b.wav")
    report = {"source_samples": 44_100 * 60, "source_rate": 44_100}
    console = Console(file=out, force_terminal=is_terminal, width=100, color_system=None)
    with BatchDisplay(3, console=console) as display:
        display.workers_starting(2, "1 CPU")
        display.show(WorkerProgress("ready", 1))
        display.show(WorkerProgress("started", 1, song, attempts=1))
        display.show(WorkerProgress("returned", 1, song, attempts=1))
        display.finished(SongOutcome(song, "done", {"report": report}, seconds=2.0, peak_memory_bytes=10**8, worker=1))
        display.show(WorkerProgress("ready", 2))
        display.show(WorkerProgress("started", 2, bad, attempts=1))
        display.show(WorkerProgress("lost", 2, reason="killed"))
        display.show(WorkerProgress("retried", 2, bad, reason="killed", attempts=1))
        display.show(WorkerProgress("started", 1, bad, attempts=2))
        display.finished(SongOutcome(bad, "failed", error="broken", worker=1))
        display.show(WorkerProgress("tick"))
    return out.getvalue()


def test_lines_where_there_is_no_terminal() -> None:
    assert display_of(is_terminal=False).splitlines() == [
        "starting 2 workers, 1 CPU each",
        "[1/3] a [b]: 30.0 x real time (2.0 s, worker 1)",
        "worker 2 was lost (killed)",
        "bad: attempt 1 failed and will be repeated (killed)",
        "[2/3] bad: failed (broken)",
    ]


def test_a_table_on_a_terminal() -> None:
    shown = display_of(is_terminal=True)
    assert "1 done, 0 before, 1 failed, 1 to go" in shown
    assert "100 MB" in shown
    assert "working" in shown


@pytest.mark.parametrize(
    ("needs", "n_workers"), [(WorkerNeeds(1), 8), (WorkerNeeds(3), 2), (WorkerNeeds(0.5, 0.5), 4), (WorkerNeeds(9), 0)]
)
def test_as_many_workers_as_fit(needs: WorkerNeeds, n_workers: int) -> None:
    assert Cluster(cpus=8, gpus=2, n_nodes=1, is_local=True).n_workers(needs) == n_workers


@pytest.mark.parametrize(("address", "n_tries"), [(None, 3), ("auto", 1)])
def test_a_cluster_that_does_not_start_is_tried_again_and_then_an_error(
    monkeypatch: pytest.MonkeyPatch, address: str | None, n_tries: int
) -> None:
    ray = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    with pytest.raises(MdxError, match=r"no Ray cluster is available \(timed out\)"), connected(address):
        raise AssertionError("there is no cluster")
    assert ray.n_tries == n_tries
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


class FakeRay:
    """A Ray that never starts."""

    def __init__(self) -> None:
        self.n_tries = 0

    def is_initialized(self) -> bool:
        return False

    def shutdown(self) -> None:
        pass

    def init(self, **_: object) -> None:
        self.n_tries += 1
        raise Exception("timed out\nwith many details")


# The entry point


def test_a_dry_run_says_what_there_is_to_do_and_starts_nothing(
    recipe: CatalogueRecipe,
    tiny_models: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("my_submission.cli.batch.connected", None)
    write_song(tmp_path / "in" / "one.wav")
    words = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--system", "starter"]
    words += ["--models-dir", str(tiny_models)]
    assert main([*words, "--dry-run"]) == 0
    printed = capfd.readouterr().out
    assert "one: to be separated" in printed
    assert "1 song: 1 to be separated, 0 done already" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "cuda:1"], "Ray chooses which GPU"),
        (["--device", "cpu", "--gpus-per-worker", "1"], "--device cpu with --gpus-per-worker 1"),
        (["--device", "cuda", "--gpus-per-worker", "0"], "--device cuda with --gpus-per-worker 0"),
        (["-o", "https://host.example/out"], "a web server cannot be written to"),
        (["-o", "s3://bucket/out", "--score", "refs"], "object store cannot be scored"),
        (["--models-dir", "nowhere"], "nowhere"),
    ],
)
def test_contradictions_are_refused_before_anything_starts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    song = str(write_song(tmp_path / "one.wav"))
    assert main(["batch", song, "-o", str(tmp_path / "out"), *words]) == 1
    assert message in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_outcome_of_a_failure_has_no_length() -> None:
    assert SongOutcome(CatalogueSong("a", "a.wav"), "failed", error="why").music_seconds == 0


def test_a_catalogue_needs_a_folder_per_song() -> None:
    for template in ("{song} {stem}", "x/{song}/{stem}", "{song}-{system}/{stem}"):
        with pytest.raises(UnknownNameError, match="does not give each song its own folder"):
            CatalogueRecipe(system="starter", load_settings={}, settings={}, filename=template)
    recipe = CatalogueRecipe(system="starter", load_settings={}, settings={}, filename="{song}/{song} {stem}")
    assert recipe.file_names("disc1/01", ["bass"]).files == {"bass": "01 bass"}


def test_a_song_that_hangs_is_given_up_and_another_worker_does_the_rest() -> None:
    pool = FakePool({("stuck", 1): "hangs"})
    events = follow(pool, ["stuck", "a", "b"], Policy(1, task_seconds=30.0))
    assert ends(events) == {"stuck": ("failed", 1), "a": ("returned", 1), "b": ("returned", 1)}
    assert (pool.ended, pool.n_started) == ([1], 2)
    (failure,) = (event for event in events if event.kind == "failed")
    assert failure.reason == "not done after 30 s, so its worker was ended"
