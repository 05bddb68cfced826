"""Files that visitors download: stems, archives and mixes, made on the first request."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from my_submission.audio_io import convert_stems, folder_name, read_tags
from my_submission.audio_io.writing.stem_sets import SetFile
from my_submission.files.part_files import written_whole
from my_submission.pictures import FrequencyAxis
from my_submission.pictures.palettes import Theme
from my_submission.pictures.song import MIXTURE
from my_submission.pictures.song_page import PAGE_NAME, picture_of, song_page
from my_submission.predictor.separation_record import record_of_copy
from my_submission.webapp.studio.formats import DownloadFormat
from my_submission.webapp.studio.mix import Fader, render, write_mix
from my_submission.webapp.work.song_files import SongFiles
from my_submission.webapp.work.song_result import SongResult

_drawing = ThreadPoolExecutor(1, thread_name_prefix="mdx-pictures")
"""One thread draws all pictures, because matplotlib keeps fonts open per thread."""


@dataclass(frozen=True)
class Download:
    """A file for a visitor.

    Attributes:
        path: the file.
        name: name that the visitor's file gets; empty for a file that is shown.
        gain_db: gain that was applied against clipping; 0 if nothing was changed.
        dispose: deletes the file after it was sent.
    """

    path: Path
    name: str
    gain_db: float = 0.0
    dispose: Callable[[], None] | None = None


def track_download(files: SongFiles, result: SongResult, form: DownloadFormat, name: str) -> Download:
    """Return one track in a format; KeyError if there is none.

    Stems are converted together, because the gain against clipping is common to all of them.
    """
    path = converted(files, result, form, is_mixture=name == MIXTURE)[name]
    title = f"{folder_name(files.name)} - {name}{path.suffix}"
    return Download(path, title, _gain_db(result, form, is_mixture=name == MIXTURE))


def archive_download(files: SongFiles, result: SongResult, form: DownloadFormat) -> Download:
    """Return a ZIP with all stems, and with the song's page if the result is complete; KeyError without stems."""
    stems = converted(files, result, form, is_mixture=False)
    name = folder_name(files.name)
    path = result.folder / f"{form.name}.zip"
    page = None if path.exists() else _page(files, result, stems)
    with files.lock:
        if not path.exists():
            # audio hardly compresses
            with (
                written_whole(path, is_flushed=False) as part,
                zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive,
            ):
                for file in sorted(next(iter(stems.values())).parent.iterdir()):
                    archive.write(file, f"{name}/{file.name}")
                if page is not None:
                    archive.writestr(f"{name}/{PAGE_NAME}", page)
    return Download(path, f"{name}.zip", _gain_db(result, form, is_mixture=False))


def mix_download(
    files: SongFiles, result: SongResult, form: DownloadFormat, faders: Mapping[str, Fader], *, name: str
) -> Download:
    """Return the mix as heard, in a temporary folder of the song; KeyError if a track does not exist.

    Args:
        files: the song.
        result: the result.
        form: format of the file.
        faders: track to gain and pan; tracks without one are muted.
        name: name of the mix, such as "karaoke".
    """
    tracks = result.tracks
    if not faders:
        raise KeyError("no track")
    chosen = {track: tracks[track] for track in faders}
    samples = min(result.playable_samples(track) for track in faders)
    folder = Path(tempfile.mkdtemp(prefix="mix-", dir=files.folder))
    try:
        path, gain_db = write_mix(
            render(chosen, faders, samples),
            folder,
            folder_name(name),
            sample_rate=result.sample_rate,
            samples=samples,
            audio_format=form.audio_format,
            tags=read_tags(files.path)[0],
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    title = f"{folder_name(files.name)} - {path.name}"
    return Download(path, title, gain_db, dispose=lambda: shutil.rmtree(folder, ignore_errors=True))


def picture(
    files: SongFiles, result: SongResult, name: str, *, axis: FrequencyAxis, theme: Theme, width: int, scale: float
) -> Download:
    """Return the PNG of a track's spectrogram, which is drawn on the first request; KeyError if there is no such track.

    Raises:
        ValueError: width or scale is out of range.
    """
    path = result.folder / f"{name}.{axis}.{theme}.{width}.{scale:g}.png"
    track = result.measurements.track(name)
    with files.lock:
        if not path.exists():
            drawn = _drawing.submit(
                picture_of, track, axis=axis, theme=theme, width=width, scale=scale, has_waveform=False, has_axes=False
            ).result()
            with written_whole(path, is_flushed=False) as part:
                part.write_bytes(drawn)
    return Download(path, "")


def converted(files: SongFiles, result: SongResult, form: DownloadFormat, *, is_mixture: bool) -> dict[str, Path]:
    """Return the files of all stems, or of the mixture, in a format; they are made on the first request."""
    sources = {MIXTURE: result.mixture_file} if is_mixture else result.stem_files
    if not sources:
        raise KeyError("no stems")
    folder = _folder(result, form, is_mixture=is_mixture)
    audio_format = form.audio_format
    record = None if is_mixture else result.record

    def describe(copies: Mapping[str, SetFile], gain_db: float) -> Mapping[str, Any]:
        return record_of_copy(record or {}, copies, audio_format, common_gain_db=gain_db)

    with files.lock:
        if not folder.exists():
            copies = convert_stems(sources, folder, audio_format, describe=None if record is None else describe)
            result.gains_db[folder.name] = copies.gain_db
    return {name: folder / f"{name}{audio_format.suffix}" for name in sources}


def _folder(result: SongResult, form: DownloadFormat, *, is_mixture: bool) -> Path:
    return result.folder / (f"{form.name}-{MIXTURE}" if is_mixture else form.name)


def _gain_db(result: SongResult, form: DownloadFormat, *, is_mixture: bool) -> float:
    return result.gains_db.get(_folder(result, form, is_mixture=is_mixture).name, 0.0)


def _page(files: SongFiles, result: SongResult, stems: Mapping[str, Path]) -> str | None:
    """Return the page of a complete result beside its stems, else None."""
    view, report = result.measurements.song(), result.report
    if view is None or report is None:
        return None
    return song_page(view, report, song=files.name, links={name: path.name for name, path in stems.items()})
