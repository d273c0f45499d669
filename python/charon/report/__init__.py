"""Plots and pages: `report.html` of a run, and the builder for other pages."""

from charon.report.page import Page
from charon.report.run_report import write_run_report

__all__ = ["Page", "write_run_report"]
