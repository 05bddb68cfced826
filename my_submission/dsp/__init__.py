"""Signal processing as pure functions: array in, new array out."""
