"""Readers of data sets: each turns what is on disk into a stream of records.

A reader only finds rows and names their values; :mod:`workzone.data.importing` checks them.
"""
