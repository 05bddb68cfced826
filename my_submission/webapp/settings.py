"""Settings of the server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from my_submission.errors import MdxError
from my_submission.webapp.serving.hosts import is_host_name
from my_submission.webapp.serving.uploads import UploadLimits
from my_submission.weights.folder import DEFAULT_MODELS_DIR

DEFAULT_PORT = 8501
UPLOADS_PER_VISITOR = 3
"""Uploads of one visitor: a song, a second song that replaces it, and a scores file."""

SCORES_BYTES = 5 << 20
"""Largest scores file that can be uploaded."""

_BASE_PATH = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")


@dataclass(frozen=True)
class PageSettings:
    """Settings of the server.

    Attributes:
        host: address to listen on; the default accepts only this machine.
        port: TCP port; 0 for any free port.
        allowed_hosts: additional host names of this server, such as that of a proxy.
        base_path: prefix of all paths, such as ``/mdx``; empty for none.
        max_uploads: uploads of all visitors stored at once, current songs included.
        max_uploads_mib: their total size.
        max_song_seconds: longest song; checked from the header before decoding, else while decoding.
        max_waiting: songs that may wait in the queue.
        sample_inputs: files and folders of songs offered as samples.
        scores_dirs: folders of scores files for the scores page.
        scratch_dir: parent of the songs' folders; by default the system's temporary folder.
        grace_seconds: time to reconnect after a lost connection, before uploads that are not songs yet are deleted.
        keep_seconds: time from the last use of a song to its deletion.
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
    keep_seconds: float = 3600.0

    def __post_init__(self) -> None:
        counts = (self.max_upload_mib, self.max_uploads, self.max_uploads_mib, self.max_waiting)
        if min(counts) < 1 or self.max_song_seconds <= 0 or self.grace_seconds < 0 or self.keep_seconds <= 0:
            raise ValueError(f"limits of the page must be above zero: {self}")
        if self.max_uploads_mib < self.max_upload_mib:
            raise MdxError(
                f"one upload may have {self.max_upload_mib} MiB, but all uploads together {self.max_uploads_mib}",
                hint="raise --max-uploads-size, or lower --max-upload",
            )
        for name in self.allowed_hosts:
            if not is_host_name(name):
                raise MdxError(f"{name!r} is not a host name", hint="give a name or IP address without port or scheme")
        if self.base_path and not _BASE_PATH.fullmatch(self.base_path):
            raise MdxError(
                f"{self.base_path!r} is not a valid base path",
                hint="give one like /mdx: letters, digits, '-', '_', '.' and '/', without a '/' at the end",
            )

    @property
    def upload_limits(self) -> UploadLimits:
        """Limits of uploads."""
        file_bytes = self.max_upload_mib << 20
        return UploadLimits(
            file_bytes=file_bytes,
            visitor_bytes=file_bytes + SCORES_BYTES,
            visitor_files=UPLOADS_PER_VISITOR,
            all_bytes=self.max_uploads_mib << 20,
            all_files=self.max_uploads,
        )
