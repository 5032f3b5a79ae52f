"""Masks that open-vocabulary models make of photographs, for the mask store; nothing learns."""
