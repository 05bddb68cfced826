"""Stems in files: formats, encoders, tags, names, and sets that are replaced as a whole."""
