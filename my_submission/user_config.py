"""Entry point of the 2023 kits: the organisers import ``MySeparationModel`` from this module.

submission.toml chooses track and system.
"""

from my_submission.challenge.separation_model import SeparationModel

MySeparationModel = SeparationModel

__all__ = ["MySeparationModel"]
