"""The Learner, without a Ray cluster: its loss and its step equal those of the plain model."""

from __future__ import annotations

from typing import Any

import draw
import numpy as np
import plain
import pytest
import torch
from draw import Sizes
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, NUM_EPISODES_LIFETIME
from starcraft_game import spec_of
from torch import Tensor, nn

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, num_features
from rllib_ptm.learn.learner import PTMLearner
from rllib_ptm.learn.rl_module import PTMModule, team_spaces
from rllib_ptm.learn.schedules import mining_alpha
from rllib_ptm.methods import METHODS, Method
from rllib_ptm.model.action_heads import ACTION_HEADS
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.mixers import MIXERS
from rllib_ptm.model.popart import MEAN_STEP, STEP, PopArt, TaskMean, TaskOutput
from rllib_ptm.model.q_values import EXPLORATION, TERMS

SIDE = 2  # slots of either side
TASKS = ["1m_vs_1m", "1m_vs_2m", "2m_vs_2m"]  # as many as the drawn episodes have
SIZES = Sizes(
    lengths=(3, 1, 4, 2),
    agents=SIDE,
    enemies=SIDE,
    entity_dim=num_features(SIDE, SIDE),
    moves=FIRST_ATTACK,
)
LR, GRAD_CLIP, GAMMA, LAMBDA, ANNEAL_STEPS = 5e-4, 0.05, 0.97, 7.0, 1000
WEIGHTS_OF = ("agent", "mixer", "output")
each_output = pytest.mark.parametrize("method", ["ptm", "qmix_atten_popart"])


def build(method: str = "ptm", seed: int = 1, **training: Any) -> PTMLearner:
    config = PTMConfig().debugging(seed=seed, log_level="ERROR")
    config.environment(env_config={"tasks": TASKS})
    config.training(
        method=method,
        lr=LR,
        gamma=GAMMA,
        grad_clip=GRAD_CLIP,
        alpha_anneal_steps=ANNEAL_STEPS,
        attention_dim=8,
        attention_heads=draw.HEADS,
        recurrent_dim=6,
        hypernet_dim=8,
        mixing_dim=5,
    )
    config.training(mining_lambda=LAMBDA, target_update_interval_episodes=10)
    config.training(**training)
    learner = config.build_learner(spaces={DEFAULT_MODULE_ID: team_spaces(spec_of(SIDE, SIDE))})
    learner.build()
    return learner


def module_of(learner: PTMLearner) -> PTMModule:
    return learner.module[DEFAULT_MODULE_ID].unwrapped()


def popart_of(learner: PTMLearner) -> PopArt:
    output = module_of(learner).output
    assert isinstance(output, PopArt)
    return output


def online(learner: PTMLearner) -> dict[str, Tensor]:
    """A copy of the online weights and statistics."""
    module = module_of(learner)
    return {
        f"{part}.{name}": weight.detach().clone()
        for part in WEIGHTS_OF
        for name, weight in module.get_submodule(part).state_dict().items()
    }


def update(learner: PTMLearner, seed: int, env_steps: int = 0, episodes: int = 0) -> dict[str, Any]:
    """One update on a random batch, with the α and λ of these env steps; its metrics."""
    columns = {name: value.numpy() for name, value in draw.batch(SIZES, seed)._asdict().items()}
    scalars = {"alpha": mining_alpha(env_steps, learner.config), "num_steps": columns["num_steps"]}
    for name, value in scalars.items():
        columns[name] = np.full(len(SIZES.lengths), value, np.float32)
    results = learner.update(
        batch=MultiAgentBatch(
            {DEFAULT_MODULE_ID: SampleBatch(columns)}, env_steps=sum(SIZES.lengths)
        ),
        timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: env_steps, NUM_EPISODES_LIFETIME: episodes},
    )
    return {name: stats.peek() for name, stats in results[DEFAULT_MODULE_ID].items()}


