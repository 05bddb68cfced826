"""Signal processing as pure functions: arrays in, new arrays out."""
