"""The 2023 kits' door: the organisers import ``MySeparationModel`` from here.

What it separates, and by which system, stands in submission.toml.
"""

from my_submission.challenge.separation_model import SeparationModel

MySeparationModel = SeparationModel

__all__ = ["MySeparationModel"]
