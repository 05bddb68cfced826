"""``python -m training``: from songs to networks."""

from __future__ import annotations

from terminal import early

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes time, during which an interrupt would show a traceback
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line and end the process."""
    early.listen()
    from terminal import process

    process.begin()
    from training.cli import main

    process.end_in_order()
    process.end(main())


if __name__ == "__main__":
    run()
