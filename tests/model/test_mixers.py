"""Greedy agents are a greedy team under all masks; mixes in one call do not affect each other."""

from __future__ import annotations

from collections.abc import Callable

import draw
import pytest
import torch
from draw import Sizes
from hypothesis import given, settings
from torch import Tensor

from rllib_ptm.model.masks import everyone, other_group, same_group
from rllib_ptm.model.mixers import MIXERS, Mix
from rllib_ptm.model.mixers.dueling import DuelingMixer, dueling_mix
from rllib_ptm.model.mixers.joint_action import JointActionNetwork
from rllib_ptm.model.mixers.qfix import fixed_mix
from rllib_ptm.model.mixers.qmix import MixingWeights, QMixer
from rllib_ptm.model.mixers.qplex import duplex_mix
from rllib_ptm.model.sizes import NetworkSizes

every_mixer = pytest.mark.parametrize("mixer", MIXERS)
few = settings(max_examples=12)
any_frames = given(sizes=draw.all_sizes(), seed=draw.seeds)


SAMPLES = 16  # joint actions of a frame


class Scene:
    """Frames to mix: entities [F, E, D], present [F, E] and a group [F, E]."""

    def __init__(self, sizes: Sizes, seed: int) -> None:
        batch = draw.batch(sizes, seed)
        self.dice, self.agents = draw.Dice(seed), sizes.agents
        self.entities, self.present = batch.entities[:, 0], batch.present
        self.group = batch.exploit_group
        self.all_see_all = everyone(self.present, sizes.agents)

    def mix(self, w1_masks: list[Tensor], other_mask: Tensor | None) -> Mix:
        """Random utilities under these masks."""
        utilities = self.dice.normal(len(self.present), len(w1_masks), self.agents)
        regrets = self.dice.uniform(*utilities.shape) * self.dice.coin(*utilities.shape)
        greedy, mean = utilities + regrets, utilities - self.dice.normal(*utilities.shape)
        return Mix(utilities, torch.stack(w1_masks, 1), other_mask, greedy, mean)

    def original(self) -> Mix:
        """Eq. 6."""
        return self.mix([self.all_see_all], None)

    def exploration(self) -> Mix:
        """Eq. 9."""
        m_d = same_group(self.group, self.present, self.agents)
        return self.mix([m_d], m_d)

    def exploitation(self) -> Mix:
        """Eq. 13."""
        of_group = (self.group, self.present, self.agents)
        return self.mix([same_group(*of_group), other_group(*of_group)], None)

    def blind(self) -> Mix:
        """No agent sees anything."""
        nothing = torch.zeros_like(self.all_see_all)
        return self.mix([nothing], nothing)

    def anything(self) -> Mix:
        """Masks that are in no equation."""
        masks = [self.dice.coin(*self.all_see_all.shape) for _ in range(4)]
        return self.mix(masks[:3], masks[3])


MIXES: list[Callable[[Scene], Mix]] = [
    Scene.original,
    Scene.exploration,
    Scene.exploitation,
    Scene.blind,
    Scene.anything,
]


@every_mixer
@settings(max_examples=15)
@any_frames
def test_greedy_agents_are_a_greedy_team(mixer: str, sizes: Sizes, seed: int) -> None:
    """IGM: Q_tot of the greedy actions is above that of all other joint actions.

    Each of an agent's K utilities counts as one more agent. Absent agents have no utilities.
    """
    scene, network = Scene(sizes, seed), draw.networks(sizes, seed, mixer=mixer).mixer
    here = scene.present[:, None, : sizes.agents, None]
    mixes, all_greedy = [], []
    for make_mix in MIXES:
        mix = make_mix(scene)
        of_actions = scene.dice.normal(*mix.utilities.shape, 3) * here  # F,K,A,3
        greedy, best = of_actions.max(-1)
        mean = in_samples(of_actions.mean(-1))
        chosen = (scene.dice.uniform(SAMPLES, *best.shape) * 3).long()  # S,F,K,A
        chosen[0] = best
        drawn = of_actions.expand(SAMPLES, -1, -1, -1, -1).gather(-1, chosen[..., None])[..., 0]
        all_greedy.append((drawn == greedy).flatten(2).all(-1))  # S,F
        other = None if mix.other_mask is None else in_samples(mix.other_mask)
        masks, greedy = in_samples(mix.w1_masks), in_samples(greedy)
        mixes.append(Mix(drawn.flatten(0, 1), masks, other, greedy, mean))
    state = in_samples(scene.entities), in_samples(scene.present)
    for q_tot, is_greedy in zip(network(*state, mixes), all_greedy, strict=True):
        of_sample = q_tot.view(SAMPLES, -1)
        best_q_tot = of_sample[:1].expand_as(of_sample)
        assert (best_q_tot > of_sample)[~is_greedy].all()
        torch.testing.assert_close(of_sample[is_greedy], best_q_tot[is_greedy])


