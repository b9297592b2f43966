"""The report of a run folder: summary.csv, figures, report.md, report.html; and what other pictures share with it."""
