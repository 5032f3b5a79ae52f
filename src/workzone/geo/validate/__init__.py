"""Feeds of work zones, anybody's, checked: all that is wrong with one, in sentences."""
