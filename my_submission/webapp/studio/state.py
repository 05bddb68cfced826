"""The state of a song as the studio polls it: song, job, result, formats."""

from __future__ import annotations

from typing import Any

from my_submission.pictures.palettes import DARK, LIGHT
from my_submission.pictures.song import MIXTURE
from my_submission.webapp.songs.song import Song
from my_submission.webapp.studio.formats import FORMATS
from my_submission.webapp.work.job_queue import JobQueue
from my_submission.webapp.work.song_result import SongResult
from my_submission.webapp.work.tracks import PEAK_SAMPLES


def tag_of(song: Song, queue: JobQueue) -> str:
    """Return a string that changes when something in the state of a song changes that the studio shows."""
    job, result = song.job, song.files.result
    work = () if job is None else (job.state, queue.n_ahead(job), job.text, f"{job.share:.2f}", len(job.notes))
    shown = () if result is None else (result.version, result.ready_samples, result.is_over, result.is_separated)
    return " ".join(map(str, (song.files.sample_rate, *work, *shown)))


def state_of(song: Song, queue: JobQueue, *, keep_seconds: float) -> dict[str, Any]:
    """Return the state of a song as plain values, ready for :func:`json.dump`.

    Args:
        song: the song.
        queue: the queue that its job waits in.
        keep_seconds: time from the last use of a song to its deletion.
    """
    tag = tag_of(song, queue)  # read first, so that a change in the meantime gets another tag
    files, result = song.files, song.files.result
    mixture = files.mixture
    return {
        "tag": tag,
        "song": {
            "name": song.name,
            "seconds": files.seconds,
            "rate": files.sample_rate,
            "samples": None if mixture is None else mixture.ready_samples,
        },
        "job": _job(song, queue),
        "result": None if result is None else _result(result),
        "keep_seconds": keep_seconds,
        "formats": [{"name": name, "label": each.label} for name, each in FORMATS.items()],
    }


def _job(song: Song, queue: JobQueue) -> dict[str, Any]:
    job = song.job
    if job is None:
        empty: dict[str, Any] = {"system": "", "text": "", "message": "", "notes": []}
        return {"state": "none", "ahead": 0, "share": 0.0, "left_seconds": None, **empty}
    return {
        "state": job.state,
        "ahead": queue.n_ahead(job),
        "system": job.request.system,
        "text": job.text,
        "share": job.share,
        "left_seconds": job.left_seconds,
        "message": job.message,
        "notes": list(job.notes),
    }


def _result(result: SongResult) -> dict[str, Any]:
    return {
        "version": result.version,
        "system": result.system,
        "is_preview": result.is_preview,
        "is_complete": result.is_complete,
        "is_separated": result.is_separated,
        "is_over": result.is_over,
        "ready_samples": result.ready_samples,
        "samples": result.samples,
        "rate": result.sample_rate,
        "stretch_samples": result.stretch_samples,
        "peak_samples": PEAK_SAMPLES,
        "tracks": [
            {
                "name": name,
                "is_stem": name != MIXTURE,
                "colour_light": LIGHT.colour_of(name),
                "colour_dark": DARK.colour_of(name),
                "clipped": track.peaks.clipped_samples,
                "ready_samples": result.playable_samples(name),
            }
            for name, track in result.tracks.items()
        ],
    }