def in_samples(array: Tensor) -> Tensor:
    """[F, ...] -> [S * F, ...], the same for each of S joint actions."""
    return array.expand(SAMPLES, *array.shape).flatten(0, 1)


@pytest.mark.parametrize("mixer", ["qmix", "vdn"])
@pytest.mark.parametrize("make_mix", MIXES)
@few
@any_frames
def test_q_tot_never_falls_when_a_utility_rises(
    mixer: str, make_mix: Callable[[Scene], Mix], sizes: Sizes, seed: int
) -> None:
    scene, network = Scene(sizes, seed), draw.networks(sizes, seed, mixer=mixer).mixer
    mix = make_mix(scene)
    utilities = mix.utilities.requires_grad_()
    (q_tot,) = network(scene.entities, scene.present, [mix])
    (slope,) = torch.autograd.grad(q_tot.sum(), utilities)
    assert (slope >= 0).all()
    # The weights are softmaxes, so they sum to 1 over the mixing dimension, and the slope of ELU is
    # at most 1: Q_tot rises by no more than the utility does.
    assert (slope <= 1 + 1e-12).all()
    more = utilities.detach() + scene.dice.uniform(*utilities.shape)
    (larger,) = network(scene.entities, scene.present, [mix._replace(utilities=more)])
    assert (larger >= q_tot).all()


@every_mixer
@settings(max_examples=12)
@any_frames
def test_mixes_in_one_call_do_not_affect_each_other(mixer: str, sizes: Sizes, seed: int) -> None:
    scene, network = Scene(sizes, seed), draw.networks(sizes, seed, mixer=mixer).mixer
    mixes = [make_mix(scene) for make_mix in MIXES]
    together = network(scene.entities, scene.present, mixes)
    for mix, q_tot in zip(mixes, together, strict=True):
        (alone,) = network(scene.entities, scene.present, [mix])
        torch.testing.assert_close(q_tot, alone, rtol=1e-12, atol=1e-12)


@every_mixer
@settings(max_examples=12)
@any_frames
def test_hidden_entities_have_no_effect(mixer: str, sizes: Sizes, seed: int) -> None:
    """Entities that all masks hide have no effect, unless they are agents."""
    scene, network = Scene(sizes, seed), draw.networks(sizes, seed, mixer=mixer).mixer
    mix = scene.anything()
    assert mix.other_mask is not None
    hidden = ~(mix.w1_masks.any(1) | mix.other_mask).any(1)  # F,E
    hidden[:, : sizes.agents] = False
    changed = torch.where(
        hidden[..., None], scene.dice.normal(*scene.entities.shape), scene.entities
    )
    before, after = (network(e, scene.present, [mix])[0] for e in (scene.entities, changed))
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)


def test_vdn_is_a_sum() -> None:
    sizes = Sizes()
    scene, network = Scene(sizes, 0), draw.networks(sizes, 0, mixer="vdn").mixer
    mix = scene.exploitation()
    (q_tot,) = network(scene.entities, scene.present, [mix])
    torch.testing.assert_close(q_tot, mix.utilities.sum((1, 2)))


