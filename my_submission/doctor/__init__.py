"""Measures what this machine can run: usable providers, speed and memory of systems, and which limits would hold."""

from my_submission.doctor.differences import Difference, measure_differences
from my_submission.doctor.limit_forecast import LimitForecast, forecast
from my_submission.doctor.machine import Machine, describe_machine, runtime_findings
from my_submission.doctor.trial import Trial, TrialSettings, try_system
from my_submission.doctor.tried_versions import version_findings

__all__ = [
    "Difference",
    "LimitForecast",
    "Machine",
    "Trial",
    "TrialSettings",
    "describe_machine",
    "forecast",
    "measure_differences",
    "runtime_findings",
    "try_system",
    "version_findings",
]
