"""Metadata to a vector, with what may be used and how it is encoded;
reading it from data sets is the part of `workzone.data`.
"""
