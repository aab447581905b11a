"""The fifteen corruptions of ImageNet-C (Hendrycks & Dietterich 2019) at five severities, with both tables of constants."""

from sparring.evaluation.corruptions.constants import NAMES, SEVERITIES, TABLES, Table
from sparring.evaluation.corruptions.corrupt import corrupt

__all__ = ["NAMES", "SEVERITIES", "TABLES", "Table", "corrupt"]
