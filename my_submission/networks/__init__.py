"""Torch modules of the published architectures: maths and key names, no audio, no files."""
