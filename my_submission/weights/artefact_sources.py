"""Sources of artefacts: files, archives and addresses that copy an artefact to a given path."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import quote, urljoin

from my_submission.errors import WeightsError
from my_submission.weights.archives import check_archive, copy_stream, extract_member
from my_submission.weights.content_checks import find_damage, has_known_digest
from my_submission.weights.download import DEFAULT_TIMEOUT_SECONDS, FetchProgress, Report, download
from my_submission.weights.manifest import Artefact, is_archive, url_file_name

logger = logging.getLogger(__name__)

ProgressCallback = Callable[[FetchProgress], None]


class ArtefactSource(Protocol):
    """A file, archive or address that may have an artefact."""

    @property
    def label(self) -> str:
        """The file or address, for messages."""
        ...

    def stage(self, artefact: Artefact, staged: Path, progress: ProgressCallback) -> None:
        """Copy the artefact, not yet verified, to the file ``staged``; MdxError when that fails."""
        ...

    def stage_beside(self, artefact: Artefact, location: str, staged: Path, *, n_bytes: int) -> None:
        """Copy an external data file of the artefact's graph to the file ``staged``; MdxError when that fails.

        Args:
            artefact: the graph.
            location: path of the data file, relative to the graph's folder.
            staged: destination.
            n_bytes: minimum size.
        """
        ...


@dataclass(frozen=True)
class FileSource:
    """A file on this machine."""

    path: Path

    @property
    def label(self) -> str:
        """Path of the file."""
        return str(self.path)

    def stage(self, artefact: Artefact, staged: Path, progress: ProgressCallback) -> None:
        """Copy the file."""
        try:
            n_bytes = self.path.stat().st_size
            with self.path.open("rb") as source:
                copy_stream(source, staged)
        except OSError as error:
            raise WeightsError(f"cannot be read ({error.strerror})", where=self.path) from error
        progress(FetchProgress(artefact.name, self.label, n_bytes, n_bytes))

    def stage_beside(self, artefact: Artefact, location: str, staged: Path, *, n_bytes: int) -> None:
        """Copy the data file beside it."""
        try:
            with (self.path.parent / location).open("rb") as source:
                copy_stream(source, staged)
        except OSError as error:
            raise _missing_companion(location, self.label, error.strerror) from error


@dataclass(frozen=True)
class ZipSource:
    """A .zip archive on this machine."""

    path: Path

    @property
    def label(self) -> str:
        """Path of the archive."""
        return str(self.path)

    def stage(self, artefact: Artefact, staged: Path, progress: ProgressCallback) -> None:
        """Unpack the artefact's member."""
        try:
            extract_member(self.path, member_names(artefact), staged, expected_bytes=artefact.n_bytes)
        except OSError as error:
            raise WeightsError(f"cannot be read ({error.strerror})", where=self.path) from error
        n_bytes = staged.stat().st_size
        progress(FetchProgress(artefact.name, self.label, n_bytes, n_bytes))

    def stage_beside(self, artefact: Artefact, location: str, staged: Path, *, n_bytes: int) -> None:
        """Unpack the member of that name beside it."""
        _extract_beside(self.path, self.label, artefact, location, staged)


