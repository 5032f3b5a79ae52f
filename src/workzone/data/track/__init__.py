"""Tracks: where a camera was, and when, by what it wrote in or beside its pictures.

One reader per maker or format, behind `fixes.Reader`, or `film.FilmReader` within videos; what they
have in common (which fixes count, motion, interpolation, files written) is in `track`, `motion` and
`files`. No pictures are decoded here.
"""
