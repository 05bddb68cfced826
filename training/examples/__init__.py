"""Training examples: windows drawn from songs, remixed, and loaded in batches."""
