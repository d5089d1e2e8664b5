"""JaxMARL's baselines, and one training of one of them. It needs Python's own library only.

The command and the process that trains share this file. They run in two virtual environments.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

GREEDY = "greedy test"
SAMPLED = "training, actions sampled"


@dataclass(frozen=True)
class Baseline:
    """A training script of JaxMARL.

    Attributes:
        module: Its module in a checkout.
        configs: Its settings for SMAX: YAML files in ``baselines/``. Later ones replace earlier
            ones' keys, as its ``main`` merges them.
        metric: What the win rate is that it reports: ``GREEDY`` or ``SAMPLED``.
        win_rate: The win rate's name in what it logs.
    """

    module: str
    configs: tuple[str, ...]
    metric: str = GREEDY
    win_rate: str = "test_returned_won_episode"


_Q_LEARNING = "QLearning/config/config.yaml"
_OFF_POLICY = (_Q_LEARNING, "QLearning/config/alg/ql_rnn_smax.yaml")
_ON_POLICY = (_Q_LEARNING, "QLearning/config/alg/pqn_vdn_rnn_smax.yaml")
_IPPO = ("IPPO/config/ippo_rnn_smax.yaml",)

BASELINES = {
    "qmix": Baseline("baselines.QLearning.qmix_rnn", _OFF_POLICY),
    "vdn": Baseline("baselines.QLearning.vdn_rnn", _OFF_POLICY),
    "pqn_vdn": Baseline("baselines.QLearning.pqn_vdn_rnn", _ON_POLICY),
    "ippo": Baseline("baselines.IPPO.ippo_rnn_smax", _IPPO, SAMPLED, "win_rate"),
}


@dataclass(frozen=True)
class BaselineRun:
    """One training.

    Attributes:
        algorithm: A row of ``BASELINES``.
        scenario: A map of SMAX, such as ``5m_vs_6m``.
        seed: The seed.
        num_envs: Parallel environments.
        env_steps: Env steps of the whole training. Its schedules end with them: exploration in all
            three Q-learners, the learning rate in PQN-VDN and IPPO.
        seconds: The training also ends with the first report after so many seconds, its tests and
            the compilation apart; None = it does not.
        reports: Greedy tests over all env steps.
        battles: Parallel battles of a greedy test.
    """

    algorithm: str
    scenario: str
    seed: int
    num_envs: int
    env_steps: int
    seconds: float | None = None
    reports: int = 20
    battles: int = 128

    @property
    def baseline(self) -> Baseline:
        """Its training script."""
        return BASELINES[self.algorithm]

    @property
    def file_name(self) -> str:
        """The name of its CSV file, with all that decides what the run learns."""
        limit = "" if self.seconds is None else f"_{self.seconds:g}s"
        steps = f"{self.num_envs}envs_{self.env_steps}steps{limit}"
        return f"{self.algorithm}_{self.scenario}_{steps}_seed{self.seed}.csv"

    def to_json(self) -> str:
        """The run as an argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> BaselineRun:
        """Reads what ``to_json`` has written."""
        return cls(**json.loads(text))
