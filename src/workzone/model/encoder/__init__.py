"""Layers through which views see each other, from attention to experts;
what makes one vector of them is in `views`.
"""
