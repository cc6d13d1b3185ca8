"""The story of a run as one HTML file that needs nothing else: no network, no script, no second file."""

from interlock.report.page import render_report, render_rollout, render_version, write_report
from interlock.report.run import RolloutReport, RunReport, VersionReport

__all__ = [
    "RolloutReport",
    "RunReport",
    "VersionReport",
    "render_report",
    "render_rollout",
    "render_version",
    "write_report",
]
