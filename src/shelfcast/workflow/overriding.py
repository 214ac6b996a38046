"""Planners' overrides on the way from a model's forecast to the one that is planned with; both are kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from shelfcast.adjust.moving import Shapes
from shelfcast.adjust.override import Moves, decide_moves
from shelfcast.adjust.override_table import ROW, Overrides, read_overrides
from shelfcast.operate.batches import ForecastBatches
from shelfcast.operate.runs import harmless_csv
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, stage
from shelfcast.settings import BacktestSettings, ForecastSettings
from shelfcast.workflow.preparing import Prepared, Say

OVERRIDDEN: Final = "overridden.parquet"
_AUTHORS: Final = 8  # named on a page
_SLICE: Final = 16_384  # series of the ledger written at a time


@dataclass(frozen=True)
class Planned:
    """What is planned with: the model's batches as they are, or moved; `moves` is None when nothing was asked for."""

    batches: ForecastBatches
    moves: Moves | None = None

    def write(self, folder: Path) -> None:
        """Keep the overridden forecast, the overrides and the ledger in a run folder."""
        if self.moves is None:
            return
        self.batches.write(folder / OVERRIDDEN)
        harmless_csv(self.moves.overrides.table.drop(ROW)).write_csv(folder / "overrides.csv")
        with (folder / "ledger.csv").open("wb") as out:
            for start in range(0, self.moves.series.height, _SLICE):
                part = self.moves.ledger(slice(start, start + _SLICE))
                harmless_csv(part).write_csv(out, include_header=start == 0)

    def lines(self) -> dict[str, str]:
        """What a page says of the overrides in it; nothing when there are none."""
        if self.moves is None:
            return {}
        by = [f"{one['who']} {one['periods']:,} periods, {one['up']:,.0f} units more, {one['down']:,.0f} less"
              for one in self.moves.by_author().head(_AUTHORS).to_dicts()]
        return {"overrides": "; ".join(by) or "given, but none stands in this forecast"}

    def summary(self) -> dict[str, Any] | None:
        """Who moved how much, as plain values; None when nothing was asked for."""
        if self.moves is None:
            return None
        by = self.moves.by_author().to_dicts()
        return {"given": len(self.moves.overrides), "standing": sum(one["overrides"] for one in by),
                "periods": sum(one["periods"] for one in by), "up": sum(one["up"] for one in by),
                "down": sum(one["down"] for one in by), "by": by, "told": list(self.moves.told)}


def asked_overrides(settings: ForecastSettings | BacktestSettings) -> Overrides | None:
    """The overrides that were asked for, read and checked; None when none were."""
    return None if settings.overrides is None else read_overrides(settings.overrides)


def check_overrides(overrides: Overrides | None, panel: SalesPanel) -> None:
    """Refuse names that the whole panel does not have; a withdrawn series is no mistake, it only has no forecast."""
    if overrides is not None:
        overrides.check_names(panel.series, items=panel.items, places=panel.places)


@contextmanager
def overriding(batches: ForecastBatches, overrides: Overrides | None, prepared: Prepared, *, say: Say,
               progress: Progress) -> Iterator[Planned]:
    """Move a forecast that lies in batches: once through them for the means that totals are shared by, once to move them."""
    if overrides is None:
        yield Planned(batches)
        return
    panel = prepared.panel
    with stage(progress, "overriding", 2 * len(panel)) as bar, ForecastBatches() as moved:
        moves = _decide(batches, overrides, prepared, bar)
        first = 0
        for part in batches.parts(panel.frequency):
            moved.add(moves.on(part, first=first))
            first += len(part)
            bar.advance(len(part))
        for sentence in moves.told:
            say(sentence)
        yield Planned(moved, moves)


def _decide(batches: ForecastBatches, overrides: Overrides, prepared: Prepared, bar: Progress) -> Moves:
    panel: SalesPanel = prepared.panel
    means, shapes = [], None
    for part in batches.parts(panel.frequency):
        means.append(np.array(part.mean))
        shapes = Shapes.of(part) if shapes is None else shapes + Shapes.of(part)
        bar.advance(len(part))
    assert shapes is not None, "a panel has at least one series"
    return decide_moves(panel.series, np.concatenate(means), overrides, frequency=panel.frequency, cutoff=panel.cutoff,
                        shapes=shapes, items=panel.items, places=panel.places, known=prepared.cleaned.panel.series)
