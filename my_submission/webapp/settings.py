"""What whoever starts the page decides for all visitors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from my_submission.weights.folder import DEFAULT_DIRECTORY

DEFAULT_PORT = 8501


@dataclass(frozen=True)
class PageSettings:
    """Limits and places.

    Attributes:
        host: address to listen on; the default lets only this machine in.
        port: TCP port.
        max_upload_mib: largest file a visitor may upload.
        max_song_seconds: longest song; a longer one is refused before it is decoded where its header tells its
            length, and as soon as decoding shows it elsewhere.
        most_waiting: songs that may wait for their turn; further visitors are asked to come back.
        models_dir: where the weights are.
        sample_inputs: files and folders of songs that visitors may choose instead of an upload.
        scores_dirs: folders in which the scores page looks for scores files.
        scratch_dir: where visitors' folders are made; the system's temporary folder when None.
        grace_seconds: a visitor whose connection broke may come back for so long before the songs are removed.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    max_upload_mib: int = 200
    max_song_seconds: float = 900.0
    most_waiting: int = 8
    models_dir: Path = DEFAULT_DIRECTORY
    sample_inputs: tuple[Path, ...] = ()
    scores_dirs: tuple[Path, ...] = field(default=(Path("evaluation"),))
    scratch_dir: Path | None = None
    grace_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.max_upload_mib < 1 or self.max_song_seconds <= 0 or self.most_waiting < 1 or self.grace_seconds < 0:
            raise ValueError(f"limits of the page must be above zero: {self}")
