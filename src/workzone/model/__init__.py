"""The detector, features to logits; how it is trained is the part of `workzone.train`."""
