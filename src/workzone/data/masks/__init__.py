"""Object masks of the six classes: one store, what fills it, what reads it; no model is asked."""