def test_a_mixing_width_of_1_has_constant_weights() -> None:
    """X = 1: the softmax of a single number is 1, so w1 and w2 need no hypernetwork."""
    scene = Scene(Sizes(lengths=(2, 3), agents=3, enemies=2, entity_dim=5), seed=1)
    torch.manual_seed(0)
    sizes = NetworkSizes(hypernet_dim=8, attention_heads=2, mixing_dim=1)
    short, whole = (QMixer(5, 3, sizes).double() for _ in range(2))
    for name in ("w1", "w2"):
        setattr(whole, name, MixingWeights(5, 8, 2, 1).double())
    whole.load_state_dict(short.state_dict(), strict=False)
    mixes = [scene.original(), scene.exploration(), scene.exploitation()]
    of_mix = (mixer(scene.entities, scene.present, mixes) for mixer in (short, whole))
    for found, exact in zip(*of_mix, strict=True):
        torch.testing.assert_close(found, exact)


def test_qplex_by_hand() -> None:
    """Two agents; the second one's action loses 2 against its greedy one."""
    q, greedy = torch.tensor([[3.0, 1.0]]), torch.tensor([[3.0, 3.0]])
    w, b, credit = torch.tensor([[2.0, 0.5]]), torch.tensor([10.0]), torch.tensor([[7.0, 4.0]])
    q.requires_grad_()
    credit.requires_grad_()
    q_tot = duplex_mix(q, greedy, w, b, credit)
    # V_tot = 2 * 3 + 0.5 * 3 + 10 = 17.5; A_tot = 7 * 2 * 0 + 4 * 0.5 * -2 = -4
    assert q_tot.item() == 13.5
    of_q, of_credit = torch.autograd.grad(q_tot.sum(), [q, credit])
    assert of_q.tolist() == [[2.0, 0.5]]  # w: advantages pass none
    assert of_credit.tolist() == [[0.0, -1.0]]  # w A


def test_qfix_by_hand() -> None:
    """QMIX gives 3 to the actions and 5 to the greedy ones; w doubles or halves the loss."""
    q_tot = torch.tensor([3.0, 3.0], requires_grad=True)
    w = torch.tensor([1.0, -0.5], requires_grad=True)
    fixed = fixed_mix(q_tot, torch.tensor([5.0, 5.0]), w)
    assert fixed.tolist() == [1.0, 4.0]
    of_q_tot, of_w = torch.autograd.grad(fixed.sum(), [q_tot, w])
    assert of_q_tot.tolist() == [1.0, 1.0]
    assert of_w.tolist() == [-2.0, -2.0]


def test_dueling_by_hand() -> None:
    """The first agent gains 2, the second loses 1; the level of the utilities has no effect."""
    q, mean = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 2.0]])
    v = torch.tensor([10.0])
    assert dueling_mix(q, mean, v).tolist() == [11.0]
    assert dueling_mix(q + 5.0, mean + 5.0, v).tolist() == [11.0]


@pytest.mark.parametrize("agents", [1, 2])
def test_the_dueling_value_sums_over_the_agents(agents: int) -> None:
    """Two equal agents have twice the value of one, without the bias."""
    sizes = NetworkSizes(hypernet_dim=8, attention_heads=2)
    torch.manual_seed(0)
    network = DuelingMixer(5, 2, sizes).double()
    present = torch.tensor([[True, agents == 2, True]])
    entities = torch.ones(1, 3, 5, dtype=torch.float64) * present[..., None]
    nothing = torch.zeros(1, 1, 2, dtype=torch.float64)
    mix = Mix(nothing, everyone(present, 2)[:, None], mean=nothing)
    (value,) = network(entities, present, [mix])
    one = torch.tensor([[True, False, True]])
    alone = Mix(nothing, everyone(one, 2)[:, None], mean=nothing)
    (of_one,) = network(entities * one[..., None], one, [alone])
    torch.testing.assert_close(value - network.v.bias, agents * (of_one - network.v.bias))


COMPARING = {
    mixer: field
    for mixer in MIXERS
    for field in ("greedy", "mean")
    if hasattr(MIXERS[mixer], f"reads_{field}")
}
comparing = pytest.mark.parametrize("mixer", COMPARING)


