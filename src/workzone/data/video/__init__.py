"""Videos: frames chosen by time or way, upright, each with its second, place and moment.

Everything here needs the extra ``video``; where the camera was comes from `workzone.data.track`.
"""
