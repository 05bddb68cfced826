"""Song folders on disk: stems, collections, splits and decoding."""
