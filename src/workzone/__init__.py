"""Road work in street images: whether it is there, how sure, and where."""

__version__ = "0.1.0"
