"""The networks and the mathematics of prioritized tasks mining; torch and numpy only.

The networks of Section 3.4:

    embedding, attention        attention.entity_attention.EntityAttention
    GRU                         gru.PackedGRU
    utilities Q_a               agent.Agent: the two above and one of action_heads
                                (attention.pairwise in place of the paper's, if asked for)
    mixing network              mixers.qmix.QMixer, with hypernetworks of EntityAttention
    their widths                sizes.NetworkSizes

The equations, in the paper's order:

    1   losses.squared_td_error     the squared TD error
    2   mixers.qmix.monotonic_mix   Q_tot from the utilities
    3   losses.task_priorities      ω
    4   masks.same_group            M_D, and M_I
    5   masks.observed              M_D^μ
    6   q_values.original           Q_tot under M^μ and M*
    7   losses.step_mean            Loss_ori
    8   losses.td_targets           y
    9   q_values.exploration        Q_tot under M_D
    10  losses.episode_mean         Loss_exp, and Loss_task
    11  masks.other_group           M_O
    12  masks.observed              M_I^μ and M_O^μ
    13  q_values.exploitation       Q_tot under M_I and M_O
    14  losses.mining_loss          Loss_hpt
    15  losses.total_loss           the total

``native`` computes attention, pairs, GRU and entity head in C++ on a CPU. ``popart`` is part of a
baseline. ``rllib_ptm.methods`` says which method uses what.
"""
