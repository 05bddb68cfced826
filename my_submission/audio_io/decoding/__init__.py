"""Decoding of audio files to their end, block by block."""
