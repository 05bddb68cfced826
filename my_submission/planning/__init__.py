"""Planning: the cost of work on this machine, and the work item that comes next before a deadline.

Planning imports no mechanism: stages state themselves what is left to do and how it is shown.
"""

from my_submission.planning.calibration import Calibration, Cost
from my_submission.planning.cost_model import CostModel, Forecast
from my_submission.planning.coverage import Coverage
from my_submission.planning.estimates import ChunkBuffer, EstimateBuffer, SegmentBuffer
from my_submission.planning.schedule import Plan, Schedule
from my_submission.planning.stage import Benefit, ClosingStage, Stage, WorkItem
from my_submission.planning.streaming_order import StreamingOrder

__all__ = [
    "Benefit",
    "Calibration",
    "ChunkBuffer",
    "ClosingStage",
    "Cost",
    "CostModel",
    "Coverage",
    "EstimateBuffer",
    "Forecast",
    "Plan",
    "Schedule",
    "SegmentBuffer",
    "Stage",
    "StreamingOrder",
    "WorkItem",
]
