"""What whoever starts the page decides for all visitors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from my_submission.errors import MdxError
from my_submission.webapp.hosts import is_host_name
from my_submission.webapp.uploads import UploadLimits
from my_submission.weights.folder import DEFAULT_MODELS_DIR

DEFAULT_PORT = 8501
UPLOADS_OF_A_VISITOR = 3
"""A song on its way, another that replaces it, a scores file."""

SCORES_BYTES = 5 << 20
"""Largest scores file a visitor may look at."""

_BASE_PATH = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")


@dataclass(frozen=True)
class PageSettings:
    """Limits and places.

    Attributes:
        host: address to listen on; the default lets only this machine in.
        port: TCP port; 0 for any that is free.
        allowed_hosts: further names this server goes by, such as that of a proxy before it.
        base_path: what every address begins with, such as ``/mdx``; empty for none.
        max_upload_mib: largest file a visitor may upload.
        max_uploads: files of all visitors that may be here at once, songs in hand included.
        max_uploads_mib: their size together.
        max_song_seconds: longest song; a longer one is refused before it is decoded where its header tells its
            length, and as soon as decoding shows it elsewhere.
        max_waiting: songs that may wait for their turn; further visitors are asked to come back.
        models_dir: where the weights are.
        sample_inputs: files and folders of songs that visitors may choose instead of an upload.
        scores_dirs: folders in which the scores page looks for scores files.
        scratch_dir: where visitors' folders are made; the system's temporary folder when None.
        grace_seconds: a visitor whose connection broke may come back for so long before the songs are removed.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    allowed_hosts: tuple[str, ...] = ()
    base_path: str = ""
    max_upload_mib: int = 200
    max_uploads: int = 64
    max_uploads_mib: int = 4096
    max_song_seconds: float = 900.0
    max_waiting: int = 8
    models_dir: Path = DEFAULT_MODELS_DIR
    sample_inputs: tuple[Path, ...] = ()
    scores_dirs: tuple[Path, ...] = field(default=(Path("evaluation"),))
    scratch_dir: Path | None = None
    grace_seconds: float = 30.0

    def __post_init__(self) -> None:
        most = (self.max_upload_mib, self.max_uploads, self.max_uploads_mib, self.max_waiting)
        if min(most) < 1 or self.max_song_seconds <= 0 or self.grace_seconds < 0:
            raise ValueError(f"limits of the page must be above zero: {self}")
        if self.max_uploads_mib < self.max_upload_mib:
            raise MdxError(
                f"one upload may have {self.max_upload_mib} MiB and all together {self.max_uploads_mib}",
                hint="raise --max-uploads-size, or lower --max-upload",
            )
        for name in self.allowed_hosts:
            if not is_host_name(name):
                raise MdxError(
                    f"{name!r} is not the name of a host", hint="give a name or an IP address without port or scheme"
                )
        if self.base_path and not _BASE_PATH.fullmatch(self.base_path):
            raise MdxError(
                f"{self.base_path!r} is not a path for addresses to begin with",
                hint="give one like /mdx: letters, digits, '-', '_', '.' and '/', with no '/' at the end",
            )

    @property
    def upload_limits(self) -> UploadLimits:
        """Bounds of the uploads."""
        file_bytes = self.max_upload_mib << 20
        return UploadLimits(
            file_bytes=file_bytes,
            visitor_bytes=file_bytes + SCORES_BYTES,
            visitor_files=UPLOADS_OF_A_VISITOR,
            all_bytes=self.max_uploads_mib << 20,
            all_files=self.max_uploads,
        )
