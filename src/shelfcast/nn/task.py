"""What the space-time network is to learn: windows of a panel's past, under a loss."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shelfcast.nn.augment import AugmentSettings, augmented
from shelfcast.nn.batch import Batch
from shelfcast.nn.losses import Loss, total_loss
from shelfcast.nn.windows import Windows


class ForecastTask:
    """Forecast windows; a `Task` of `nn.training`.

    Parameters
    ----------
    parts : micro-batches of a step
    augment : how batches are altered
    seed : of that
    covariates : channels of covariates, which may be hidden
    about : simple values that tell this task from others, for checkpoints
    """

    def __init__(self, windows: Windows, *, loss: Loss, levels: tuple[float, ...], parts: int,
                 augment: AugmentSettings, seed: int, covariates: Sequence[int], about: Mapping[str, Any]) -> None:
        self._windows, self._loss, self._parts, self._about = windows, loss, parts, about
        self._augment, self._seed, self._covariates = augment, seed, tuple(covariates)
        self._levels = torch.tensor(levels, dtype=torch.float32)

    def batch(self, step: int, part: int) -> Batch:
        """Part of a step's batch."""
        drawn = self._windows.batch(step * self._parts + part)
        return augmented(drawn, self._augment, seed=self._seed, step=step, part=part, covariates=self._covariates)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Mean loss over a batch of tensors."""
        return total_loss(self._loss, batch, network(*batch.inputs()), self._levels.to(batch.truth.device))

    def validation(self) -> Iterable[Batch]:
        """The window that was held back; none where nothing was."""
        return self._windows.validation()

    def fingerprint(self) -> Mapping[str, Any]:
        """What tells this task from others."""
        return self._about
