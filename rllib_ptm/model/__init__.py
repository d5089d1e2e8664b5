"""The networks and the mathematics of prioritized tasks mining, in torch alone.

The agents' utility network (Section 3.4) is in ``agent``, on ``attention`` and ``gru``. The
equations, in the paper's order:

    1   losses.squared_td_error     the error that is minimised
    2   mixer.monotonic_mix         from utilities to Q_tot
    3   losses.task_priorities      ω
    4   masks.same_group            M_D, and M_I
    5   masks.observed              M_D^μ
    6   q_values.original           Q_tot of what was seen
    7   losses.step_mean            Loss_ori
    8   losses.td_targets           y
    9   q_values.exploration        Q_tot under M_D
    10  losses.episode_mean         Loss_exp, and Loss_task
    11  masks.other_group           M_O
    12  masks.observed              M_I^μ and M_O^μ
    13  q_values.exploitation       Q_tot under M_I and M_O
    14  losses.mining_loss          Loss_hpt
    15  losses.total_loss           the total

``native`` holds the networks' attention and GRU once more, in C++, for a CPU. ``popart`` is a
baseline's. ``rllib_ptm.methods`` says which method uses what.
"""
