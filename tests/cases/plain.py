"""A plain implementation of the networks and losses, as the paper writes them, for comparison.

It takes one episode, one step, one mask and one agent at a time: no padding, no packing, no folded
layers, nothing shared. The weights are the fast model's, under the names of its ``state_dict``.

Shape legend: ``T`` steps of one episode, ``A`` agents, ``E`` entities (the agents first), ``D``
features, ``U`` actions, ``W`` width of the attention, ``H`` of the GRU, ``X`` of the mixing
network. There is no batch dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_ptm.model.batch import TeamBatch

Weights = Mapping[str, Tensor]
SMALLEST_WEIGHT = 1e-10  # keeps the weights of advantages above 0


class Team(NamedTuple):
    """The weights of one set of networks, and the settings that weights do not tell."""

    agent: Weights
    mixer: Weights
    attention_heads: int
    agent_kind: str  # of ``draw.AGENT_KINDS``
    mixing: str
    output: Weights  # of PopArt, else none
    aims: Sequence[int] = ()  # [U] the entity that each action aims at, -1 = none
    by_team_size: bool = False  # utilities count 8 / n times in a team of n


class Episode(NamedTuple):
    """One episode at its own length."""

    entities: Tensor  # [T+1, E, D]
    present: Tensor  # [E] bool
    visible: Tensor  # [T+1, A, E] bool, M^mu
    action_mask: Tensor  # [T+1, A, U] bool
    actions: Tensor  # [T, A]
    rewards: Tensor  # [T]
    terminated: Tensor  # [T] bool
    explore_group: Tensor  # [E] bool, m_D
    exploit_group: Tensor  # [E] bool, m
    task: Tensor  # [] int64


def episodes(batch: TeamBatch) -> list[Episode]:
    """The episodes of a batch, without their padding."""
    found = []
    for b, length in enumerate(batch.valid.sum(1).tolist()):
        found.append(
            Episode(
                entities=batch.entities[b, : length + 1],
                present=batch.present[b],
                visible=batch.visible[b, : length + 1],
                action_mask=batch.action_mask[b, : length + 1],
                actions=batch.actions[b, :length],
                rewards=batch.rewards[b, :length],
                terminated=batch.terminated[b, :length],
                explore_group=batch.explore_group[b],
                exploit_group=batch.exploit_group[b],
                task=batch.task[b],
            )
        )
    return found


# Layers


def part(weights: Weights, name: str) -> Weights:
    """The weights of a part, by their names in it."""
    start = name + "."
    return {key.removeprefix(start): w for key, w in weights.items() if key.startswith(start)}


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    """W x + b, or W x where the layer has no bias."""
    product = x @ weights[f"{name}.weight"].T
    bias = weights.get(f"{name}.bias")
    return product if bias is None else product + bias


def attention(weights: Weights, embedded: Tensor, mask: Tensor, num_heads: int) -> Tensor:
    """softmax(Q Kᵀ / √d) V, each agent over the entities that it may see.

    Args:
        weights: Of query, key, value and projection.
        embedded: [E, W].
        mask: [A, E] bool.
        num_heads: Number of heads.

    Returns:
        [A, W].
    """
    query = linear(weights, "query", embedded)
    key = linear(weights, "key", embedded)
    value = linear(weights, "value", embedded)
    rows = []
    for agent, seen in enumerate(mask):
        if not seen.any():
            rows.append(torch.zeros_like(query[agent]))
            continue
        heads = []
        for q, k, v in zip(
            query[agent].chunk(num_heads),
            key[seen].chunk(num_heads, dim=1),
            value[seen].chunk(num_heads, dim=1),
            strict=True,
        ):
            heads.append(F.softmax(k @ q / math.sqrt(len(q)), dim=0) @ v)
        rows.append(torch.cat(heads))
    return linear(weights, "projection", torch.stack(rows))


def pairwise_attention(
    weights: Weights, entities: Tensor, mask: Tensor, num_heads: int
) -> tuple[Tensor, Tensor]:
    """The pairs of agents and entities, and what each agent attends to among its own.

    Args:
        weights: Of embed, embed_agent and score.
        entities: [E, D].
        mask: [A, E] bool.
        num_heads: Number of heads.

    Returns:
        [A, E, W] and [A, W].
    """
    of_agent = linear(weights, "embed_agent", entities[: len(mask)])
    pairs = F.relu(of_agent[:, None] + linear(weights, "embed", entities))
    rows = []
    for of_one, seen in zip(pairs, mask, strict=True):
        heads = []
        for pair, score in zip(
            of_one[seen].chunk(num_heads, dim=1), weights["score"].chunk(num_heads), strict=True
        ):
            heads.append(F.softmax(pair @ score, dim=0) @ pair)
        rows.append(torch.cat(heads))
    return pairs, torch.stack(rows)


def gru_cell(weights: Weights, x: Tensor, hidden: Tensor) -> Tensor:
    """Cho et al. 2014, with the reset gate where ``torch.nn.GRUCell`` has it."""
    of_input = x @ weights["weight_ih"].T + weights["bias_ih"]
    of_hidden = hidden @ weights["weight_hh"].T + weights["bias_hh"]
    reset_x, update_x, new_x = of_input.chunk(3, dim=-1)
    reset_h, update_h, new_h = of_hidden.chunk(3, dim=-1)
    r = torch.sigmoid(reset_x + reset_h)
    z = torch.sigmoid(update_x + update_h)
    n = torch.tanh(new_x + r * new_h)
    return (1 - z) * n + z * hidden


# The agents' utilities (Section 3.4)


def slot_head(
    weights: Weights, hidden: Tensor, embedded: Tensor, mask: Tensor, aims: Sequence[int]
) -> Tensor:
    """One output for each action; [A, H] -> [A, U]."""
    return linear(weights, "utilities", hidden)


def kind_of(action: int, aims: Sequence[int], num_agents: int) -> tuple[bool, int]:
    """Whether an aimed action's target is an agent, and how many actions before aim at it."""
    return aims[action] < num_agents, sum(aims[u] == aims[action] for u in range(action))


