"""The report of a run as one HTML file, the comparison of runs, what it needs of a trained encoder, and the table of results."""

from sparring.reporting.collect import collect
from sparring.reporting.compare import write_comparison
from sparring.reporting.report import write_report, write_robustness_report
from sparring.reporting.table import read_results, results_table

__all__ = ["collect", "read_results", "results_table", "write_comparison", "write_report", "write_robustness_report"]
