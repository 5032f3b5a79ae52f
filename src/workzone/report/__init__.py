"""Figures, charts and pages from scores that are there already; no image is scored here."""