@comparing
def test_agents_without_a_choice_have_no_credit(mixer: str) -> None:
    """A dead agent has one action; what the mixer says of joint actions then changes nothing."""
    scene, network = Scene(Sizes(), 2), draw.networks(Sizes(), 2, mixer=mixer).mixer
    mix = scene.exploitation()
    mix = mix._replace(greedy=mix.utilities, mean=mix.utilities)
    (before,) = network(scene.entities, scene.present, [mix])
    for part in network.modules():
        if isinstance(part, JointActionNetwork):
            torch.nn.init.normal_(part.output.weight)
    (after,) = network(scene.entities, scene.present, [mix])
    torch.testing.assert_close(after, before)


@comparing
def test_absent_agents_have_no_effect(mixer: str) -> None:
    """Whatever fills their slots, in the state and in the utilities' places."""
    sizes = Sizes(lengths=(4, 4, 4), agents=4)
    scene, network = Scene(sizes, 3), draw.networks(sizes, 3, mixer=mixer).mixer
    here = scene.present[:, None, : sizes.agents]
    assert not here.all()
    for make_mix in (Scene.original, Scene.exploration, Scene.exploitation):
        mix = make_mix(scene)
        greedy, mean = (mix.utilities + 1.0) * here, (mix.utilities - 1.0) * here
        mix = mix._replace(utilities=mix.utilities * here, greedy=greedy, mean=mean)
        noise = scene.dice.normal(*scene.entities.shape)
        changed = torch.where(scene.present[..., None], scene.entities, noise)
        before, after = (network(e, scene.present, [mix])[0] for e in (scene.entities, changed))
        torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)


@comparing
def test_a_mixer_that_compares_with_other_actions_says_so_if_it_has_none(mixer: str) -> None:
    scene, network = Scene(Sizes(), 0), draw.networks(Sizes(), 0, mixer=mixer).mixer
    without = scene.original()._replace(greedy=None, mean=None)
    with pytest.raises(ValueError, match=rf"Mix\.{COMPARING[mixer]}: this mixer needs"):
        network(scene.entities, scene.present, [without])


def test_a_weight_reads_the_actions_of_the_agents_that_it_may_attend_to() -> None:
    sizes = NetworkSizes(hypernet_dim=8, attention_heads=2)
    network = JointActionNetwork(5, sizes, 3).double()
    scene = Scene(Sizes(agents=3), 1)
    masks = scene.dice.coin(len(scene.present), 2, 3, 5)  # F,M,A,E
    log_regrets = scene.dice.uniform(len(masks), 2, 3).requires_grad_()
    output = network(scene.entities, masks, log_regrets)  # F,M,A,N
    for agent in range(3):
        (slope,) = torch.autograd.grad(output[:, :, agent].sum(), log_regrets, retain_graph=True)
        reads = masks[:, :, agent, :3].clone()
        reads[:, :, agent] = True
        assert (slope != 0).equal(reads)


# The payoff of two agents with three actions each in Wang et al. 2021: one agent that deviates from
# the best joint action loses more than two. No mixer that is monotonic has these values.
PAYOFF = torch.tensor([[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]])


def test_positive_weights_represent_a_game_that_is_not_monotonic() -> None:
    table, greedy = torch.tensor([1.0, 0.0, -1.0]), torch.ones(9, 2)
    q = table[torch.cartesian_prod(torch.arange(3), torch.arange(3))]  # 9,2
    loss, advantage = PAYOFF.flatten() - 8.0, (q - greedy).sum(-1)
    credit = torch.where(advantage < 0, loss / advantage, 1.0)
    assert (credit > 0).all()
    b, ones = torch.full((9,), 6.0), torch.ones(9, 2)
    of_qplex = duplex_mix(q, greedy, ones, b, credit[:, None].expand(9, 2))
    torch.testing.assert_close(of_qplex, PAYOFF.flatten())
    of_qfix = fixed_mix(q.sum(-1) + b, greedy.sum(-1) + b, credit - 1.0)
    torch.testing.assert_close(of_qfix, PAYOFF.flatten())