def entity_head(
    weights: Weights, hidden: Tensor, embedded: Tensor, mask: Tensor, aims: Sequence[int]
) -> Tensor:
    """A linear layer, plus query times key for each target that the agent sees.

    ``embedded`` [A, E, W] is what each agent reads of each entity.
    """
    num_agents = len(mask)
    aimed = [action for action in range(len(aims)) if aims[action] >= 0]
    kinds = sorted({kind_of(action, aims, num_agents) for action in aimed})
    rows = []
    for agent in range(num_agents):
        moves = iter(linear(weights, "moves", hidden[agent]))
        outputs = linear(weights, "attack", hidden[agent])
        queries = linear(weights, "query", hidden[agent]).chunk(len(kinds))
        utilities = []
        for action, target in enumerate(aims):
            if target < 0:
                utilities.append(next(moves))
                continue
            kind = kinds.index(kind_of(action, aims, num_agents))
            utility = outputs[kind]
            if mask[agent, target]:
                key = embedded[agent, target]
                if "key.weight" in weights:  # pairs are keys themselves
                    key = linear(weights, "key", key)
                utility = utility + queries[kind] @ key / math.sqrt(len(key))
            utilities.append(utility)
        rows.append(torch.stack(utilities))
    return torch.stack(rows)


HEADS = {"slot": slot_head, "entity": entity_head}


def utilities(team: Team, episode: Episode, masks: Tensor) -> Tensor:
    """Q_a of every action under one mask [T+1, A, E]; [T+1, A, U]."""
    num_agents = masks.shape[1]
    hidden_width = team.agent["recurrent.weight_hh"].shape[1]
    hidden = episode.entities.new_zeros(num_agents, hidden_width)
    steps = []
    for entities, mask in zip(episode.entities, masks, strict=True):
        layers = part(team.agent, "attention")
        if team.agent_kind.startswith("pairwise"):
            embedded, attended = pairwise_attention(layers, entities, mask, team.attention_heads)
        else:
            of_entity = F.relu(linear(layers, "embed", entities))
            attended = attention(layers, of_entity, mask, team.attention_heads)
            embedded = of_entity.expand(num_agents, -1, -1)  # the same for all agents
        x = F.relu(linear(layers, "output", attended))
        hidden = gru_cell(part(team.agent, "recurrent"), x, hidden)
        head = HEADS[team.agent_kind.removeprefix("pairwise ")]
        q = head(part(team.agent, "head"), hidden, embedded, mask, team.aims)
        steps.append(q * episode.present[:num_agents, None])
    return torch.stack(steps)


