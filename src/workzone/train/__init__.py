"""From samples to a bundle; what only predicts must not need it."""
