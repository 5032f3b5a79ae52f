"""Frozen feature extractors behind one small interface."""