@dataclass(frozen=True)
class UrlSource:
    """A file at a web address."""

    url: str
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS

    @property
    def label(self) -> str:
        """The address."""
        return self.url

    def stage(self, artefact: Artefact, staged: Path, progress: ProgressCallback) -> None:
        """Download the file, resuming an earlier attempt."""
        part = part_path(staged.parent, self.url)
        may_resume = has_known_digest(artefact)
        request = partial(
            download,
            self.url,
            part,
            report=_reporter(artefact, self.url, progress),
            expected_bytes=artefact.n_bytes,
            timeout_seconds=self.timeout_seconds,
        )
        is_spliced = request(may_resume=may_resume)
        if is_spliced and find_damage(artefact, part) is not None:
            logger.warning("%s: the resumed file does not match its hash; downloading it again", self.url)
            request(may_resume=False)
        part.replace(staged)

    def stage_beside(self, artefact: Artefact, location: str, staged: Path, *, n_bytes: int) -> None:
        """Download the data file beside it, never resumed because no hash would detect a mixture of two versions."""
        url = urljoin(self.url, quote(location))
        part = part_path(staged.parent, url)
        largest = n_bytes + max(n_bytes // 8, 1 << 20)  # exporters align tensors
        report = _reporter(artefact, url, lambda _: None)
        timeout = self.timeout_seconds
        download(url, part, report=report, max_bytes=largest, may_resume=False, timeout_seconds=timeout)
        part.replace(staged)


@dataclass(frozen=True)
class UrlZipSource:
    """A .zip archive at a web address."""

    url: str
    archives: ArchiveStore

    @property
    def label(self) -> str:
        """The address."""
        return self.url

    def stage(self, artefact: Artefact, staged: Path, progress: ProgressCallback) -> None:
        """Download the archive unless the store has it, and unpack the artefact's member."""
        archive = self.archives.get(self.url, artefact, progress)
        try:
            extract_member(archive, member_names(artefact), staged, expected_bytes=artefact.n_bytes)
        except WeightsError as error:
            raise WeightsError(error.problem, where=self.url) from error

    def stage_beside(self, artefact: Artefact, location: str, staged: Path, *, n_bytes: int) -> None:
        """Unpack the member of that name beside it."""
        archive = self.archives.get(self.url, artefact, lambda _: None)
        _extract_beside(archive, self.label, artefact, location, staged)


def _extract_beside(archive: Path, label: str, artefact: Artefact, location: str, staged: Path) -> None:
    names = [(PurePosixPath(name).parent / location).as_posix() for name in member_names(artefact)]
    try:
        extract_member(archive, dict.fromkeys(names), staged, expected_bytes=None)
    except OSError as error:
        raise _missing_companion(location, label, error.strerror) from error
    except WeightsError as error:
        raise _missing_companion(location, label, error.problem) from error


def _missing_companion(location: str, label: str, reason: str | None) -> WeightsError:
    problem = f"its weights are in {location!r} beside it, which cannot be fetched ({reason})"
    return WeightsError(problem, where=label, hint="give a folder or archive that contains both files")


@dataclass
class ArchiveStore:
    """Downloaded archives, each downloaded once for all its members and removed when the store closes.

    Attributes:
        directory: folder of the archives.
        timeout_seconds: longest wait for a server.
    """

    directory: Path
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    _complete: dict[str, Path] = field(default_factory=dict)
    _failed: dict[str, WeightsError] = field(default_factory=dict)

    def get(self, url: str, artefact: Artefact, progress: ProgressCallback) -> Path:
        """Return the path of the complete archive of ``url``, verified if its md5 is known.

        Raises:
            WeightsError: it cannot be downloaded; later calls raise the same error.
        """
        if url in self._failed:
            raise self._failed[url]
        if url not in self._complete:
            try:
                self._complete[url] = self._download(url, artefact, progress)
            except WeightsError as error:
                self._failed[url] = error
                raise
        return self._complete[url]

    def close(self) -> None:
        """Remove the complete archives; incomplete ones stay, to be resumed by the next attempt."""
        for archive in self._complete.values():
            archive.unlink(missing_ok=True)
        self._complete.clear()

    def _download(self, url: str, artefact: Artefact, progress: ProgressCallback) -> Path:
        part = part_path(self.directory, url)
        report = _reporter(artefact, url, progress)
        request = partial(download, url, part, report=report, timeout_seconds=self.timeout_seconds)
        is_spliced = request()
        try:
            check_archive(part, artefact.archive_md5)
        except WeightsError as error:
            if is_spliced:
                logger.warning("%s: the resumed archive is damaged; downloading it again", url)
                request(may_resume=False)
            try:
                check_archive(part, artefact.archive_md5)
            except WeightsError:
                part.unlink()
                raise WeightsError(error.problem, where=url) from error
        return part


def part_path(directory: Path, url: str) -> Path:
    """Return the path of the incomplete file of an address, different for every address."""
    digest = hashlib.sha256(url.encode()).hexdigest()
    return directory / f".{digest[:12]}-{url_file_name(url)[-64:]}.part"


def member_names(artefact: Artefact) -> tuple[str, ...]:
    """Return possible names of the artefact inside an archive, best first."""
    return tuple(dict.fromkeys(filter(None, (artefact.member, *file_names(artefact)))))


def file_names(artefact: Artefact) -> tuple[str, ...]:
    """Return possible names of the artefact below a folder or mirror, best first."""
    published = (url_file_name(url) for url in artefact.sources if not is_archive(url))
    names = (artefact.path, artefact.member, *published, PurePosixPath(artefact.path).name)
    return tuple(dict.fromkeys(filter(None, names)))


def archive_names(artefact: Artefact) -> tuple[str, ...]:
    """Return the names of archives that contain the artefact."""
    return tuple(dict.fromkeys(url_file_name(url) for url in artefact.sources if is_archive(url)))


def _reporter(artefact: Artefact, source: str, progress: ProgressCallback) -> Report:
    def report(done_bytes: int, total_bytes: int | None) -> None:
        progress(FetchProgress(artefact.name, source, done_bytes, total_bytes))

    return report
