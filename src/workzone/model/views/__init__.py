"""Choosing views and making one vector of them;
cutting views from an image is `workzone.views`' part.
"""
