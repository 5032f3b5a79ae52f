"""Path-traced objects for photographs: models, materials, light, cut-outs and their composing.

What needs the renderer (the extra `render`) belongs here; what is drawn with polygons does not.
"""
