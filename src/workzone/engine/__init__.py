"""A bundle as a program, and what runs it.

Here belongs what turns views into all that a prediction needs; not what reads images, and not what
is shown to people.
"""
