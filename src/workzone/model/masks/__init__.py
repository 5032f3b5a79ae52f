"""The auxiliary mask head and its loss;
making targets from annotations is the part of `workzone.features`.
"""
