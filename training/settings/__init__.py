"""Experiments as files: strict TOML tables, one frozen value each."""
