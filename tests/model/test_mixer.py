"""Mixing is monotonic under all masks, and mixes in one call do not affect each other."""

from __future__ import annotations

from collections.abc import Callable

import draw
import pytest
import torch
from draw import Sizes
from hypothesis import given, settings
from torch import Tensor

from rllib_ptm.model.masks import everyone, other_group, same_group
from rllib_ptm.model.mixer import MIXERS, Mix, MixingWeights, QMixer
from rllib_ptm.model.sizes import NetworkSizes

every_mixer = pytest.mark.parametrize("mixer", MIXERS)
few = settings(max_examples=25)
any_frames = given(sizes=draw.all_sizes(), seed=draw.seeds)


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
        return Mix(utilities, torch.stack(w1_masks, 1), other_mask)

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
@few
@any_frames
def test_mixes_in_one_call_do_not_affect_each_other(mixer: str, sizes: Sizes, seed: int) -> None:
    scene, network = Scene(sizes, seed), draw.networks(sizes, seed, mixer=mixer).mixer
    mixes = [make_mix(scene) for make_mix in MIXES]
    together = network(scene.entities, scene.present, mixes)
    for mix, q_tot in zip(mixes, together, strict=True):
        (alone,) = network(scene.entities, scene.present, [mix])
        torch.testing.assert_close(q_tot, alone, rtol=1e-12, atol=1e-12)


@few
@any_frames
def test_hidden_entities_have_no_effect(sizes: Sizes, seed: int) -> None:
    """Entities that all masks hide have no effect, unless they are agents."""
    scene, network = Scene(sizes, seed), draw.networks(sizes, seed).mixer
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
