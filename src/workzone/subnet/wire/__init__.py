"""How validators sign what they ask, and what they read of an answer; no server, no model."""
