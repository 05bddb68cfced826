"""Configuration files: strict TOML tables read into frozen dataclasses."""
