"""RLlib's Learner: batch -> loss -> gradient step, and the target networks.

Source: *Prioritized Tasks Mining for Multi-Task Cooperative Multi-Agent Reinforcement
Learning*, AAMAS 2023. The equations are in ``rllib_ptm.model``, the methods in
``rllib_ptm.methods``.
"""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.learner.utils import update_target_network
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, NUM_EPISODES_LIFETIME
from torch import Tensor

from rllib_ptm.learn.non_finite import require_finite
from rllib_ptm.learn.optimizers import OPTIMIZERS
from rllib_ptm.learn.rl_module import Q_VALUES, PTMModule, team_batch
from rllib_ptm.learn.schedules import linear
from rllib_ptm.methods import METHODS, method_loss
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.q_values import ORIGINAL
from rllib_ptm.process import prepare_learner_process
from rllib_ptm.ray_private import set_learning_rate

LAST_TARGET_UPDATE = "last_target_update_episode"


class PTMLearner(TorchLearner):
    """Updates the shared policy with the losses of the configured method."""

    def build(self) -> None:
        """Builds the module, its target networks and the optimiser."""
        prepare_learner_process()
        super().build()
        self._alpha = 1.0
        self._last_target_update = 0
        self._targets: dict[str, tuple[Tensor, TeamBatch]] = {}
        for module in self._team_modules():
            module.make_target_networks()

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Registers the optimiser that the config names."""
        module = self.module[module_id].unwrapped()
        parameters = [p for network in module.online_team() for p in network.parameters()]
        self.register_optimizer(
            module_id=module_id,
            optimizer=OPTIMIZERS[config.optimizer_name](parameters),
            params=parameters,
            lr_or_lr_schedule=config.lr,
        )

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Sets α by the env steps played so far."""
        super().before_gradient_based_update(timesteps=timesteps)
        steps = timesteps.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, 0)
        self._alpha = linear(steps, 1.0, 0.0, self.config.alpha_anneal_steps)
        for module in self._team_modules():
            module.mined_terms = tuple(METHODS[self.config.method].mined(self._alpha))

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Tensor:
        """The method's loss; see ``rllib_ptm.methods``."""
        team, q = team_batch(batch), fwd_out[Q_VALUES]
        loss = method_loss(
            METHODS[config.method],
            q,
            team,
            gamma=config.gamma,
            mining_lambda=config.mining_lambda,
            alpha=self._alpha,
            td_lambda=config.td_lambda,
        )
        require_finite({"total_loss": loss.total, **{f"loss_{k}": v for k, v in loss.mean.items()}})
        self._targets[module_id] = (loss.targets, team)
        error = (loss.targets - q.q_tot[ORIGINAL].detach()).abs().masked_fill(~team.valid, 0.0)
        agents = team.present[:, : q.taken.shape[-1]].sum(1, keepdim=True)  # B,1
        taken = (q.taken.detach().sum(-1) / agents).masked_fill(~team.valid, 0.0)
        watched = {f"loss_{term}": mean for term, mean in loss.mean.items()} | {
            "td_error_abs": error.sum() / team.num_steps,
            "q_taken_mean": taken.sum() / team.num_steps,
        }
        self.metrics.log_dict(watched, key=module_id, window=1)
        return loss.total

    def postprocess_gradients_for_module(
        self, *, module_id: str, config: Any = None, module_gradients_dict: dict[Any, Tensor]
    ) -> dict[Any, Tensor]:
        """Clips as RLlib does, and logs the norm before it."""
        norm = torch.nn.utils.get_total_norm(module_gradients_dict.values())
        require_finite({"grad_norm": norm})
        self.metrics.log_value((module_id, "grad_norm"), norm, window=1)
        return super().postprocess_gradients_for_module(
            module_id=module_id, config=config, module_gradients_dict=module_gradients_dict
        )

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Moves the statistics of the targets, and copies the target networks when it is time."""
        super().after_gradient_based_update(timesteps=timesteps)
        for module_id, (targets, team) in self._targets.items():
            output = self.module[module_id].unwrapped().output
            output.adapt(targets, team.valid, team.task)
        self._targets.clear()
        episodes = timesteps.get(NUM_EPISODES_LIFETIME, 0)
        if episodes - self._last_target_update < self.config.target_update_interval_episodes:
            return
        self._last_target_update = episodes
        for module in self._team_modules():
            for online, target in module.get_target_network_pairs():
                update_target_network(main_net=online, target_net=target, tau=1.0)

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state, and when the target networks were last copied."""
        state = super().get_state(*args, **kwargs)
        return {**state, LAST_TARGET_UPDATE: self._last_target_update}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what ``get_state`` gave."""
        super().set_state(state)
        self._last_target_update = state.get(LAST_TARGET_UPDATE, self._last_target_update)
        # The optimiser's state brings the rate that the checkpoint was trained with. Who goes on
        # with another one, as population based training does, means it from the first step on; a
        # schedule's rate follows from the steps, and is the checkpoint's.
        if not isinstance(self.config.lr, list):
            set_learning_rate(self, self.config.lr)

    def _team_modules(self) -> list[PTMModule]:
        return [self.module[module_id].unwrapped() for module_id in self.module.keys()]  # noqa: SIM118
