"""From scored frames with time and place to work zones on a map."""
