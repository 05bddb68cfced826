"""Places an artefact can come from, as values with one method: put a copy here."""

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
from my_submission.weights.content import find_damage, has_known_digest
from my_submission.weights.download import DEFAULT_TIMEOUT_SECONDS, FetchProgress, Report, download
from my_submission.weights.manifest import Artefact, is_archive, url_file_name

logger = logging.getLogger(__name__)

ProgressCallback = Callable[[FetchProgress], None]


class ArtefactSource(Protocol):
    """A place that may have an artefact."""

    @property
    def label(self) -> str:
        """The file or address, for messages."""
        ...

    def stage(self, artefact: Artefact, staged: Path, progress: ProgressCallback) -> None:
        """Put the artefact's content, not yet trusted, into the file ``staged``; MdxError when that fails."""
        ...

    def stage_beside(self, artefact: Artefact, location: str, staged: Path, *, n_bytes: int) -> None:
        """Put a file that the artefact's graph keeps weights in into the file ``staged``; MdxError when that fails.

        Args:
            artefact: whose file it is.
            location: the file relative to the graph's folder.
            staged: where to put it.
            n_bytes: how many it has at least.
        """
        ...


@dataclass(frozen=True)
class FileSource:
    """A file on this machine."""

    path: Path

    @property
    def label(self) -> str:
        """The file's path."""
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
        """Copy the file of that name beside it."""
        try:
            with (self.path.parent / location).open("rb") as source:
                copy_stream(source, staged)
        except OSError as error:
            raise _no_companion(location, self.label, error.strerror) from error


@dataclass(frozen=True)
class ZipSource:
    """A .zip archive on this machine."""

    path: Path

    @property
    def label(self) -> str:
        """The archive's path."""
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
    """A file behind an address."""

    url: str
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS

    @property
    def label(self) -> str:
        """The address."""
        return self.url

    def stage(self, artefact: Artefact, staged: Path, progress: ProgressCallback) -> None:
        """Download the file; a part that an earlier attempt left beside it is taken up."""
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
            logger.warning("%s: the file resumed does not match its hash; downloading it afresh", self.url)
            request(may_resume=False)
        part.replace(staged)

    def stage_beside(self, artefact: Artefact, location: str, staged: Path, *, n_bytes: int) -> None:
        """Download the file of that name beside it: no hash will check it, so it is never taken up again."""
        url = urljoin(self.url, quote(location))
        part = part_path(staged.parent, url)
        largest = n_bytes + max(n_bytes // 8, 1 << 20)  # exporters align tensors
        report = _reporter(artefact, url, lambda _: None)
        timeout = self.timeout_seconds
        download(url, part, report=report, max_bytes=largest, may_resume=False, timeout_seconds=timeout)
        part.replace(staged)


@dataclass(frozen=True)
class UrlZipSource:
    """A .zip archive behind an address."""

    url: str
    archives: ArchiveStore

    @property
    def label(self) -> str:
        """The address."""
        return self.url

    def stage(self, artefact: Artefact, staged: Path, progress: ProgressCallback) -> None:
        """Download the archive, unless that was done already, and unpack the artefact's member."""
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
        raise _no_companion(location, label, error.strerror) from error
    except WeightsError as error:
        raise _no_companion(location, label, error.problem) from error


def _no_companion(location: str, label: str, reason: str | None) -> WeightsError:
    problem = f"its weights lie in {location!r} beside it, which cannot be had ({reason})"
    return WeightsError(problem, where=label, hint="give a folder or archive that holds both files")


@dataclass
class ArchiveStore:
    """Archives downloaded for several members; each is asked for once, and removed when the store closes.

    Attributes:
        directory: where archives lie meanwhile.
        timeout_seconds: longest silence of a server.
    """

    directory: Path
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    _complete: dict[str, Path] = field(default_factory=dict)
    _failed: dict[str, WeightsError] = field(default_factory=dict)

    def get(self, url: str, artefact: Artefact, progress: ProgressCallback) -> Path:
        """The archive behind ``url``, complete and, where its md5 is known, the published one.

        Raises:
            WeightsError: it cannot be had; the same error again when asked again.
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
        """Remove the complete archives; a part stays, to be taken up by the next attempt."""
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
                logger.warning("%s: the archive resumed is damaged; downloading it afresh", url)
                request(may_resume=False)
            try:
                check_archive(part, artefact.archive_md5)
            except WeightsError:
                part.unlink()
                raise WeightsError(error.problem, where=url) from error
        return part


def part_path(directory: Path, url: str) -> Path:
    """Where the growing file of an address lies: another address never continues it."""
    digest = hashlib.sha256(url.encode()).hexdigest()
    return directory / f".{digest[:12]}-{url_file_name(url)[-64:]}.part"


def member_names(artefact: Artefact) -> tuple[str, ...]:
    """What the artefact may be called inside an archive, best first."""
    return tuple(dict.fromkeys(filter(None, (artefact.member, *file_names(artefact)))))


def file_names(artefact: Artefact) -> tuple[str, ...]:
    """What the artefact may be called below a folder or mirror, best first."""
    published = (url_file_name(url) for url in artefact.sources if not is_archive(url))
    names = (artefact.path, artefact.member, *published, PurePosixPath(artefact.path).name)
    return tuple(dict.fromkeys(filter(None, names)))


def archive_names(artefact: Artefact) -> tuple[str, ...]:
    """What archives that hold the artefact are called."""
    return tuple(dict.fromkeys(url_file_name(url) for url in artefact.sources if is_archive(url)))


def _reporter(artefact: Artefact, source: str, progress: ProgressCallback) -> Report:
    def report(done_bytes: int, total_bytes: int | None) -> None:
        progress(FetchProgress(artefact.name, source, done_bytes, total_bytes))

    return report
