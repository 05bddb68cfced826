"""Bring artefacts into a models folder: from their published addresses, a mirror, or files at hand."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from my_submission.errors import OutputError, WeightsError
from my_submission.weights.content import find_damage, has_known_digest, is_lfs_pointer, sha256_of
from my_submission.weights.download import DEFAULT_TIMEOUT_SECONDS, FetchProgress
from my_submission.weights.folder import ModelsFolder
from my_submission.weights.lock import exclusive
from my_submission.weights.manifest import Artefact, is_archive, url_file_name
from my_submission.weights.offers import (
    ArchiveStore,
    FileOffer,
    Offer,
    ProgressCallback,
    UrlOffer,
    UrlZipOffer,
    ZipOffer,
    archive_names,
    file_names,
)

logger = logging.getLogger(__name__)

_LOCK_NAME = ".fetch.lock"


@dataclass(frozen=True)
class FetchResult:
    """What became of one artefact.

    Attributes:
        name: of the artefact.
        path: where it lies now.
        source: the file or address it came from; None when it was there already.
    """

    name: str
    path: Path
    source: str | None


def fetch(
    models_folder: ModelsFolder,
    names: Iterable[str],
    *,
    from_path: Path | None = None,
    mirror: str | None = None,
    progress: ProgressCallback | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> tuple[FetchResult, ...]:
    """Put artefacts into their places in a models folder, each verified before it gets its final name.

    What is there and verified already is left alone. Downloads resume where an earlier attempt stopped; an archive
    that several artefacts come from is downloaded once. Another process that fetches into the same folder waits.

    Args:
        models_folder: where to.
        names: artefacts to bring, in this order.
        from_path: bring them from here and nowhere else: the file itself, a .zip archive, or a folder that holds
            the files or archives under the manifest's or the published names.
        mirror: bring them from this address and nowhere else: a .zip archive, the file itself, or the address of a
            folder laid out like the models folder or holding files and archives under their published names.
        progress: told of every block that arrives.
        timeout_seconds: how long a server may stay silent.

    Returns:
        One result a name, in the order of ``names``.

    Raises:
        UnknownNameError: the manifest has no such artefact; nothing was fetched.
        WeightsError: no place delivered the right content; artefacts before this one are in place.
        OutputError: the models folder cannot be written.
        ValueError: both ``from_path`` and ``mirror`` are given.
    """
    if from_path is not None and mirror is not None:
        raise ValueError("from_path and mirror are two answers to one question; give one of them")
    wanted = [models_folder.artefact(name) for name in dict.fromkeys(names)]
    _refuse_one_file_for_several(wanted, from_path, mirror)
    directory = models_folder.directory
    results = []
    with exclusive(directory / _LOCK_NAME), closing(ArchiveStore(directory, timeout_seconds)) as archives:
        for artefact in wanted:
            target = directory / artefact.path
            source = None
            if not _is_in_place(artefact, target):
                offers = _offers(artefact, from_path, mirror, archives)
                if not offers:
                    raise WeightsError(
                        f"no address is known for {artefact.name}", where=target, cure=models_folder.cure(artefact.name)
                    )
                source = _place(artefact, target, offers, progress or _ignore)
            results.append(FetchResult(artefact.name, target, source))
    return tuple(results)


def _ignore(_: FetchProgress) -> None:
    pass


def _refuse_one_file_for_several(wanted: list[Artefact], from_path: Path | None, mirror: str | None) -> None:
    if len({artefact.path for artefact in wanted}) <= 1:
        return
    is_one_path = from_path is not None and from_path.is_file() and not is_archive(from_path.name)
    is_one_url = mirror is not None and any(_is_the_file_itself(mirror, artefact) for artefact in wanted)
    if is_one_path or is_one_url:
        raise WeightsError(
            f"is one file, and {len(wanted)} artefacts are asked for",
            where=from_path if mirror is None else mirror,
            cure="name one artefact, or give an archive or folder that holds them all",
        )


def _is_in_place(artefact: Artefact, target: Path) -> bool:
    if not target.is_file():
        return False
    problem = find_damage(artefact, target)
    if problem is not None and not is_lfs_pointer(target):
        logger.warning("%s: %s; it will be replaced", target, problem)
    return problem is None


def _is_the_file_itself(url: str, artefact: Artefact) -> bool:
    return PurePosixPath(url_file_name(url)).suffix == PurePosixPath(artefact.path).suffix


def _offers(artefact: Artefact, from_path: Path | None, mirror: str | None, archives: ArchiveStore) -> list[Offer]:
    if from_path is not None:
        return _local_offers(artefact, from_path)
    urls = artefact.sources if mirror is None else _mirror_urls(artefact, mirror)
    return [UrlZipOffer(url, archives) if is_archive(url) else UrlOffer(url, archives.timeout_seconds) for url in urls]


def _mirror_urls(artefact: Artefact, mirror: str) -> list[str]:
    if is_archive(mirror) or _is_the_file_itself(mirror, artefact):
        return [mirror]
    return [f"{mirror.rstrip('/')}/{name}" for name in (*file_names(artefact), *archive_names(artefact))]


def _local_offers(artefact: Artefact, from_path: Path) -> list[Offer]:
    if from_path.is_file():
        return [ZipOffer(from_path) if is_archive(from_path.name) else FileOffer(from_path)]
    files = [from_path / name for name in file_names(artefact)]
    zips = [from_path / name for name in archive_names(artefact)]
    offers: list[Offer] = [FileOffer(path) for path in files if path.is_file()]
    offers += [ZipOffer(path) for path in zips if path.is_file()]
    if not offers:
        problem = (
            f"holds none of {', '.join((*file_names(artefact), *archive_names(artefact)))}"
            if from_path.is_dir()
            else "is not there"
        )
        raise WeightsError(f"{artefact.name} could not be fetched: {problem}", where=from_path)
    return offers


def _place(artefact: Artefact, target: Path, offers: list[Offer], progress: ProgressCallback) -> str:
    """Try the offers in turn; returns the label of the one that delivered."""
    staged = target.with_name(f".{target.name}.staged.part")
    failures: list[WeightsError] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for offer in offers:
            try:
                offer.stage(artefact, staged, progress)
                problem = find_damage(artefact, staged)
                if problem is None:
                    _give_final_name(artefact, staged, target)
                    return offer.label
                raise WeightsError(problem, where=offer.label)
            except WeightsError as error:
                logger.info("%s: %s", artefact.name, error)
                failures.append(error)
            finally:
                staged.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", where=target) from error
    raise _failure(artefact, target, failures) from failures[-1]


def _give_final_name(artefact: Artefact, staged: Path, target: Path) -> None:
    with staged.open("rb+") as file:
        os.fsync(file.fileno())  # the name must not reach the disk before the content
    staged.replace(target)
    if not has_known_digest(artefact):
        logger.warning("%s: no hash is known to compare with; its sha256 is %s", target, sha256_of(target))


def _failure(artefact: Artefact, target: Path, failures: list[WeightsError]) -> WeightsError:
    cure = (
        f"try again later, or bring the file from elsewhere: "
        f"python -m my_submission fetch {artefact.name} --from FILE_OR_ZIP_OR_FOLDER_OR_URL"
    )
    if len(failures) == 1:
        (only,) = failures
        return WeightsError(
            f"{artefact.name} could not be fetched: {only.problem}", where=only.where, cure=only.cure or cure
        )
    listed = "; ".join(f"({number}) {error.where}: {error.problem}" for number, error in enumerate(failures, 1))
    return WeightsError(
        f"{artefact.name} could not be fetched from any of {len(failures)} places: {listed}", where=target, cure=cure
    )
