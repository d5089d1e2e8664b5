"""PTM's own config keys: each with its type, default, legal values and one line of documentation.

The widths of the networks are in ``rllib_ptm.model.sizes``.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from pydantic import Field, create_model

from rllib_ptm.checks.settings import ListAsTuple, Settings, one_of
from rllib_ptm.learn.optimizers import OPTIMIZERS
from rllib_ptm.learn.schedules import MINING_ALPHAS
from rllib_ptm.methods import METHODS
from rllib_ptm.model.action_heads import ACTION_HEADS
from rllib_ptm.model.agent import AGENT_ATTENTIONS
from rllib_ptm.model.losses import MINING_SCALES
from rllib_ptm.model.mixers import MIXERS, UTILITY_SCALES
from rllib_ptm.model.popart import TASK_BASELINES
from rllib_ptm.model.precision import PRECISIONS
from rllib_ptm.model.sizes import NetworkSizes
from rllib_ptm.tasks.draws import TASK_DRAWS
from rllib_ptm.tasks.priorities import TASK_PRIORITIES
from rllib_ptm.tasks.success_rates import MINING_WEIGHTS

# Ends of ranges: what is beyond them fails much later, with errors of memory or of timers.
_WIDEST = 4096
_MOST_EPISODES = 10**7
_MOST_STEPS = 10**12
_LONGEST_S = 10**8

_WIDTHS: dict[str, Any] = {
    size.name: (int, Field(size.default, ge=1, le=_WIDEST, description=size.metadata["doc"]))
    for size in fields(NetworkSizes)
}


class PTMSettings(create_model("Widths", __base__=Settings, **_WIDTHS)):  # type: ignore[misc]
    """The keys of ``PTMConfig.training()`` that RLlib does not have."""

    extensions: Annotated[tuple[str, ...], ListAsTuple] = Field(
        (),
        description="modules of your own that add methods, mixers, priority rules, task draws, "
        "backends or environments; every process of the run imports them",
    )

    # The method
    method: Annotated[str, one_of(METHODS)] = Field(
        "ptm", description="a row of the table of methods"
    )
    mining_lambda: float = Field(
        10.0, ge=0.0, le=10**6, description="λ, the weight of the mining loss"
    )
    mining_scale: Annotated[str, one_of(MINING_SCALES)] = Field(
        "none",
        description="what the mining loss is scaled to before λ: none: nothing, as in the paper; "
        "original: the original loss, so that λ is the ratio of the two losses",
    )
    mining_weights: Annotated[str, one_of(MINING_WEIGHTS)] = Field(
        "priority",
        description="weights of a batch's episodes in the mining loss: by the priority of their "
        "tasks, or uniform",
    )
    mining_episodes: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="episodes of a batch that are drawn by these weights for the mining loss, "
        "which keeps its expectation and takes less time; null = all, as in the paper",
    )
    task_priority: Annotated[str, one_of(TASK_PRIORITIES)] = Field(
        "win_rate",
        description="what gives a task its priority: win_rate: a low success rate, as in the "
        "paper; learning_progress: a change of its success within the window; uniform: nothing",
    )
    priority_temperature: float = Field(
        1.0,
        ge=1e-6,
        le=1e6,
        description="softmax temperature of the priorities by win_rate; 1 as in the paper; below "
        "1 they differ more",
    )
    mining_alpha: Annotated[str, one_of(MINING_ALPHAS)] = Field(
        "schedule",
        description="α, the share of exploration in the mining loss: schedule: falls with the env "
        "steps, as in the paper; success: 1 - the win rate of each episode's task",
    )
    alpha_anneal_steps: int = Field(
        2_000_000,
        ge=1,
        le=_MOST_STEPS,
        description="env steps in which α falls from 1 (exploration) to 0 (exploitation)",
    )
    td_lambda: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="λ of the Q(λ) targets: 0 = one-step targets as in the paper; 1 = returns up "
        "to the episode's end",
    )
    td_lambda_final: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="λ of the Q(λ) targets after annealing; null = td_lambda from start to end",
    )
    td_lambda_anneal_steps: int = Field(
        250_000, ge=1, le=_MOST_STEPS, description="env steps of annealing λ of the Q(λ) targets"
    )
    win_rate_window_episodes: int = Field(
        128,
        ge=1,
        le=_MOST_EPISODES,
        description="a task's win rate is the mean over so many of its last episodes",
    )
    bootstrap_on_truncation: bool = Field(
        False, description="bootstrap at the time limit; false = it ends the episode, as in SMAC"
    )

    # The networks
    mixer: Annotated[str, one_of(MIXERS)] = Field(
        "qmix",
        description="computes Q_tot: qmix: as in the paper; vdn: the sum of the utilities; qplex: "
        "a weighted sum, and weights of what actions lose against the greedy ones; qfix: qmix, and "
        "one such weight; dueling: the state's value, and what each action gains against the mean",
    )
    utility_scale: Annotated[str, one_of(UTILITY_SCALES)] = Field(
        "none",
        description="how often each agent's utility counts in Q_tot: none: once, as in the paper; "
        "team_size: 8 / n times in a team of n, so that utilities have one size for all teams",
    )
    task_baseline: Annotated[str, one_of(TASK_BASELINES)] = Field(
        "none",
        description="what makes tasks with other returns not compete for the level of all values: "
        "none: nothing, as in the paper; mean: a running mean of the task's targets is added to "
        "Q_tot; popart: Q_tot has the task's own mean and scale, as in qmix_atten_popart",
    )
    agent_attention: Annotated[str, one_of(AGENT_ATTENTIONS)] = Field(
        "dot_product",
        description="how an agent reads an entity: dot_product: each entity is embedded once for "
        "all agents, as in the paper; pairwise: each pair of agent and entity is",
    )
    action_head: Annotated[str, one_of(ACTION_HEADS)] = Field(
        "slot",
        description="slot: one output per action, as in the paper; entity: an attack's value is "
        "computed from the target entity",
    )

    warm_start: str | None = Field(
        None,
        description="the folder of another run's checkpoint, or the name of a pretrained policy, "
        "whose weights a new run begins with; null = random weights",
    )

    # The environment
    env_processes: int = Field(
        0,
        ge=0,
        le=1024,
        description="processes that an env runner spreads its environments over; 0 = they step in "
        "its own process",
    )
    env_timeout_s: float = Field(
        60.0,
        gt=0.0,
        le=_LONGEST_S,
        description="an environment in such a process that answers later is replaced",
    )
    max_env_failures: int = Field(
        5,
        ge=1,
        le=_MOST_EPISODES,
        description="so many failures of an environment in a row, without an episode that ends, "
        "end the run",
    )

    # The updates
    optimizer_name: Annotated[str, one_of(OPTIMIZERS)] = Field(
        "rmsprop", description="the optimiser"
    )
    learner_precision: Annotated[str, one_of(PRECISIONS)] = Field(
        "fp32",
        description="bf16: the large matrix products in bfloat16, which is faster from widths of "
        "about 128 on processors with such products; weights and losses stay in float32",
    )
    batch_size_episodes: int = Field(32, ge=1, le=65_536, description="episodes in a batch")
    buffer_capacity_episodes: int = Field(
        5000, ge=1, le=_MOST_EPISODES, description="capacity of the replay buffer, in episodes"
    )
    checkpoint_replay_buffer: bool = Field(
        True, description="whether checkpoints contain the replay buffer"
    )
    learning_starts_episodes: int = Field(
        32, ge=1, le=_MOST_EPISODES, description="no update before so many episodes were played"
    )
    updates_per_episode: float = Field(
        1.0, ge=0.0, le=1000, description="gradient steps per episode played"
    )
    target_update_interval_episodes: int = Field(
        200,
        ge=1,
        le=_MOST_EPISODES,
        description="episodes played between two copies to the target networks",
    )
    learner_timeout_s: float = Field(
        600.0,
        gt=0.0,
        le=_LONGEST_S,
        description="a remote learner without an answer for so long counts as lost",
    )

    # The episodes
    episodes_per_training_step: int = Field(
        8,
        ge=1,
        le=65_536,
        description="episodes played between two rounds of updates, by all env runners",
    )
    play_ahead: bool = Field(
        False,
        description="env runners play the next round while the learner updates, with the weights "
        "of one round of updates ago; false = they take turns",
    )
    epsilon_initial: float = Field(1.0, ge=0.0, le=1.0, description="ε at the start")
    epsilon_final: float = Field(0.05, ge=0.0, le=1.0, description="ε after annealing")
    epsilon_anneal_steps: int = Field(
        500_000, ge=1, le=_MOST_STEPS, description="env steps of annealing ε"
    )
    joint_exploration: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="probability that a team out of contact makes one move together; 0 = "
        "ε-greedy alone, as in the paper",
    )
    joint_exploration_steps: int = Field(
        16, ge=1, le=10_000, description="steps of a joint move; contact ends it earlier"
    )
    joint_exploration_temperature: float | None = Field(
        None,
        ge=1e-6,
        le=1e6,
        description="softmax temperature of joint moves, in units of return; null = all moves are "
        "equally likely",
    )
    task_draw: Annotated[str, one_of(TASK_DRAWS)] = Field(
        "uniform", description="how each episode draws its task"
    )
    evaluate_at_start: bool = Field(
        False,
        description="also evaluates before the first update, with evaluation_interval; the first "
        "result has it as evaluation_at_start",
    )
    seed_for_evaluation: int = Field(
        0,
        ge=0,
        description="seed of evaluation episodes: the same for every method and every seed",
    )