def of_actions(q: Tensor, actions: Tensor) -> Tensor:
    """The utilities of the chosen actions; [T+1, A, U], [T, A] -> [T, A]."""
    return torch.stack(
        [
            torch.stack([q[t, agent, action] for agent, action in enumerate(step)])
            for t, step in enumerate(actions.tolist())
        ]
    )


def of_best(q: Tensor, episode: Episode) -> Tensor:
    """The utilities of the best allowed actions; [T+1, A, U] -> [T+1, A]."""
    return torch.stack(
        [
            torch.stack([row[allowed].max() for row, allowed in zip(*step, strict=True)])
            for step in zip(q, episode.action_mask, strict=True)
        ]
    )


def of_mean(q: Tensor, episode: Episode) -> Tensor:
    """The mean utilities of the allowed actions; [T+1, A, U] -> [T+1, A]."""
    return torch.stack(
        [
            torch.stack([row[allowed].mean() for row, allowed in zip(*step, strict=True)])
            for step in zip(q, episode.action_mask, strict=True)
        ]
    )


# The mixing networks (Eq. 2 and 6)


def hypernetwork(
    weights: Weights, entities: Tensor, present: Tensor, mask: Tensor, num_heads: int
) -> Tensor:
    """X numbers for each agent, zeros for absent ones; [A, X]."""
    embedded = F.relu(linear(weights, "embed", entities))
    output = linear(weights, "output", attention(weights, embedded, mask, num_heads))
    return output * present[: len(mask), None]


class Mixing(NamedTuple):
    """What a mixer gets of one step."""

    entities: Tensor  # [E, D]
    present: Tensor  # [E] bool
    q: Tensor  # [K * A] utilities; A of them for each of the K masks of w1
    greedy: Tensor  # [K * A] the utilities of the best allowed actions
    mean: Tensor  # [K * A] the mean utilities of the allowed actions
    w1_masks: Sequence[Tensor]  # K masks [A, E] of the weights that belong to an agent
    other_mask: Tensor  # [A, E] bool, the mask of the weights that belong to the team


def of_mixer(team: Team, x: Mixing, name: str, mask: Tensor) -> Tensor:
    """The output of one of the mixer's hypernetworks; [A, X]."""
    weights = part(team.mixer, name)
    return hypernetwork(weights, x.entities, x.present, mask, team.attention_heads)


def qmix_of(team: Team, x: Mixing, q: Tensor) -> Tensor:
    """Eq. 2: Q_tot = w2ᵀ ELU(w1ᵀ q + b1) + v, with w1 and w2 softmaxed over the mixing dimension.

    Args:
        team: The weights.
        x: The state and the masks.
        q: [K * A] utilities of any actions.

    Returns:
        One number.
    """
    w1 = torch.cat([F.softmax(of_mixer(team, x, "w1", mask), dim=-1) for mask in x.w1_masks])
    b1 = of_mixer(team, x, "b1", x.other_mask).mean(0)
    w2 = F.softmax(of_mixer(team, x, "w2", x.other_mask).mean(0), dim=-1)
    v = of_mixer(team, x, "v", x.other_mask).mean()
    return F.elu(q @ w1 + b1) @ w2 + v


def qmix(team: Team, x: Mixing) -> Tensor:
    """QMIX of the chosen actions."""
    return qmix_of(team, x, x.q)


def vdn(team: Team, x: Mixing) -> Tensor:
    """Q_tot = Σ_a Q_a."""
    return x.q.sum()


