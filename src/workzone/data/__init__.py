"""Samples, from data sets to a manifest that can be trusted; no model is asked here."""
