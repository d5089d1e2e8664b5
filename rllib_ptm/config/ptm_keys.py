"""PTM's own config keys: each with its type, its default, its legal values and one line of doc."""

from __future__ import annotations

from dataclasses import dataclass

from envs.settings import setting
from rllib_ptm.learn.optimizers import OPTIMIZERS
from rllib_ptm.methods import METHODS
from rllib_ptm.model.agent import ACTION_HEADS
from rllib_ptm.model.mixer import MIXERS
from rllib_ptm.model.precision import PRECISIONS
from rllib_ptm.tasks.draws import TASK_DRAWS


@dataclass(frozen=True)
class PTMSettings:
    """The keys of ``PTMConfig.training()`` that RLlib does not have."""

    # What is learned
    method: str = setting("ptm", "a row of the table of methods", one_of=tuple(METHODS))
    mining_lambda: float = setting(10.0, "λ, the weight of the mining loss", at_least=0.0)
    alpha_anneal_steps: int = setting(
        2_000_000, "env steps in which α falls from 1 (exploration) to 0 (exploitation)", at_least=1
    )
    td_lambda: float = setting(
        0.0,
        "how far the targets look ahead, as Q(λ) does: 0 = the paper's, to the next step; 1 = to "
        "the episode's end",
        at_least=0.0,
        at_most=1.0,
    )
    win_rate_window_episodes: int = setting(
        128, "a task's win rate is that of its last so many training episodes", at_least=1
    )
    bootstrap_on_truncation: bool = setting(
        False, "let a value follow the time limit, instead of ending there as SMAC does"
    )

    # The networks
    mixer: str = setting("qmix", "how utilities become Q_tot", one_of=tuple(MIXERS))
    action_head: str = setting(
        "slot",
        "slot: the paper's, one output an action; entity: attacks valued from the target entity",
        one_of=tuple(ACTION_HEADS),
    )
    attention_dim: int = setting(128, "width of the agent's embedding and attention", at_least=1)
    attention_heads: int = setting(4, "attention heads of agent and hypernetworks", at_least=1)
    recurrent_dim: int = setting(64, "width of the agent's GRU", at_least=1)
    hypernet_dim: int = setting(128, "width of each hypernetwork", at_least=1)
    mixing_dim: int = setting(32, "width of the mixing network", at_least=1)

    # The updates
    optimizer_name: str = setting("rmsprop", "the optimiser", one_of=tuple(OPTIMIZERS))
    learner_precision: str = setting(
        "fp32",
        "bf16: the large matrix products in bfloat16, faster from widths of about 128 on where "
        "the processor has such products; weights and losses stay in float32",
        one_of=tuple(PRECISIONS),
    )
    batch_size_episodes: int = setting(32, "episodes in a batch", at_least=1)
    buffer_capacity_episodes: int = setting(
        5000, "episodes that the replay buffer holds", at_least=1
    )
    checkpoint_replay_buffer: bool = setting(True, "whether checkpoints hold the replay buffer")
    learning_starts_episodes: int = setting(
        32, "no update before so many episodes were played", at_least=1
    )
    updates_per_episode: float = setting(1.0, "gradient steps per episode played", at_least=0.0)
    target_update_interval_episodes: int = setting(
        200, "the target networks are copied every so many episodes played", at_least=1
    )
    learner_timeout_s: float = setting(
        600.0, "a remote learner that does not answer for so long is taken for lost", above=0.0
    )

    # The episodes
    episodes_per_training_step: int = setting(
        8, "episodes played between two rounds of updates, by all env runners", at_least=1
    )
    epsilon_initial: float = setting(1.0, "ε at the start", at_least=0.0, at_most=1.0)
    epsilon_final: float = setting(0.05, "ε in the end", at_least=0.0, at_most=1.0)
    epsilon_anneal_steps: int = setting(500_000, "env steps between the two", at_least=1)
    joint_exploration: float = setting(
        0.0,
        "chance that a team which has nobody in range, at a battle's beginning or any more, makes "
        "one move together; 0 = the paper's ε-greedy alone",
        at_least=0.0,
        at_most=1.0,
    )
    joint_exploration_steps: int = setting(
        16, "how long such a move lasts, unless somebody comes in range", at_least=1
    )
    joint_exploration_temperature: float | None = setting(
        None,
        "how much more return makes a move e times as likely, by the battles in which it was "
        "made; null = all moves alike",
        above=0.0,
    )
    task_draw: str = setting("uniform", "how each episode draws its task", one_of=tuple(TASK_DRAWS))
    seed_for_evaluation: int = setting(
        0, "of the battles of evaluations: the same for every method and every seed", at_least=0
    )