def joint_action(team: Team, x: Mixing, name: str, mask: Tensor, regrets: Tensor) -> Tensor:
    """Numbers of each agent from the state and the joint action; ln(1 + r) [A] -> [A, N]."""
    weights = part(team.mixer, name)
    state = hypernetwork(part(weights, "state"), x.entities, x.present, mask, team.attention_heads)
    of_agent = [
        F.relu(state[a] + weights["action.weight"][:, 0] * r) for a, r in enumerate(regrets)
    ]
    rows = []
    for a, own in enumerate(of_agent):
        others = torch.zeros_like(own)
        for other, numbers in enumerate(of_agent):
            if mask[a, other]:
                others = others + numbers / len(of_agent)
        rows.append(linear(weights, "output", torch.cat([own, others])))
    return torch.stack(rows)


def log_regrets(x: Mixing) -> list[Tensor]:
    """ln(1 + V - Q) of each of an agent's K utilities, without gradient; [A] each."""
    return list(torch.log(1 + x.greedy - x.q).detach().chunk(len(x.w1_masks)))


def qplex(team: Team, x: Mixing) -> Tensor:
    """Q_tot = Σ V_a(s) + b(s) + Σ λ_a(s, u) A_a(s); gradients of λ_a and of Σ Q_a(s) + b(s)."""
    q_tot = of_mixer(team, x, "b", x.other_mask).mean()
    team_credit = of_mixer(team, x, "team_credit", x.other_mask).mean(0).abs() + SMALLEST_WEIGHT
    for mask, q, greedy, regrets in zip(
        x.w1_masks,
        x.q.chunk(len(x.w1_masks)),
        x.greedy.chunk(len(x.w1_masks)),
        log_regrets(x),
        strict=True,
    ):
        w = (1 + of_mixer(team, x, "w", mask)[:, 0]).abs() + SMALLEST_WEIGHT
        of_action = torch.sigmoid(joint_action(team, x, "action_credit", mask, regrets))
        of_agent = torch.sigmoid(of_mixer(team, x, "agent_credit", mask))
        for a in range(len(q)):
            credit = (of_action[a] * of_agent[a] * team_credit).sum()
            advantage = (w[a] * (q[a] - greedy[a])).detach()
            q_tot = q_tot + w[a] * q[a] + (credit - 1) * advantage
    return q_tot


def qfix(team: Team, x: Mixing) -> Tensor:
    """Q_tot = Q_mix + w(s, u) A_mix, with a gradient of Q_mix and of w."""
    regrets = torch.stack(log_regrets(x)).sum(0)
    output = joint_action(team, x, "fix", x.other_mask, regrets)[:, 0]
    seeing = x.other_mask.any(1)
    average = torch.where(seeing, output, 0.0).mean()
    chosen, best = qmix_of(team, x, x.q), qmix_of(team, x, x.greedy)
    w = (1 + average).abs() + SMALLEST_WEIGHT - 1
    return chosen + w * (chosen - best).detach()


def dueling(team: Team, x: Mixing) -> Tensor:
    """Q_tot = V(s) + Σ (Q_a - mean Q_a), with V(s) of a sum over the agents that see something."""
    weights = part(team.mixer, "of_agent")
    of_agent = F.relu(
        hypernetwork(weights, x.entities, x.present, x.other_mask, team.attention_heads)
    )
    summed = torch.stack([of_agent[a] for a, seen in enumerate(x.other_mask) if seen.any()]).sum(0)
    return linear(team.mixer, "v", summed).squeeze(0) + (x.q - x.mean).sum()


def counted(team: Team, episode: Episode, of_agents: Tensor) -> Tensor:
    """Utilities as they count in Q_tot: times 8 / n in a team of n, or once."""
    size = episode.present[: episode.actions.shape[1]].sum()
    return of_agents * 8 / size if team.by_team_size else of_agents


MIXING = {"qmix": qmix, "vdn": vdn, "qplex": qplex, "qfix": qfix, "dueling": dueling}


def mixed(
    team: Team,
    episode: Episode,
    q: Tensor,
    greedy: Tensor,
    mean: Tensor,
    w1_masks: Sequence[Tensor],
    other_mask: Tensor,
) -> Tensor:
    """Q_tot of every step; three times [T, K * A] -> [T]."""
    q, greedy, mean = (counted(team, episode, of_agents) for of_agents in (q, greedy, mean))
    steps = zip(episode.entities[: len(q)], q, greedy, mean, strict=True)
    here, masks = episode.present, (w1_masks, other_mask)
    of_step = [
        MIXING[team.mixing](team, Mixing(entities, here, now, best, among, *masks))
        for entities, now, best, among in steps
    ]
    return denormalised(team, episode, torch.stack(of_step))


