"""The log of a training, its figures, and who else is told;
nothing here changes what is learned.
"""
