"""RLlib's Learner: batch -> loss -> gradient step, and the target networks.

Source: *Prioritized Tasks Mining for Multi-Task Cooperative Multi-Agent Reinforcement
Learning*, AAMAS 2023. The equations are in ``rllib_ptm.model``, the methods in
``rllib_ptm.methods``.
"""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core import COMPONENT_OPTIMIZER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.learner.utils import update_target_network
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, NUM_EPISODES_LIFETIME
from torch import Tensor

from rllib_ptm.checks.errors import InputError
from rllib_ptm.learn.non_finite import check_finite
from rllib_ptm.learn.optimizers import OPTIMIZERS
from rllib_ptm.learn.rl_module import BATCH, Q_VALUES, PTMModule
from rllib_ptm.learn.schedules import target_lambda
from rllib_ptm.methods import METHODS, method_loss
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.losses import regression_targets
from rllib_ptm.model.q_values import ORIGINAL, QValues
from rllib_ptm.process import prepare_learner_process
from rllib_ptm.ray_private.algorithms import set_learning_rate

TARGETS = "targets"  # what the learner adds to the module's output
# Entries of the learner's state
LAST_TARGET_UPDATE, OPTIMIZER_NAME = "last_target_update_episode", "optimizer_name"


class PTMLearner(TorchLearner):
    """Updates the shared policy with the loss of the configured method."""

    def build(self) -> None:
        """Builds the module, its target networks and the optimiser."""
        prepare_learner_process()
        super().build()
        self._last_target_update = 0
        self._target_lambda = target_lambda(0, self.config)
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

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Tensor:
        """Computes the method's loss; see ``rllib_ptm.methods``."""
        team, q = fwd_out[BATCH], fwd_out[Q_VALUES]
        targets = regression_targets(team, q.next_q_tot, config.gamma, self._target_lambda)
        fwd_out[TARGETS] = targets  # PopArt's statistics follow them after the gradient step
        method, scale = METHODS[config.method], config.mining_scale
        loss = method_loss(method, q, targets, team, config.mining_lambda, scale)
        losses = {f"loss_{term}": mean for term, mean in loss.mean.items()}
        check_finite({"total_loss": loss.total, **losses})
        self.metrics.log_dict(losses | diagnostics(q, targets, team), key=module_id, window=1)
        return loss.total

    def postprocess_gradients_for_module(
        self, *, module_id: str, config: Any = None, module_gradients_dict: dict[Any, Tensor]
    ) -> dict[Any, Tensor]:
        """Logs the gradient norm, then clips as RLlib does."""
        norm = torch.nn.utils.get_total_norm(module_gradients_dict.values())
        check_finite({"grad_norm": norm})
        self.metrics.log_value((module_id, "grad_norm"), norm, window=1)
        return super().postprocess_gradients_for_module(
            module_id=module_id, config=config, module_gradients_dict=module_gradients_dict
        )

    def _update(self, batch: dict[str, Any], **kwargs: Any) -> tuple[Any, Any, Any]:
        """Takes the gradient step, then updates PopArt's statistics by the batch's targets."""
        fwd_out, losses, metrics = super()._update(batch, **kwargs)
        for module_id, out in fwd_out.items():
            team: TeamBatch = out[BATCH]
            output = self.module[module_id].unwrapped().output
            output.adapt(out[TARGETS], team.valid, team.task)
        return fwd_out, losses, metrics

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Sets λ of the Q(λ) targets by the env steps."""
        super().before_gradient_based_update(timesteps=timesteps)
        env_steps = timesteps.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, 0)
        self._target_lambda = target_lambda(env_steps, self.config)

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Copies the target networks every ``target_update_interval_episodes``."""
        super().after_gradient_based_update(timesteps=timesteps)
        episodes = timesteps.get(NUM_EPISODES_LIFETIME, 0)
        if episodes - self._last_target_update < self.config.target_update_interval_episodes:
            return
        self._last_target_update = episodes
        for module in self._team_modules():
            for online, target in module.get_target_network_pairs():
                update_target_network(main_net=online, target_net=target, tau=1.0)

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state, the optimiser's name, and the episode of the last copy of the targets."""
        state = super().get_state(*args, **kwargs)
        own = {
            LAST_TARGET_UPDATE: self._last_target_update,
            OPTIMIZER_NAME: self.config.optimizer_name,
        }
        return {**state, **own}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what ``get_state`` returned.

        Raises:
            InputError: It has the state of another optimiser. Torch would accept it.
        """
        name, own = state.get(OPTIMIZER_NAME), self.config.optimizer_name
        if COMPONENT_OPTIMIZER in state and name != own:
            raise InputError(f"optimizer_name: the state has {name!r}, the config has {own!r}")
        if COMPONENT_RL_MODULE in state:  # RLlib ignores weights that are older than its own
            self.module.set_state(state[COMPONENT_RL_MODULE])
        super().set_state(state)
        self._last_target_update = state.get(LAST_TARGET_UPDATE, self._last_target_update)
        # Keep the config's learning rate: PBT may have changed it, and the optimiser's state has
        # the rate of the checkpoint. A schedule (a list) follows from the env steps.
        lr = self.config.get_config_for_module(DEFAULT_MODULE_ID).lr
        if not isinstance(lr, (list, tuple)):
            set_learning_rate(self, lr)

    def _team_modules(self) -> list[PTMModule]:
        return [self.module[module_id].unwrapped() for module_id in self.module.keys()]  # noqa: SIM118


def diagnostics(q: QValues, targets: Tensor, batch: TeamBatch) -> dict[str, Tensor]:
    """Means over the valid steps of a batch, for the metrics.

    Args:
        q: The batch's Q values.
        targets: [B, T] y.
        batch: B episodes.

    Returns:
        ``td_error_abs`` [], the mean of |y - Q_tot|, and ``q_taken_mean`` [], the mean utility of
        the actions that were played.
    """
    error = (targets - q.q_tot[ORIGINAL].detach()).abs().masked_fill(~batch.valid, 0.0)
    agents = batch.present[:, : batch.num_agents].sum(1, keepdim=True)  # B,1
    utility = (q.chosen.detach().sum(-1) / agents).masked_fill(~batch.valid, 0.0)
    return {
        "td_error_abs": error.sum() / batch.num_steps,
        "q_taken_mean": utility.sum() / batch.num_steps,
    }
