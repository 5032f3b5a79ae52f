"""Rows, their copies and how often each is seen;
cutting them into batches, as the settings ask, is the part of `batches`.
"""
