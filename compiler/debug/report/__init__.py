"""
The report: one page that shows a model, what the passes did with it, and what it costs.

`stages` looks on as the passes run, `scopes` and `layout` say where each op stands,
`facts` what it costs, `page` puts all of it into one HTML file. Whatever comes from the
model is data in the page, never markup or script.
"""

from .build import Peaks, build_report, write_report
from .layout import ReportError

__all__ = ["Peaks", "ReportError", "build_report", "write_report"]
