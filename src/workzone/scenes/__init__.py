"""Drawn street scenes, for demonstrations and tests that need no photographs.

What is drawn and written belongs here; data sets of others are read by `workzone.data`.
"""

from workzone.scenes.scene import Scene, draw_scene
from workzone.scenes.write import write_scenes

__all__ = ["Scene", "draw_scene", "write_scenes"]
