"""The map behind HTTP: what is asked, and what of a store is answered."""
