"""Fetch artefacts into a models folder: from their published addresses, a mirror, or local files."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from my_submission.errors import OutputError, WeightsError
from my_submission.files.locks import exclusive
from my_submission.files.part_files import move_into_place
from my_submission.weights.artefact_sources import (
    ArchiveStore,
    ArtefactSource,
    FileSource,
    ProgressCallback,
    UrlSource,
    UrlZipSource,
    ZipSource,
    archive_names,
    file_names,
)
from my_submission.weights.companions import companions_of, find_missing, refuse_clash
from my_submission.weights.content_checks import find_damage, has_known_digest, is_identified, is_lfs_pointer, sha256_of
from my_submission.weights.download import DEFAULT_TIMEOUT_SECONDS, FetchProgress
from my_submission.weights.folder import ModelsFolder
from my_submission.weights.manifest import Artefact, is_archive, url_file_name
from my_submission.weights.tensors import check_checksums
from terminal.program import program_name

logger = logging.getLogger(__name__)

_LOCK_NAME = ".fetch.lock"

NetworkCheck = Callable[[Artefact, Path], None]
"""Opens a file as the network of its entry; raises WeightsError if it does not fit."""


@dataclass(frozen=True)
class FetchResult:
    """Result of fetching one artefact.

    Attributes:
        name: name of the artefact.
        path: path of its file.
        source: the file or address it came from; None when it was present.
        is_verified: whether a known hash verifies all of it.
    """

    name: str
    path: Path
    source: str | None
    is_verified: bool = True


def fetch(
    models_folder: ModelsFolder,
    names: Iterable[str],
    *,
    from_path: Path | None = None,
    mirror: str | None = None,
    progress: ProgressCallback | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    network_check: NetworkCheck | None = None,
) -> tuple[FetchResult, ...]:
    """Fetch artefacts into a models folder; each is verified before it gets its final name.

    An artefact without a known hash is opened instead: a file that does not fit its entry is refused, any other counts
    as not verified. External data files of a graph are fetched from the same source and are never verified, because
    the hash of the graph does not cover them.

    Artefacts that are present and verified are left alone. Downloads resume an earlier attempt; an archive of several
    artefacts is downloaded once. Other processes that fetch into the same folder wait.

    Args:
        models_folder: names the artefacts; its ``fetched`` is the destination.
        names: artefacts to fetch, in this order.
        from_path: the only source: the file itself, a .zip archive, or a folder with the files or archives under the
            manifest's or the published names.
        mirror: the only source: address of the file itself, of a .zip archive, or of a folder laid out like the models
            folder or with files and archives under their published names.
        progress: called with every block that arrives.
        timeout_seconds: longest wait for a server.
        network_check: opens files without a known hash; raises WeightsError if one does not fit its entry.

    Returns:
        One result per name, in the order of ``names``.

    Raises:
        UnknownNameError: the manifest has no such artefact; nothing was fetched.
        WeightsError: no source had the right content; the artefacts before this one are complete.
        OutputError: the models folder cannot be written.
        ValueError: both ``from_path`` and ``mirror`` are given.
    """
    if from_path is not None and mirror is not None:
        raise ValueError("give either from_path or mirror, not both")
    wanted = [models_folder.artefact(name) for name in dict.fromkeys(names)]
    _refuse_single_file_for_several(wanted, from_path, mirror)
    directory = models_folder.fetched
    results = []
    with exclusive(directory / _LOCK_NAME), closing(ArchiveStore(directory, timeout_seconds)) as archives:
        for artefact in wanted:
            target = models_folder.path(artefact.name)
            source = None
            if not _is_in_place(artefact, target):
                target = models_folder.target(artefact.name)
                candidates = _sources_of(artefact, from_path, mirror, archives)
                if not candidates:
                    raise WeightsError(
                        f"no address is known for {artefact.name}", where=target, hint=models_folder.hint(artefact.name)
                    )
                source = _Placement(models_folder, artefact, progress or _ignore, network_check).place(candidates)
            is_verified = is_identified(artefact, target) and not companions_of(artefact, target)
            results.append(FetchResult(artefact.name, target, source, is_verified))
    return tuple(results)


def _ignore(_: FetchProgress) -> None:
    pass


def _refuse_single_file_for_several(wanted: list[Artefact], from_path: Path | None, mirror: str | None) -> None:
    if len({artefact.path for artefact in wanted}) <= 1:
        return
    is_one_path = from_path is not None and from_path.is_file() and not is_archive(from_path.name)
    is_one_url = mirror is not None and any(_is_the_file_itself(mirror, artefact) for artefact in wanted)
    if is_one_path or is_one_url:
        raise WeightsError(
            f"is one file, but {len(wanted)} artefacts were requested",
            where=from_path if mirror is None else mirror,
            hint="name one artefact, or give an archive or folder that contains all of them",
        )


def _is_in_place(artefact: Artefact, target: Path) -> bool:
    if not target.is_file():
        return False
    problem = find_damage(artefact, target) or find_missing(artefact, target)
    if problem is not None and not is_lfs_pointer(target):
        logger.warning("%s: %s; it will be replaced", target, problem)
    return problem is None


def _is_the_file_itself(url: str, artefact: Artefact) -> bool:
    return PurePosixPath(url_file_name(url)).suffix == PurePosixPath(artefact.path).suffix


def _sources_of(
    artefact: Artefact, from_path: Path | None, mirror: str | None, archives: ArchiveStore
) -> list[ArtefactSource]:
    if from_path is not None:
        return _local_sources(artefact, from_path)
    urls = artefact.sources if mirror is None else _mirror_urls(artefact, mirror)
    return [
        UrlZipSource(url, archives) if is_archive(url) else UrlSource(url, archives.timeout_seconds) for url in urls
    ]


def _mirror_urls(artefact: Artefact, mirror: str) -> list[str]:
    if is_archive(mirror) or _is_the_file_itself(mirror, artefact):
        return [mirror]
    return [f"{mirror.rstrip('/')}/{name}" for name in (*file_names(artefact), *archive_names(artefact))]


def _local_sources(artefact: Artefact, from_path: Path) -> list[ArtefactSource]:
    if from_path.is_file():
        return [ZipSource(from_path) if is_archive(from_path.name) else FileSource(from_path)]
    files = [from_path / name for name in file_names(artefact)]
    zips = [from_path / name for name in archive_names(artefact)]
    candidates: list[ArtefactSource] = [FileSource(path) for path in files if path.is_file()]
    candidates += [ZipSource(path) for path in zips if path.is_file()]
    if not candidates:
        problem = (
            f"contains none of {', '.join((*file_names(artefact), *archive_names(artefact)))}"
            if from_path.is_dir()
            else "does not exist"
        )
        raise WeightsError(f"{artefact.name} could not be fetched: {problem}", where=from_path)
    return candidates


@dataclass(frozen=True)
class _Placement:
    """Fetching of one artefact to its final path."""

    models_folder: ModelsFolder
    artefact: Artefact
    progress: ProgressCallback
    network_check: NetworkCheck | None

    def place(self, candidates: list[ArtefactSource]) -> str:
        """Try the sources in turn; return the label of the one that succeeded."""
        target = self.models_folder.target(self.artefact.name)
        staging = target.with_name(f".{target.name}.staged")
        failures: list[WeightsError] = []
        try:
            shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
            target.parent.mkdir(parents=True, exist_ok=True)
            for candidate in candidates:
                try:
                    self._deliver(candidate, target, staging)
                    return candidate.label
                except WeightsError as error:
                    logger.info("%s: %s", self.artefact.name, error)
                    failures.append(error)
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
        except OSError as error:
            raise OutputError(f"cannot be written ({error.strerror})", where=target) from error
        raise _failure(self.artefact, target, failures) from failures[-1]

    def _deliver(self, candidate: ArtefactSource, target: Path, staging: Path) -> None:
        """Stage the artefact and its data files in a hidden folder, check them, and give them their final names."""
        arriving = target.with_name(f".{target.name}.staged.part")
        staged = staging / target.name
        try:
            candidate.stage(self.artefact, arriving, self.progress)
            problem = find_damage(self.artefact, arriving)
            if problem is not None:
                raise WeightsError(problem, where=candidate.label)
            staging.mkdir()
            arriving.replace(staged)
        finally:
            arriving.unlink(missing_ok=True)
        try:
            companions = companions_of(self.artefact, staged)
            for location, n_bytes in companions.items():
                self._stage_beside(candidate, location, arriving, staging / location, n_bytes)
            self._check(staged)
        except WeightsError as error:
            where = _shown(error.where, staging, candidate.label)
            raise WeightsError(error.problem, where=where, hint=error.hint) from error
        for location in companions:
            move_into_place(staging / location, target.parent / location)
        move_into_place(staged, target)
        if not has_known_digest(self.artefact):
            digest = sha256_of(target)
            logger.warning("%s: no hash is known to compare with; its sha256 is %s", target, digest)

    def _stage_beside(
        self, candidate: ArtefactSource, location: str, arriving: Path, staged: Path, n_bytes: int
    ) -> None:
        try:
            candidate.stage_beside(self.artefact, location, arriving, n_bytes=n_bytes)
            folder = self.models_folder
            refuse_clash(self.artefact, folder.artefacts, folder.fetched, location, arriving)
            staged.parent.mkdir(parents=True, exist_ok=True)
            arriving.replace(staged)
        finally:
            arriving.unlink(missing_ok=True)
        if (found := staged.stat().st_size) < n_bytes:
            problem = f"its weights are in {location!r}, which has {found} of at least {n_bytes} bytes"
            raise WeightsError(problem, where=candidate.label)

    def _check(self, staged: Path) -> None:
        """Open an artefact without a known hash."""
        if has_known_digest(self.artefact):
            return
        if self.artefact.format == "torch":
            check_checksums(staged)
        if self.network_check is not None:
            self.network_check(self.artefact, staged)


def _shown(where: str | None, staging: Path, label: str) -> str:
    """Return the file of an error for the user: the source instead of the staged copy."""
    return label if where is None or where.startswith(str(staging)) else where


def _failure(artefact: Artefact, target: Path, failures: list[WeightsError]) -> WeightsError:
    command = f"{program_name()} fetch {artefact.name} --from FILE_OR_ZIP_OR_FOLDER_OR_URL"
    hint = f"try again later, or use another source: {command}"
    if len(failures) == 1:
        (only,) = failures
        return WeightsError(
            f"{artefact.name} could not be fetched: {only.problem}", where=only.where, hint=only.hint or hint
        )
    listed = "; ".join(f"({number}) {error.where}: {error.problem}" for number, error in enumerate(failures, 1))
    return WeightsError(
        f"{artefact.name} could not be fetched from any of {len(failures)} sources: {listed}", where=target, hint=hint
    )
