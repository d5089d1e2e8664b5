"""Attention, GRU and entity head in C++ for a CPU: as the torch code in ``model``, but faster.

This package is optional. Torch evaluates the networks where there is no GCC, on a GPU, in formats
other than float32, and for hidden widths that do not fill the machine's vectors.
"""
