"""The networks and the mathematics of prioritized tasks mining, in torch alone.

Read it in the paper's order: ``attention``, ``agent`` and ``mixer`` (the networks, Eq. 2 and 6),
``masks`` (Eq. 4, 5, 11, 12), ``q_values`` (Eq. 1, 9, 13), ``losses`` (Eq. 3, 7, 8, 10, 14, 15).
"""
