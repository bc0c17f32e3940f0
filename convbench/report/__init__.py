"""Decisions to pages: knows only convbench.analysis."""

from __future__ import annotations

from convbench.report.site import build_report

__all__ = ["build_report"]
