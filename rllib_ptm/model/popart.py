"""What stands between the mixer and Q_tot: nothing, or PopArt with statistics for each task.

Source: van Hasselt et al., *Learning values across many orders of magnitude*, 2016; for several
tasks Hessel et al., *Multi-task deep reinforcement learning with PopArt*, 2019. Shapes: see
``batch``; ``K`` tasks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEP = 3e-4  # of the statistics, for each update
SMALLEST_SCALE = 1e-4  # so that targets that never differ can be divided by it


class TaskOutput(nn.Module):
    """Q_tot as the mixer gives it, whatever the task.

    Args:
        num_tasks: K; nothing depends on it here.
    """

    def __init__(self, num_tasks: int = 0) -> None:
        super().__init__()

    def forward(self, mixed: Tensor, task: Tensor) -> Tensor:
        """Q_tot [B, T] of what the mixer gave [B, T] for episodes of these tasks [B]."""
        return mixed

    def scale(self, task: Tensor) -> Tensor:
        """What the errors of these tasks are divided by; [B] -> [B, 1]."""
        return torch.ones((len(task), 1), device=task.device)

    def adapt(self, targets: Tensor, valid: Tensor, task: Tensor) -> None:
        """Learns from the targets of a batch, beside the gradient."""


class PopArt(TaskOutput):
    """Q_tot = σ (w z + b) + μ, z what the mixer gave, each of the four the task's own.

    w z + b predicts the normalised target, (y - μ) / σ. μ and σ are running statistics of the
    targets; whenever they move, w and b are changed so that no Q_tot does.

    The weight is kept as its logarithm: whatever the optimiser makes of it, it stays positive and
    mixing monotonic.

    Args:
        num_tasks: K.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, num_tasks: int) -> None:
        super().__init__(num_tasks)
        self.log_weight = nn.Parameter(torch.zeros(num_tasks))
        self.bias = nn.Parameter(torch.zeros(num_tasks))
        self.register_buffer("mean", torch.zeros(num_tasks))
        self.register_buffer("variance", torch.ones(num_tasks))

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
        """Moves the statistics of the tasks in the batch, and preserves every Q_tot.

        The targets of all learners count, so that all of them make the same move.

        Args:
            targets: [B, T] y.
            valid: [B, T] bool.
            task: [B] int64.
        """
        count, total, squares = self._sums(targets, valid, task)
        many = count.clamp(min=1.0)
        batch_mean = total / many
        batch_variance = (squares / many - batch_mean.square()).clamp(min=0.0)
        step = STEP * (count > 0)  # a task that is not in the batch stays where it is
        # Of a mixture of the old distribution and the batch's, 1 - step of the one.
        distance = batch_mean - self.mean
        self._move(
            self.mean + step * distance,
            (1.0 - step) * (self.variance + step * distance.square()) + step * batch_variance,
        )

    def _sums(self, targets: Tensor, valid: Tensor, task: Tensor) -> Tensor:
        """Number, sum and sum of squares of each task's targets, over all learners; [3, K]."""
        y = targets.double().masked_fill(~valid, 0.0)
        of_episode = torch.stack([valid.sum(1).double(), y.sum(1), y.square().sum(1)])  # 3,B
        sums = of_episode.new_zeros((3, len(self.mean))).index_add_(1, task, of_episode)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
        return sums

    def _move(self, mean: Tensor, variance: Tensor) -> None:
        """σ' (w' z + b') + μ' = σ (w z + b) + μ for every z."""
        # What is stored is rounded, and that is what counts.
        mean, variance = mean.to(self.mean.dtype), variance.to(self.variance.dtype)
        old_scale, new_scale = _scale(self.variance.double()), _scale(variance.double())
        distance = self.mean.double() - mean.double()
        self.log_weight.add_((old_scale / new_scale).log())
        self.bias.copy_((old_scale * self.bias + distance) / new_scale)
        self.mean.copy_(mean)
        self.variance.copy_(variance)


def _scale(variance: Tensor) -> Tensor:
    return variance.sqrt().clamp(min=SMALLEST_SCALE)
