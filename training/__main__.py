"""``python -m training``: from songs to networks."""

from training.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
