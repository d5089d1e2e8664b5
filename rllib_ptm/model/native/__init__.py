"""Attention and GRU in C++, for a CPU: as the torch code beside this package, and faster.

Everything here is optional. Where there is no C++ compiler, on a GPU, in other formats than float32
and where a hidden width does not fill the machine's vectors, the networks are evaluated by torch.
"""
