"""The layer between the mixer and Q_tot: none, the mean of each task's targets, or PopArt.

Source of PopArt: van Hasselt et al., *Learning values across many orders of magnitude*, 2016; for
several tasks Hessel et al., *Multi-task deep reinforcement learning with PopArt*, 2019. Shapes: see
``batch``; ``K`` tasks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.batch import sum_over_learners
from rllib_ptm.model.precision import WEIGHT_DTYPE

STEP = 3e-4  # step size of PopArt's running statistics, per update
MEAN_STEP = 0.05  # the same of a mean alone; it must follow within a run of some hundred updates
SMALLEST_SCALE = 1e-4  # lower bound of σ, for tasks whose targets are all equal


class TaskOutput(nn.Module):
    """Q_tot is the output of the mixer, for all tasks.

    Args:
        num_tasks: K; has no effect here.
    """

    def __init__(self, num_tasks: int = 0) -> None:
        super().__init__()

    def forward(self, mixed: Tensor, task: Tensor) -> Tensor:
        """Q_tot [B, T] from the mixer's output [B, T] for episodes of these tasks [B]."""
        return mixed

    def scale(self, task: Tensor) -> Tensor:
        """The divisor of the TD errors of these tasks; [B] -> [B, 1]."""
        return torch.ones((len(task), 1), dtype=WEIGHT_DTYPE, device=task.device)

    def adapt(self, targets: Tensor, valid: Tensor, task: Tensor) -> None:
        """Updates statistics by the targets of a batch; the gradient is not involved."""


class TaskMean(TaskOutput):
    """Q_tot = z + μ, where z is the mixer's output and μ a running mean of the task's targets.

    The networks learn differences from the mean of each task. Without it, tasks with other returns
    pull the level of all values in opposite directions; not in the paper. It does not change which
    actions are greedy: μ is equal for all of them.

    Args:
        num_tasks: K.
    """

    mean: Tensor

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks)
        self.register_buffer("mean", torch.zeros(num_tasks, dtype=WEIGHT_DTYPE))

    def forward(self, mixed: Tensor, task: Tensor) -> Tensor:
        """See ``TaskOutput.forward``."""
        return mixed + self.mean[task, None]

    @torch.no_grad()
    def adapt(self, targets: Tensor, valid: Tensor, task: Tensor) -> None:
        """Moves the means of the tasks in the batch towards those of their targets [B, T]."""
        count, total, _ = target_sums(targets, valid, task, len(self.mean))
        towards = total / count.clamp(min=1.0) - self.mean
        self.mean += (MEAN_STEP * towards.masked_fill(count == 0, 0.0)).to(self.mean.dtype)


class PopArt(TaskOutput):
    """Q_tot = σ (w z + b) + μ, where z is the mixer's output and each task has its own σ, w, b, μ.

    w z + b predicts the normalised target, (y - μ) / σ. μ and σ are running statistics of the
    targets. When they change, w and b are changed too, so that every Q_tot stays the same.

    The parameter is the logarithm of w, so that w stays positive and mixing monotonic.

    Args:
        num_tasks: K.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks)
        self.log_weight = nn.Parameter(torch.zeros(num_tasks, dtype=WEIGHT_DTYPE))
        self.bias = nn.Parameter(torch.zeros(num_tasks, dtype=WEIGHT_DTYPE))
        self.register_buffer("mean", torch.zeros(num_tasks, dtype=WEIGHT_DTYPE))
        self.register_buffer("variance", torch.ones(num_tasks, dtype=WEIGHT_DTYPE))

    def forward(self, mixed: Tensor, task: Tensor) -> Tensor:
        """See ``TaskOutput.forward``."""
        weight, bias, mean = self.log_weight.exp(), self.bias, self.mean
        normalised = weight[task, None] * mixed + bias[task, None]
        return self.scale(task) * normalised + mean[task, None]

    def scale(self, task: Tensor) -> Tensor:
        """σ; see ``TaskOutput.scale``."""
        return _scale(self.variance)[task, None]

    @torch.no_grad()
    def adapt(self, targets: Tensor, valid: Tensor, task: Tensor) -> None:
        """Updates the statistics of the tasks in the batch, and preserves every Q_tot.

        The targets of all learners count, so that all of them make the same update.

        Args:
            targets: [B, T] y.
            valid: [B, T] bool.
            task: [B] int64.
        """
        count, total, squares = target_sums(targets, valid, task, len(self.mean))
        divisor = count.clamp(min=1.0)
        batch_mean = total / divisor
        batch_variance = (squares / divisor - batch_mean.square()).clamp(min=0.0)
        step = STEP * (count > 0).to(WEIGHT_DTYPE)  # zero for a task that is not in the batch
        # Mean and variance of a mixture: 1 - step of the old distribution, step of the batch's.
        distance = batch_mean - self.mean
        self._rescale(
            self.mean + step * distance,
            (1.0 - step) * (self.variance + step * distance.square()) + step * batch_variance,
        )

    def _rescale(self, mean: Tensor, variance: Tensor) -> None:
        """Sets μ' and σ', with w' and b' such that σ' (w' z + b') + μ' = σ (w z + b) + μ."""
        # Round first, because w' and b' must fit the stored values.
        mean, variance = mean.to(self.mean.dtype), variance.to(self.variance.dtype)
        old_scale, new_scale = _scale(self.variance.double()), _scale(variance.double())
        distance = self.mean.double() - mean.double()
        self.log_weight.add_((old_scale / new_scale).log())
        self.bias.copy_((old_scale * self.bias + distance) / new_scale)
        self.mean.copy_(mean)
        self.variance.copy_(variance)


def target_sums(targets: Tensor, valid: Tensor, task: Tensor, num_tasks: int) -> Tensor:
    """Number, sum and sum of squares of each task's targets, over all learners; [3, K].

    Args:
        targets: [B, T] y.
        valid: [B, T] bool.
        task: [B] int64.
        num_tasks: K.
    """
    y = targets.double().masked_fill(~valid, 0.0)
    by_episode = torch.stack([valid.sum(1).double(), y.sum(1), y.square().sum(1)])  # 3,B
    sums = by_episode.new_zeros((3, num_tasks)).index_add_(1, task, by_episode)
    return sum_over_learners(sums)


def _scale(variance: Tensor) -> Tensor:
    return variance.sqrt().clamp(min=SMALLEST_SCALE)


# What turns the mixer's output into Q_tot, where the method has no layer of its own.
TASK_BASELINES: Table[type[TaskOutput]] = Table(
    {"none": TaskOutput, "mean": TaskMean, "popart": PopArt}
)
