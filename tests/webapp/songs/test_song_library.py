"""Songs of the server: what is refused, who sees what, and that nothing is left when they are gone."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile

from my_submission.errors import InputError
from my_submission.files.scratch import LOCK_NAME
from my_submission.webapp.serving.uploads import UploadLimits, UploadStore
from my_submission.webapp.songs.song_library import FOLDER_PREFIX, UPLOADS_FOLDER, SongLibrary
from my_submission.webapp.work.job_queue import JobQueue
from tests.audio_fixtures import noise, write_audio
from tests.rigs import FakeClock
from tests.webapp.rig import RATE, Gate, add, files_below, queue_of, separated, submit, token, until, wav_of, wave

KEEP = 3600.0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (wav_of(np.zeros((2, 41 * 1_000), np.float32), 1_000), "longer than the limit of 40 s"),
        (wav_of(noise(6, RATE // 10)), "6 channels where 1 or 2 are expected"),
        (b"this is no audio" * 50, "not audio that can be decoded"),
        (b"", "empty"),
        (wave()[:50_000], "truncated"),
    ],
    ids=["long", "surround", "text", "empty", "cut"],
)
def test_bad_uploads_are_refused_and_leave_nothing(library: SongLibrary, content: bytes, problem: str) -> None:
    visit = token()
    with pytest.raises(InputError, match=problem) as caught:
        add(library, content, visit=visit)
    assert str(library.folder) not in str(caught.value)
    assert library.of_visit(visit) == []
    assert files_below(library.folder) == [LOCK_NAME]
    assert sorted(path.name for path in library.folder.iterdir()) == [LOCK_NAME, UPLOADS_FOLDER]


def test_names_of_uploads_do_not_lead_elsewhere(library: SongLibrary) -> None:
    song = add(library, name="../../../etc/My Song.stem.wav")
    assert song.files.path.parent.parent == song.files.folder
    assert (song.files.folder.parent, song.name) == (library.folder, "My Song.stem")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("5.1 surround", "5"),
        ("..", "__"),
        ("mixture.wav", "mixture"),
        (".", "song"),
        ("", "song"),
        ("C:\\music\\a song.flac", "a song"),
        ("a\x00b\x1b[31m\n.wav", "a_b_[31m_"),
        ("é" * 300 + ".wav", "é" * 56),
        ("\ud800.wav", "_"),
    ],
)
def test_any_name_of_a_file_is_taken(library: SongLibrary, queue: JobQueue, given: str, name: str) -> None:
    song = add(library, wave(0.1), given)
    assert song.name == name
    assert separated(queue, song).state == "done"


def test_two_visitors_do_not_see_each_other_s_lists(library: SongLibrary) -> None:
    one, other = token(), token()
    first, second = add(library, visit=one), add(library, visit=one)
    third = add(library, visit=other)
    assert library.of_visit(one) == [second, first]
    assert library.of_visit(other) == [third]
    assert library.of_visit(token()) == library.of_visit("") == []
    assert library.find(third.token) is third, "whoever has the address of a song may open it"
    for wrong in ("", third.token[:-1], third.token.upper(), "tökén", "\ud800", one):
        assert library.find(wrong) is None


def test_a_song_expires_after_its_last_use(library: SongLibrary, clock: FakeClock) -> None:
    used, unused = add(library), add(library)
    clock.pass_(KEEP - 1)
    assert library.find(used.token) is used
    clock.pass_(2)
    assert library.of_visit(used.visit) == [used]
    assert library.find(unused.token) is None
    assert not unused.files.folder.exists()
    clock.pass_(KEEP - 3)
    library.sweep()
    assert used.files.folder.exists()
    clock.pass_(2)
    library.sweep()
    assert library.of_visit(used.visit) == []
    assert files_below(library.folder) == [LOCK_NAME]


def test_looking_at_the_list_keeps_no_song(library: SongLibrary, clock: FakeClock) -> None:
    song = add(library)
    clock.pass_(KEEP - 1)
    assert library.of_visit(song.visit) == [song]
    clock.pass_(2)
    assert library.of_visit(song.visit) == []


def test_a_job_goes_on_without_a_page_until_its_song_expires(library: SongLibrary, clock: FakeClock) -> None:
    gate = Gate()
    queue = queue_of(gate.load)
    running, waiting = add(library), add(library)
    jobs = [submit(queue, song) for song in (running, waiting)]
    assert gate.reached.wait(60)
    clock.pass_(KEEP + 1)
    library.sweep()
    assert [job.state for job in jobs] == ["stopping", "stopped"]
    assert running.files.folder.exists(), "the running chunk still writes there"
    gate.opened.set()
    assert queue.wait(jobs[0], 60)
    until(lambda: not running.files.folder.exists())
    queue.close()
    assert files_below(library.folder) == [LOCK_NAME]


def test_a_deleted_song_is_gone_at_once(library: SongLibrary, queue: JobQueue) -> None:
    song = add(library)
    separated(queue, song)
    library.remove(song)
    assert library.find(song.token) is None
    assert not song.files.folder.exists()
    with pytest.raises(InputError, match="was deleted"), song.files.in_use():
        pass
    library.remove(song)


def test_files_in_use_are_removed_by_their_last_user(library: SongLibrary) -> None:
    song = add(library)
    with song.files.in_use():
        library.remove(song)
        assert song.files.folder.exists()
    assert not song.files.folder.exists()


def test_folders_of_killed_servers_are_removed_by_the_next(tmp_path: Path) -> None:
    killed = tmp_path / f"{FOLDER_PREFIX}killed"
    killed.mkdir()
    (killed / LOCK_NAME).touch()
    (killed / "song.wav").touch()
    alive = SongLibrary(tmp_path, keep_seconds=KEEP, max_seconds=10)
    assert not killed.exists()
    second = SongLibrary(tmp_path, keep_seconds=KEEP, max_seconds=10)
    assert alive.folder.exists()
    alive.close()
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_a_song_gives_its_space_to_others_when_it_is_gone(library: SongLibrary, clock: FakeClock) -> None:
    store = UploadStore(library.uploads_folder, UploadLimits(1 << 20, 1 << 20, 2, 1 << 20, 2))
    content = wave(0.1)
    songs = []
    for file_id in ("1", "2"):
        arrived = store.announce("page", file_id, len(content))
        arrived.write(content)
        arrived.complete("song.wav", "audio/wav")
        songs.append(library.add(store.take("page", file_id), visit=token()))
    assert (store.n_files, store.n_bytes) == (2, 2 * len(content))
    library.remove(songs[0])
    assert (store.n_files, store.n_bytes) == (1, len(content))
    arrived = store.announce("page", "3", 4)
    arrived.write(b"RIFF")
    arrived.complete("broken.wav", "audio/wav")
    with pytest.raises(InputError):
        library.add(store.take("page", "3"), visit=token())
    assert (store.n_files, store.n_bytes) == (1, len(content))
    clock.pass_(KEEP + 1)
    library.sweep()
    assert (store.n_files, store.n_bytes) == (0, 0)


def test_a_sample_is_read_in_place_and_stays(library: SongLibrary, queue: JobQueue, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "sample.wav", noise(2, RATE))
    song = library.add_sample("sample", path, visit=token())
    assert separated(queue, song).state == "done"
    assert song.files.seconds == pytest.approx(1.0)
    library.remove(song)
    assert soundfile.info(path).frames == RATE
    with pytest.raises(InputError, match="no such file"):
        library.add_sample("gone", tmp_path / "gone.wav", visit=token())


def test_twenty_visits_leave_nothing_in_memory_or_on_disk(
    library: SongLibrary, queue: JobQueue, clock: FakeClock
) -> None:
    kept: list[weakref.ref[object]] = []
    for number in range(20):
        song = add(library, wave(0.2, seed=number), visit=token())
        assert separated(queue, song).state == "done"
        result = song.files.result
        assert result is not None
        assert result.measurements.song() is not None
        kept += [weakref.ref(each) for each in (song, song.files, song.job, result)]
        clock.pass_(KEEP / 10)
    del song, result
    assert len(list(library.folder.iterdir())) < 15, "songs expire while others come"
    clock.pass_(KEEP + 1)
    library.sweep()
    gc.collect()
    assert [each() for each in kept if each() is not None] == []
    assert files_below(library.folder) == [LOCK_NAME]