# PopArt


def scale(team: Team, episode: Episode) -> Tensor | float:
    """σ of the episode's task."""
    return team.output["variance"][episode.task].sqrt() if team.output else 1.0


def denormalised(team: Team, episode: Episode, mix: Tensor) -> Tensor:
    """σ (w z + b) + μ with the episode's task's σ, w, b and μ; z without PopArt."""
    if not team.output:
        return mix
    log_w, b, mu = (team.output[name][episode.task] for name in ("log_weight", "bias", "mean"))
    return scale(team, episode) * (log_w.exp() * mix + b) + mu


# The masks (Eq. 4 and 11)


def pairs(agents_of: Tensor, entities_of: Tensor, num_agents: int) -> Tensor:
    """a_A eᵀ: the agents of one group with the entities of another; [E], [E] -> [A, E]."""
    return agents_of[:num_agents, None] & entities_of[None, :]


def everyone(episode: Episode) -> Tensor:
    """M*: every present agent sees every present entity."""
    return pairs(episode.present, episode.present, episode.actions.shape[1])


def same_side(episode: Episode, m: Tensor) -> Tensor:
    """M_D = m_A mᵀ ∨ ¬m_A ¬mᵀ (Eq. 4), and M_I likewise (Eq. 11), among those present."""
    num_agents = episode.actions.shape[1]
    return (pairs(m, m, num_agents) | pairs(~m, ~m, num_agents)) & everyone(episode)


def other_side(episode: Episode, m: Tensor) -> Tensor:
    """M_O = ¬M_I (Eq. 11), among those present."""
    return ~same_side(episode, m) & everyone(episode)


# Q_tot under the three kinds of mask


def q_under(team: Team, episode: Episode, masks: Sequence[Tensor], other_mask: Tensor) -> Tensor:
    """Utilities under each mask ∧ M^μ, mixed with weights under the masks; [T]."""
    q, greedy, mean = [], [], []
    for mask in masks:
        of_all = utilities(team, episode, mask & episode.visible)
        q.append(of_actions(of_all, episode.actions))
        greedy.append(of_best(of_all, episode)[:-1])
        mean.append(of_mean(of_all, episode)[:-1])
    of_agents = (torch.cat(q, 1), torch.cat(greedy, 1), torch.cat(mean, 1))
    return mixed(team, episode, *of_agents, masks, other_mask)


def q_original(team: Team, episode: Episode) -> Tensor:
    """Eq. 6: utilities under M^μ, mixed under M*; [T]."""
    return q_under(team, episode, [everyone(episode)], everyone(episode))


def q_exploration(team: Team, episode: Episode) -> Tensor:
    """Eq. 9: utilities under M_D^μ = M_D ∧ M^μ (Eq. 5), mixed under M_D; [T]."""
    m_d = same_side(episode, episode.explore_group)
    return q_under(team, episode, [m_d], m_d)


def q_exploitation(team: Team, episode: Episode) -> Tensor:
    """Eq. 13: utilities under M_I^μ and M_O^μ (Eq. 12), mixed under M_I, M_O and M*; [T]."""
    m_i = same_side(episode, episode.exploit_group)
    m_o = other_side(episode, episode.exploit_group)
    return q_under(team, episode, [m_i, m_o], everyone(episode))


QTot = Callable[[Team, Episode], Tensor]


# Targets and losses