def plain_team(module: PTMModule, prefix: str = "") -> plain.Team:
    """A copy of the weights in float64."""
    states = (module.get_submodule(prefix + part).state_dict(keep_vars=True) for part in WEIGHTS_OF)
    agent, mixer, output = (
        {
            name: weight.detach().double().requires_grad_(isinstance(weight, nn.Parameter))
            for name, weight in state.items()
        }
        for state in states
    )
    return plain.Team(agent, mixer, draw.HEADS, "slot", "qmix", output)


def rounded(batch: TeamBatch) -> TeamBatch:
    """The batch rounded to float32, stored in float64."""
    return TeamBatch(*(v.float().double() if v.is_floating_point() else v for v in batch))


@pytest.mark.parametrize("method", METHODS)
def test_loss_clipping_and_step(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PopArt, "adapt", TaskOutput.adapt)  # the gradient's step alone
    learner = build(method)
    module = module_of(learner)
    for target in module.target_team():
        for weight in target.parameters():
            weight.mul_(1.5)  # so that it matters which network makes the targets
    team, target_team = plain_team(module), plain_team(module, "target_")
    before = online(learner)
    metrics = update(learner, seed=0, env_steps=ANNEAL_STEPS // 4)

    losses = plain.Losses(team, target_team, rounded(draw.batch(SIZES, 0)), GAMMA, 0.75, LAMBDA)
    loss = plain.TOTAL_LOSS[method](losses)
    assert metrics["total_loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert metrics["loss_ori"] == pytest.approx(
        losses.of_all_steps(plain.q_original).item(), rel=1e-5
    )

    weights = {
        f"{part}.{name}": weight
        for part in WEIGHTS_OF
        for name, weight in getattr(team, part).items()
        if weight.requires_grad
    }
    gradients = torch.autograd.grad(loss, list(weights.values()))
    norm = torch.nn.utils.get_total_norm(gradients)
    assert norm > GRAD_CLIP
    assert metrics["grad_norm"] == pytest.approx(norm.item(), rel=1e-5)
    # RMSprop's first step, with the gradient clipped.
    after = online(learner)
    for name, gradient in zip(weights, gradients, strict=True):
        clipped = gradient * GRAD_CLIP / norm
        step = LR * clipped / ((0.01 * clipped.square()).sqrt() + 1e-5)
        expected = before[name] - step
        torch.testing.assert_close(after[name].double(), expected, rtol=0, atol=2e-6)


def test_the_statistics_move_by_the_targets_of_each_update() -> None:
    learner = build("qmix_atten_popart")
    seed = 3  # plays two of the three tasks
    module, batch = module_of(learner), rounded(draw.batch(SIZES, seed))
    teams = plain_team(module), plain_team(module, "target_")
    update(learner, seed)
    of_task: list[list[Tensor]] = [[] for _ in range(draw.TASKS)]
    for episode in plain.episodes(batch):
        of_task[episode.task].append(plain.targets(*teams, episode, GAMMA))
    assert not all(of_task)
    mean = [STEP * torch.cat(y).mean().item() if y else 0.0 for y in of_task]
    assert popart_of(learner).mean.tolist() == pytest.approx(mean, rel=1e-4)


def test_a_baseline_follows_the_targets_of_each_task() -> None:
    """The first update has no means yet, so its targets are those without a baseline."""
    learner, without = build("ptm", task_baseline="mean"), build("ptm")
    seed = 3  # plays two of the three tasks
    module, batch = module_of(without), rounded(draw.batch(SIZES, seed))
    teams = plain_team(module), plain_team(module, "target_")
    of_task: list[list[Tensor]] = [[] for _ in range(draw.TASKS)]
    for episode in plain.episodes(batch):
        of_task[episode.task].append(plain.targets(*teams, episode, GAMMA))
    assert update(learner, seed)["total_loss"] == update(without, seed)["total_loss"]
    mean = [MEAN_STEP * torch.cat(y).mean().item() if y else 0.0 for y in of_task]
    output = module_of(learner).output
    assert isinstance(output, TaskMean)
    assert output.mean.tolist() == pytest.approx(mean, rel=1e-4)
    assert update(learner, seed)["total_loss"] != update(without, seed)["total_loss"]


def test_every_method_can_have_popart() -> None:
    """Original and mining loss are those of errors in units of each task's scale."""
    learner = build("ptm", task_baseline="popart")
    module = module_of(learner)
    statistics = torch.Generator().manual_seed(0)
    for output in (module.output, module.target_output):
        for name, array in output.state_dict().items():
            drawn = torch.rand(array.shape, generator=statistics)
            array.copy_(drawn + (name == "variance"))
    team, target_team = plain_team(module), plain_team(module, "target_")
    losses = plain.Losses(team, target_team, rounded(draw.batch(SIZES, 0)), GAMMA, 0.75, LAMBDA)
    found = update(learner, seed=0, env_steps=ANNEAL_STEPS // 4)
    assert found["total_loss"] == pytest.approx(plain.ptm(losses).item(), rel=1e-5)
    assert found["loss_ori"] == pytest.approx(losses.of_normalised().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("env_steps", "alpha"),
    [(0, 1.0), (ANNEAL_STEPS // 2, 0.5), (ANNEAL_STEPS, 0.0), (5 * ANNEAL_STEPS, 0.0)],
)
def test_mining_goes_from_exploration_to_exploitation(env_steps: int, alpha: float) -> None:
    learner = build("ptm")
    module, batch = module_of(learner), rounded(draw.batch(SIZES, 0))
    losses = plain.Losses(
        plain_team(module), plain_team(module, "target_"), batch, GAMMA, alpha, LAMBDA
    )
    expected = plain.ptm(losses).item()
    assert update(learner, 0, env_steps)["total_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("initial", "final"), [(0.8, 0.2), (0.2, 0.8)])
@pytest.mark.parametrize(("env_steps", "share"), [(0, 0.0), (500, 0.5), (1000, 1.0), (5000, 1.0)])
def test_the_targets_look_further_ahead_or_less_with_time(
    initial: float, final: float, env_steps: int, share: float
) -> None:
    """An annealed λ gives the loss that the same λ gives when it does not change."""
    annealed = build(
        "qmix_atten", td_lambda=initial, td_lambda_final=final, td_lambda_anneal_steps=1000
    )
    td_lambda = initial + share * (final - initial)
    constant, other = build("qmix_atten", td_lambda=td_lambda), build("qmix_atten", td_lambda=0.4)
    found = update(annealed, 0, env_steps)["total_loss"]
    assert found == pytest.approx(update(constant, 0, env_steps)["total_loss"], rel=1e-6)
    assert found != pytest.approx(update(other, 0, env_steps)["total_loss"], rel=1e-3)


def test_a_new_term_needs_its_masks_and_a_row_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loss is evaluated, counted and reported."""
    monkeypatch.setitem(TERMS, "new", TERMS[EXPLORATION])
    monkeypatch.setitem(METHODS, "mine", Method("a new method", lambda alpha: {"new": 1.0}))
    found = update(build("mine"), seed=0)
    expected = update(build("ptm"), seed=0)  # at α = 1 it mines by exploration only
    assert found["loss_new"] == expected["loss_exp"]
    assert found["total_loss"] == expected["total_loss"]
    assert {"loss_exp", "loss_task"}.isdisjoint(found)


@pytest.mark.parametrize(
    ("env_steps", "mined"),
    [(0, {"exp"}), (ANNEAL_STEPS // 2, {"exp", "task"}), (ANNEAL_STEPS, {"task"})],
)
def test_a_term_without_a_share_is_not_evaluated(env_steps: int, mined: set[str]) -> None:
    metrics = update(build("ptm"), seed=0, env_steps=env_steps)
    losses = {name for name in metrics if name.startswith("loss_")}
    assert losses == {"loss_ori", *(f"loss_{term}" for term in mined)}


def test_small_gradients_are_not_scaled() -> None:
    learner = build(grad_clip=1e6)
    metrics = update(learner, seed=0)
    left = [weight.grad for weight in module_of(learner).parameters() if weight.grad is not None]
    assert torch.nn.utils.get_total_norm(left).item() == pytest.approx(metrics["grad_norm"])


def is_copied(learner: PTMLearner) -> bool:
    """Whether the target networks equal the online ones: all do, or none does."""
    module = module_of(learner)
    same = {
        all(
            torch.equal(weight, target.state_dict()[name])
            for name, weight in network.state_dict().items()
        )
        for network, target in zip(module.online_team(), module.target_team(), strict=True)
        if network.state_dict()
    }
    assert len(same) == 1
    return same.pop()


@each_output
def test_target_networks_are_copied_every_so_many_episodes(method: str) -> None:
    learner = build(method, target_update_interval_episodes=10)
    assert is_copied(learner)
    # Counted from the last copy: 12 is the first at or beyond 10, 22 the first beyond 12 + 10.
    episodes = [1, 9, 12, 13, 20, 21, 22, 23, 40]
    copied = [
        update(learner, seed, episodes=n) and is_copied(learner) for seed, n in enumerate(episodes)
    ]
    assert [n for n, done in zip(episodes, copied, strict=True) if done] == [12, 22, 40]


@each_output
def test_an_update_leaves_the_target_networks_alone(method: str) -> None:
    learner = build(method)
    team = module_of(learner).target_team()
    targets = [weight for network in team for weight in network.state_dict().values()]
    before = [weight.clone() for weight in targets]
    update(learner, seed=0)
    assert all(torch.equal(*pair) for pair in zip(before, targets, strict=True))
    assert not any(weight.requires_grad for weight in targets)


def train(learner: PTMLearner, updates: range) -> dict[str, Tensor]:
    """Takes these updates, each two episodes after the one before; returns the weights."""
    for n in updates:
        update(learner, seed=n, env_steps=40 * n, episodes=2 * n)
    return online(learner)


def test_updates_are_reproducible_from_a_seed() -> None:
    one, again, other = (train(build(seed=seed), range(4)) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


@each_output
def test_a_restored_learner_continues_exactly(method: str) -> None:
    learner = build(method)
    train(learner, range(6))  # the target networks were copied, the optimiser has moments
    restored = build(method, seed=2)
    restored.set_state(learner.get_state())
    # The next copy is due within these.
    one, other = (train(each, range(6, 12)) for each in (learner, restored))
    assert all(torch.equal(one[name], other[name]) for name in one)


# Each method with each mixer; the heads alternate, so that each of both meets all of them.
COMBINATIONS = [
    (method, mixer, list(ACTION_HEADS)[(row + column) % len(ACTION_HEADS)])
    for row, method in enumerate(METHODS)
    for column, mixer in enumerate(MIXERS)
]


@pytest.mark.parametrize(("method", "mixer", "action_head"), COMBINATIONS)
def test_every_method_learns_with_every_mixer_and_head(
    method: str, mixer: str, action_head: str
) -> None:
    learner = build(method, mixer=mixer, action_head=action_head)
    before = online(learner)
    for n in range(2):
        metrics = update(learner, seed=n)
    assert np.isfinite(metrics["total_loss"])
    after = online(learner)
    moved = {name.partition(".")[0] for name in before if not before[name].equal(after[name])}
    networks = module_of(learner).online_team()._asdict().items()
    assert moved == {name for name, network in networks if network.state_dict()}


def test_without_mining_ptm_is_qmix_atten_step_for_step() -> None:
    ptm, qmix_atten = build("ptm", mining_lambda=0.0), build("qmix_atten")
    for n in range(12):
        ours, theirs = train(ptm, range(n, n + 1)), train(qmix_atten, range(n, n + 1))
        for name, weight in theirs.items():
            torch.testing.assert_close(ours[name], weight, rtol=1e-4, atol=1e-5)
    mined = train(build("ptm"), range(12))
    assert not torch.allclose(
        mined["agent.attention.embed.weight"], theirs["agent.attention.embed.weight"], atol=1e-3
    )
