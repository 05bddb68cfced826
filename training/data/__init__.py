"""Songs on disk, windows drawn from them, and the order they are drawn in."""
