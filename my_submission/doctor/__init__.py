"""Measures what this machine can run: usable providers, speed and memory of systems, and which time limits it meets."""

from my_submission.doctor.constraints import version_findings
from my_submission.doctor.differences import Difference, measure_differences
from my_submission.doctor.limit_forecast import LimitForecast, forecast
from my_submission.doctor.machine import Machine, describe_machine, runtime_findings
from my_submission.doctor.trial import Trial, TrialSettings, try_system
from my_submission.doctor.verdict import TriedSystem, faster_with_openvino, gpu_sentence, verdict_sentences

__all__ = [
    "Difference",
    "LimitForecast",
    "Machine",
    "Trial",
    "TrialSettings",
    "TriedSystem",
    "describe_machine",
    "faster_with_openvino",
    "forecast",
    "gpu_sentence",
    "measure_differences",
    "runtime_findings",
    "try_system",
    "verdict_sentences",
    "version_findings",
]
