"""From logits to a probability and a decision, and the bundle that holds all of it;
nothing is trained here.
"""
