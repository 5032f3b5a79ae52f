"""Optimizers, learning rates and averages of weights;
nothing here knows what is learned, or from what.
"""