@torch.no_grad()
def targets(online: Team, target: Team, episode: Episode, gamma: float) -> Tensor:
    """Eq. 7: y = r + γ Q_tot'(s', u'), u' the online network's best allowed actions; [T]."""
    of_online = utilities(online, episode, episode.visible)
    of_target = utilities(target, episode, episode.visible)
    greedy, mean = of_best(of_target, episode), of_mean(of_target, episode)
    m_star = everyone(episode)
    found = []
    for t, reward in enumerate(episode.rewards):
        if episode.terminated[t]:
            found.append(reward)
            continue
        best = []
        for agent, allowed in enumerate(episode.action_mask[t + 1]):
            legal = allowed.nonzero().flatten()
            action = legal[of_online[t + 1, agent, legal].argmax()]
            best.append(of_target[t + 1, agent, action])
        after, now = episode.entities[t + 1], torch.stack(best)
        q, best_q, mean_q = (
            counted(target, episode, each) for each in (now, greedy[t + 1], mean[t + 1])
        )
        x = Mixing(after, episode.present, q, best_q, mean_q, [m_star], m_star)
        mix = MIXING[target.mixing](target, x)
        found.append(reward + gamma * denormalised(target, episode, mix))
    return torch.stack(found)


class Losses:
    """The losses of a batch of episodes, and their weights.

    Args:
        online: The networks that learn.
        target: The target networks.
        batch: B episodes.
        gamma: γ.
        alpha: α of Eq. 14.
        mining_lambda: λ of Eq. 15.
    """

    def __init__(
        self,
        online: Team,
        target: Team,
        batch: TeamBatch,
        gamma: float,
        alpha: float,
        mining_lambda: float,
    ) -> None:
        self.omega = batch.episode_weight
        self.alpha = alpha
        self.mining_lambda = mining_lambda
        self._online = online
        self._episodes = episodes(batch)
        self._targets = [targets(online, target, episode, gamma) for episode in self._episodes]

    def _squared(self, q_tot: QTot) -> list[Tensor]:
        """Squared TD errors, divided by σ² under PopArt; [T] for each episode."""
        return [
            ((y - q_tot(self._online, episode)) / scale(self._online, episode)) ** 2
            for episode, y in zip(self._episodes, self._targets, strict=True)
        ]

    def of_all_steps(self, q_tot: QTot) -> Tensor:
        """Eq. 8: the mean over the steps of all episodes."""
        return torch.cat(self._squared(q_tot)).mean()

    def of_each_episode(self, q_tot: QTot) -> Tensor:
        """Eq. 10 and 13: the mean over each episode's steps; [B]."""
        return torch.stack([squared.mean() for squared in self._squared(q_tot)])

    def of_normalised(self) -> Tensor:
        """The original loss of normalised y and normalised Q_tot, as in PopArt."""
        squared = []
        for episode, y in zip(self._episodes, self._targets, strict=True):
            mu = self._online.output["mean"][episode.task]
            sigma = scale(self._online, episode)
            of_targets = (y - mu) / sigma
            of_network = (q_original(self._online, episode) - mu) / sigma
            squared.append((of_targets - of_network) ** 2)
        return torch.cat(squared).mean()

    def original_and_mining(self, of_episode: Tensor) -> Tensor:
        """Eq. 15: Loss_ori + λ Σ_b ω_b Loss^b."""
        mining = (self.omega * of_episode).sum()
        return self.of_all_steps(q_original) + self.mining_lambda * mining


def ptm(x: Losses) -> Tensor:
    """Eq. 14 and 15."""
    explore, exploit = x.of_each_episode(q_exploration), x.of_each_episode(q_exploitation)
    return x.original_and_mining(x.alpha * explore + (1 - x.alpha) * exploit)


def refil(x: Losses) -> Tensor:
    """Iqbal et al., ICML 2021, with equal weights."""
    return 0.5 * x.of_all_steps(q_original) + 0.5 * x.of_all_steps(q_exploitation)


TOTAL_LOSS: dict[str, Callable[[Losses], Tensor]] = {
    "ptm": ptm,
    "ptm_without_exploration": lambda x: x.original_and_mining(x.of_each_episode(q_exploitation)),
    "ptm_without_exploitation": lambda x: x.original_and_mining(x.of_each_episode(q_exploration)),
    "qmix_atten": lambda x: x.of_all_steps(q_original),
    "qmix_atten_reweighted": lambda x: x.original_and_mining(x.of_each_episode(q_original)),
    "refil": refil,
    "qmix_atten_popart": Losses.of_normalised,
}
