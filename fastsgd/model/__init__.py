"""A network as data: its layers, where each array lies in the flat parameters.

It holds no arrays and computes nothing.
"""
