"""The task of fine-tuning: windows of panels' own pasts, told in universal channels, and windows that are kept for validation.

Of each panel the last windows are held back. What is learned from ends before the first of them, statistics included; each of them
is then looked at just as a forecast looks at the future: statistics as of its own cutoff, and nothing later.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor, nn

from shelfcast.data.split import cut
from shelfcast.errors import SettingsError
from shelfcast.features.history import Rhythm
from shelfcast.models.boosted_rows import YEARS_OF_ORIGINS
from shelfcast.models.in_context import CONTEXT, MOST_AHEAD, MOST_CONTEXT, InContext, undo_sold_out
from shelfcast.nn.augment import AugmentSettings, augmented
from shelfcast.nn.batch import Batch
from shelfcast.nn.losses import total_loss
from shelfcast.nn.surroundings import Surroundings
from shelfcast.nn.windows import Windows, alike_in_size, batch_of, groups_of
from shelfcast.panel import SalesPanel

VALIDATED: Final = 1_024  # series of a window that is held back, about
LEAST_PAST: Final = 2  # horizons of history before what is held back, to learn from


@dataclass(frozen=True, kw_only=True)
class LessonSettings:
    """How windows are drawn.

    Attributes
    ----------
    horizon : periods of a window, as they will be asked for
    windows : that are held back for validation, the last ones
    series : of a batch, about
    context : periods of the past that the network looks at; by frequency when None
    shocks : deviation of noise that all places of a group share, in logs about; 0 for none
    mirrored : some windows are of the past run backwards, which nothing in pretraining was
    seed : of the draws
    country : two letters, for public holidays; none when None
    """

    horizon: int
    windows: int = 1
    series: int = 96
    context: int | None = None
    shocks: float = 0.0
    mirrored: bool = False
    seed: int = 0
    country: str | None = None


@dataclass(frozen=True)
class Turn(Batch):
    """A batch of one of several panels.

    Attributes
    ----------
    share : float (1,), what its loss counts for
    """

    share: Any


class _Lesson:
    """One panel: windows to learn from, and those that are held back."""

    def __init__(self, panel: SalesPanel, settings: LessonSettings, *, patch: int) -> None:
        s = settings
        self.horizon = min(s.horizon, MOST_AHEAD)
        first = panel.cutoff - s.windows * self.horizon
        span = length_of(panel) - s.windows * self.horizon
        if span < LEAST_PAST * self.horizon + 1:
            noun = panel.frequency.noun
            raise SettingsError(
                f"History has {length_of(panel):,} {noun}s. Of these {s.windows * self.horizon:,} are held back, and what "
                f"is left is less than {LEAST_PAST} horizons of {self.horizon:,} {noun}s to learn from. Ask for a shorter "
                f"--horizon, or forecast with --model pretrained as it is.")
        context = s.context or CONTEXT[panel.frequency.unit]
        self._context = min(-(-context // patch) * patch, MOST_CONTEXT)
        self._settings, self._panel = s, panel
        told = undo_sold_out(cut(panel, first))
        rhythm = Rhythm.of(panel.frequency)
        reach = min(span, max(rhythm.context, self._context) + int(YEARS_OF_ORIGINS * panel.frequency.per_year) + self.horizon)
        around = self._around(told)
        self.windows = Windows(told, around, reach=reach, seed=s.seed, series=s.series, mirrored=s.mirrored)
        self.held_back: list[Batch] = []
        for number in range(s.windows):
            self.held_back += self._window(first + number * self.horizon)

    def _around(self, told: SalesPanel) -> Surroundings:
        """What windows of a panel are made with: statistics of it and of nothing else."""
        s = self._settings
        seen = InContext.of(told, context=self._context, horizon=self.horizon, seed=s.seed, country=s.country)
        return seen.around(told, horizon=self.horizon, pooled=seen.profile.pooled_)

    def _window(self, cutoff: int) -> list[Batch]:
        """Batches of the window after a cutoff, which is read as a forecast of it would be."""
        told, until = (undo_sold_out(cut(self._panel, at)) for at in (cutoff, cutoff + self.horizon))
        until = until.select(np.flatnonzero((until.series["start"] <= cutoff).to_numpy()))
        around = self._around(told)
        who = around.who(told.series)
        groups = groups_of(who.run, who.rank, around.most_places)
        order = np.random.default_rng([self._settings.seed, 2]).permutation(len(groups))
        sizes = np.cumsum((groups[order] >= 0).sum(axis=1))
        groups = groups[np.sort(order[: max(1, int(np.searchsorted(sizes, VALIDATED, side="right")))])]
        rows = np.sort(groups[groups >= 0])
        groups = np.where(groups >= 0, np.searchsorted(rows, groups), -1)
        reach = max(around.scheme.rhythm.context, self._context) + self.horizon
        block, part = around.block_of(until.select(rows), context=reach, horizon=0), who.take(rows)
        view = around.look(block, part, origin=block.sales.shape[1] - 1 - self.horizon)
        found = []
        for some, size in alike_in_size(groups, self._settings.series):
            for start in range(0, len(some), size):
                found.append(batch_of(view, groups[some[start:start + size]], part.place, links=around.links))
        return [b for b in found if (np.isfinite(b.truth) & (b.weight[..., None] > 0)).any()]


class Lessons:
    """Windows of several panels, which take turns; a `Task` of `nn.training`.

    The loss of a panel is told as a share of what the network loses there before it learns, so that panels count alike, and a
    validation loss below 1 is better than zero-shot.

    Parameters
    ----------
    panels : each with its horizon and what else decides how its windows are drawn
    patch : periods of a token
    about : simple values that tell this task from others
    """

    def __init__(self, panels: Sequence[tuple[SalesPanel, LessonSettings]], *, patch: int, levels: tuple[float, ...],
                 about: Mapping[str, Any]) -> None:
        self._levels = torch.tensor(levels, dtype=torch.float32)
        self._about = {**about, "panels": [{"sales": p.fingerprint(), **asdict(s)} for p, s in panels]}
        self._seed = panels[0][1].seed
        self._augment = [AugmentSettings(shocks=1.0, shocks_size=s.shocks) if s.shocks else AugmentSettings() for _, s in panels]
        self._shares = np.ones(len(panels))
        with ExitStack() as stack:
            self._lessons = []
            for panel, settings in panels:
                self._lessons.append(_Lesson(panel, settings, patch=patch))
                stack.callback(self._lessons[-1].windows.close)
            for number, lesson in enumerate(self._lessons):
                if not lesson.held_back:
                    raise SettingsError(f"Nothing is known of the sales in the last periods of panel {number + 1}, so nothing can "
                                        f"be validated there. Choose an earlier --cutoff.")
            self._open = stack.pop_all()

    def __len__(self) -> int:
        return len(self._lessons)

    def measure(self, network: nn.Module) -> np.ndarray:
        """float (panels,): loss of a network on what is held back of each panel, in units of the series' scale."""
        device = next(network.parameters()).device
        was, found = network.training, []
        network.eval()
        with torch.no_grad():
            for lesson in self._lessons:
                losses = [float(self._plain(network, b.tensors(str(device)))) for b in lesson.held_back]
                found.append(float(np.average(losses, weights=[_mass(b) for b in lesson.held_back])))
        network.train(was)
        return np.array(found)

    def start_from(self, losses: np.ndarray) -> None:
        """From now on losses are told as shares of these (panels,)."""
        self._shares = 1.0 / np.maximum(losses, 1e-9)

    def batch(self, step: int, part: int) -> Batch:  # noqa: ARG002 -- a step has one part
        """The batch of a step: of one panel, the next in turn."""
        lap, turn = divmod(step, len(self._lessons))
        drawn = self._lessons[turn].windows.batch(lap)
        drawn = augmented(drawn, self._augment[turn], seed=self._seed, step=step, part=0)
        return _turn(drawn, self._shares[turn])

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Pinball loss of a batch of tensors, times its share."""
        assert isinstance(batch, Turn)
        return self._plain(network, batch) * batch.share[0]

    def _plain(self, network: nn.Module, batch: Batch) -> Tensor:
        return total_loss("pinball", batch, network(*batch.inputs()), self._levels.to(batch.truth.device))

    def validation(self) -> list[Batch]:
        """What is held back; shares are such that the mean over batches is the mean over panels of what `measure` says."""
        many = sum(len(lesson.held_back) for lesson in self._lessons)
        found: list[Batch] = []
        for lesson, share in zip(self._lessons, self._shares, strict=True):
            masses = np.array([_mass(b) for b in lesson.held_back])
            each = many / len(self._lessons) * share * masses / masses.sum()
            found += [_turn(b, s) for b, s in zip(lesson.held_back, each, strict=True)]
        return found

    def fingerprint(self) -> Mapping[str, Any]:
        """What tells this task from others."""
        return self._about

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()


def length_of(panel: SalesPanel) -> int:
    """Periods of history, from the first sales of any series to the cutoff."""
    return panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]


def _mass(batch: Batch) -> float:
    """What a batch weighs: known cells, by the weight of their series."""
    return float((np.isfinite(batch.truth) * batch.weight[..., None]).sum())


def _turn(batch: Batch, share: float) -> Turn:
    return Turn(**{f.name: getattr(batch, f.name) for f in fields(Batch)}, share=np.array([share], dtype=np.float32))
