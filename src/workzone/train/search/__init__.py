"""Trainings that look for settings; a training for its own sake is in `job`."""
