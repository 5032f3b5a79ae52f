"""Drawn street scenes, for demonstrations and tests that need no photographs."""

from workzone.data.scenes.scene import Scene, draw_scene
from workzone.data.scenes.write import write_scenes

__all__ = ["Scene", "draw_scene", "write_scenes"]
