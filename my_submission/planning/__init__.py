"""Planning: what a system costs here and now, and which of its work to do next before a deadline."""

from my_submission.planning.calibration import Calibration, Cost
from my_submission.planning.coverage import Coverage
from my_submission.planning.joint_filter import JointFilterWork
from my_submission.planning.layers import ChunkLayer, Layer, SegmentLayer
from my_submission.planning.masks import FilterWork, MaskWork
from my_submission.planning.pace import Forecast, Pace
from my_submission.planning.schedule import Plan, PlannedPart, Schedule
from my_submission.planning.segments import SegmentWork, ShiftedWork
from my_submission.planning.work import ChunkWork, SequentialWork, Unit, Work

__all__ = [
    "Calibration",
    "ChunkLayer",
    "ChunkWork",
    "Cost",
    "Coverage",
    "FilterWork",
    "Forecast",
    "JointFilterWork",
    "Layer",
    "MaskWork",
    "Pace",
    "Plan",
    "PlannedPart",
    "Schedule",
    "SegmentLayer",
    "SegmentWork",
    "SequentialWork",
    "ShiftedWork",
    "Unit",
    "Work",
]
