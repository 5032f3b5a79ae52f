"""The model behind HTTP: requests in, answers or problem documents out.

What judges an image stands in `run`; here is only what brings images to it and answers back.
"""
