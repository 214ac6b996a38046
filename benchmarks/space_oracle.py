"""How much is there to gain from space? An oracle that knows the law of the demo chain's regional shocks, and their past.

    python benchmarks/space_oracle.py                                   the larger instance, profile in place of the network
    python benchmarks/space_oracle.py --set demo --model boosted
    python benchmarks/space_oracle.py --model spacetime --plain spatial=none --space spatial=attention --append

The oracle is asked for the same forecasts as a network without space. It sees each shock at each place where it has arrived by
the cutoff, day by day and without noise, and knows the law: how a shock travels, fades with distance and dies away, and how speeds,
lifetimes, sizes, origins and starts are drawn. From these follow, exactly, mean and variance of the log shock at every place and
step ahead (`ShockLaw.ahead`). Of noise, seasons and prices it knows no more than the network.

So that both stand on the same ground, the oracle is the network without space itself, trained on sales divided by the true shock
factor up to the cutoff, whose forecast is multiplied by the shock factor that the oracle expects; the quantiles are those of the
product of the two. Dividing first matters: the network sees part of a shock in a place's own sales, and it would be counted twice.

Skill is 1 - loss of the oracle / loss of the network without space. The share that space recovers is
(loss without - loss with space) / (loss without - loss of the oracle); its interval draws series and windows.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from provenance import append_row
from shelfcast.evaluate.contest import MEASURES, Contest, contest_of
from shelfcast.evaluate.resampling import Interval, Resampling, interval_of, part_of, resample, skill_of
from shelfcast.forecast import Forecast
from shelfcast.models.base import Forecaster, Traits
from shelfcast.names import LEVELS, LOCATION, SALES
from shelfcast.panel import PERIOD, SERIES, SalesPanel
from shelfcast.workflow.choosing import make_forecaster
from shelfcast.world.blueprint import ChainSettings, Shocks
from shelfcast.world.chain import live
from shelfcast.world.draws import draw
from shelfcast.world.retailer import between, sizes_of
from shelfcast.world.shocks import distance, travelling_shocks
from space_runs import fitted_on, losses_of, settings_from
from space_sets import SETS, WORLDS

GRID = 400
"""Points at which an unknown speed or lifetime is integrated (midpoint rule)."""


@dataclass(frozen=True)
class Ahead:
    """What the oracle expects; P places, H days.

    Attributes
    ----------
    mean, variance : float (P, H), of the log shock, given what was seen by the cutoff
    """

    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True, eq=False)
class ShockLaw:
    """The shocks of a chain: their law, and those that came. S shocks, P places, T days.

    Attributes
    ----------
    settings : of the shocks: how they are drawn
    away : (P, P), kilometres between places
    days : T, of history and future; shocks start on any of them alike
    origin, start, size, speed, life : (S,), of those that came, as in `Life`; days since the first day of history
    """

    settings: Shocks
    away: np.ndarray
    days: int
    origin: np.ndarray
    start: np.ndarray
    size: np.ndarray
    speed: np.ndarray
    life: np.ndarray

    @classmethod
    def of(cls, settings: ChainSettings) -> Self:
        """From the world that made a chain."""
        life = live(settings, draw(sizes_of(settings), settings.seed))
        away = distance(life.retailer.latitude, life.retailer.longitude)
        return cls(settings.shocks, away, settings.days + settings.horizon, life.shock_origin, life.shock_start, life.shock_size,
                   life.shock_speed, life.shock_life)

    @cached_property
    def field(self) -> np.ndarray:
        """(P, T), the true log shock."""
        return self._course(self.origin, start=self.start, size=self.size, speed=self.speed, life=self.life,
                            days=self.days).sum(0)

    def _course(self, origin: np.ndarray, *, start: np.ndarray, size: np.ndarray, speed: np.ndarray, life: np.ndarray,
                days: int) -> np.ndarray:
        """(S, P, days), by the world's own mechanism."""
        return np.asarray(travelling_shocks(self.away[origin], days, start=start, size=size, speed=speed, life=life,
                                            reach=self.settings.reach, rise=self.settings.rise))

    def ahead(self, cutoff: int, horizon: int) -> Ahead:
        """Mean and variance of the log shock on the `horizon` days after day `cutoff`, given all until then.

        A shock is seen from the day after its start, at its origin. Three things can be unknown of one that is seen. Its speed,
        until it has reached a second place: until then every speed with which it would not have got there is as likely as another,
        and afterwards it is known, for the oracle sees when the shock arrived. Its lifetime and size, on its first day, for one
        value was seen and two are sought; from the second day on they follow from two values. Shocks not seen by the cutoff may
        have started on it or will start after it, on any day alike, of either sign: their mean is 0, their variance is not.
        Shocks are independent, so means and variances add up.
        """
        mean, variance = (np.zeros((len(self.away), horizon)) for _ in range(2))
        seen = np.flatnonzero(self.start < cutoff)
        for k in seen:
            one = self._seen(int(k), cutoff, horizon)
            mean, variance = mean + one.mean, variance + one.variance
        return Ahead(mean, variance + (len(self.start) - len(seen)) * self._unseen(cutoff, horizon))

    def _seen(self, k: int, cutoff: int, horizon: int) -> Ahead:
        """Of one shock that has been felt at its origin."""
        since = cutoff - self.start[k]
        speed, weight = self._speeds(k, since)
        life, size = np.full(len(speed), self.life[k]), np.full(len(speed), self.size[k])
        if since < 2:
            lives, sizes, likely = self._lives(k, since)
            speed, weight = np.tile(speed, len(lives)), np.outer(likely, weight).ravel()
            life, size = (np.repeat(one, len(weight) // len(lives)) for one in (lives, sizes))
        origin = np.full(len(speed), self.origin[k])
        start = np.full(len(speed), self.start[k] - cutoff - 1.0)
        course = self._course(origin, start=start, size=size, speed=speed, life=life, days=horizon)
        mean = np.einsum("k,kph->ph", weight, course)
        return Ahead(mean, np.clip(np.einsum("k,kph->ph", weight, course**2) - mean**2, 0.0, None))

    def _speeds(self, k: int, since: float) -> tuple[np.ndarray, np.ndarray]:
        """Speeds that agree with what was seen of a shock `since` days after its start, and their probabilities."""
        others = self.away[self.origin[k]]
        others = others[others > 0]
        if (others / self.speed[k] < since).any():
            return self.speed[k:k + 1], np.ones(1)
        low, high = self.settings.speed
        if len(others):
            high = min(high, float(others.min()) / since)
        return between((low, high), _midpoints(GRID)), np.full(GRID, 1 / GRID)

    def _lives(self, k: int, since: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lifetimes and sizes that agree with the one value seen at the origin, and their probabilities.

        value = size c(life); density of (life, value) = density of size at value / c(life), over c(life): a change of variables.
        """
        lives = between(self.settings.life, _midpoints(GRID // 4))
        course = travelling_shocks(np.zeros((len(lives) + 1, 1)), 1, start=np.full(len(lives) + 1, -since),
                                   size=np.append(np.ones(len(lives)), self.size[k]), speed=np.ones(len(lives) + 1),
                                   life=np.append(lives, self.life[k]), reach=self.settings.reach, rise=self.settings.rise)[:, 0, 0]
        sizes = course[-1] / course[:-1]
        likely = np.exp(-0.5 * (sizes / self.settings.size) ** 2) / course[:-1]
        return lives, sizes, likely / likely.sum()

    def _unseen(self, cutoff: int, horizon: int) -> np.ndarray:
        """(P, H), variance of the log shock of one shock that has not been felt by the cutoff.

        It starts on the cutoff or on a later day; origins, speeds and lifetimes as they are drawn; the size has mean 0.
        """
        coming = self.days - cutoff
        speed, life = (axis.ravel() for axis in np.meshgrid(between(self.settings.speed, _midpoints(12)),
                                                            between(self.settings.life, _midpoints(6))))
        count, total = len(speed), np.zeros((len(self.away), horizon))
        for origin in range(len(self.away)):
            # One that starts `d` days later is felt `d` days later: each start is the first one, moved.
            course = self._course(np.full(count, origin), start=np.full(count, -1.0), size=np.ones(count), speed=speed, life=life,
                                  days=horizon)
            square = (course**2).mean(0)
            total += np.cumsum(square, axis=1)
        return total * self.settings.size**2 / (coming * len(self.away))


def _midpoints(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count


class Oracle:
    """A model that is told the true shocks up to the panel's cutoff, and their law.

    Parameters
    ----------
    base : forecasts what is left once the shocks are divided out; made, not yet fitted
    law : of the shocks of the chain that the panel came from
    first : period number of the chain's first period
    length : days of a period: 1, or 7. The factor of a week is the mean of those of its days
    places : (P,), the chain's places in the order of the law
    """

    def __init__(self, base: Forecaster, law: ShockLaw, *, first: int, length: int, places: Sequence[str]) -> None:
        self.base, self.law, self.first, self.length, self.places = base, law, first, length, list(places)
        self.traits: Traits = replace(base.traits, name="oracle")

    def _by_period(self, daily: np.ndarray) -> np.ndarray:
        """(P, days) to (P, periods), means."""
        return np.asarray(daily.reshape(len(daily), -1, self.length).mean(axis=2))

    def fit(self, panel: SalesPanel) -> Self:
        """Let the base learn from sales without shocks."""
        self.base.fit(self.without_shocks(panel))
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """The base's forecast of sales without shocks, times the shocks that the law lets expect."""
        calm = self.base.predict(self.without_shocks(panel), horizon=horizon, levels=levels)
        ahead = self.law.ahead((panel.cutoff - self.first + 1) * self.length - 1, horizon * self.length)
        at = np.array([self.places.index(name) for name in panel.series[LOCATION]])
        mean = np.log(self._by_period(np.exp(ahead.mean)))[at]
        variance = self._by_period(ahead.variance)[at]  # days of a week share their shocks
        return replace(calm, mean=calm.mean * np.exp(mean + variance / 2),
                       quantiles=times_lognormal(calm.quantiles, calm.levels, mean, variance))

    def without_shocks(self, panel: SalesPanel) -> SalesPanel:
        """The panel with its sales divided by the true shock factor of their place and day; later shocks are not looked at."""
        periods = panel.cutoff - self.first + 1
        factor = self._by_period(np.exp(self.law.field[:, :periods * self.length]))
        place = pl.DataFrame({LOCATION: self.places, "place": np.arange(len(self.places))})
        of_series = panel.series.select(LOCATION).join(place, on=LOCATION, how="left", maintain_order="left")["place"].to_numpy()
        rows = panel.rows
        past = (rows[PERIOD] <= panel.cutoff).to_numpy()
        by = np.ones(rows.height)
        by[past] = factor[of_series[rows[SERIES].to_numpy()[past]], rows[PERIOD].to_numpy()[past] - self.first]
        return replace(panel, rows=rows.with_columns((pl.col(SALES) / pl.Series(by)).alias(SALES)))

    def save(self, folder: Path) -> None:
        """An oracle is for measuring alone."""
        raise TypeError(f"An oracle is not saved, so nothing was written into {folder.name!r}.")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """An oracle is for measuring alone."""
        raise TypeError(f"An oracle is not saved, so {folder.name!r} holds none.")


def times_lognormal(quantiles: np.ndarray, levels: Sequence[float], mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Quantiles of X exp(Z) from those of X, with Z ~ N(mean, variance) independent of X: (N, H, Q) to (N, H, Q).

    X is taken as 199 equally likely points of its quantile function (straight between the levels, flat beyond them), Z as the five
    points of a Gauss-Hermite rule; the product's quantiles are read from its points in order. Where the variance is nothing, the
    quantiles are multiplied and no more; so is a single level.
    """
    at = np.asarray(levels, dtype=float)
    shifted = quantiles * np.exp(mean)[:, :, None]
    wide = variance > 1e-8
    if not wide.any() or len(at) < 2:
        return np.asarray(shifted)
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    fine = _midpoints(199)
    here = shifted[wide]
    upper = np.clip(np.searchsorted(at, fine), 1, len(at) - 1)
    share = np.clip((fine - at[upper - 1]) / (at[upper] - at[upper - 1]), 0.0, 1.0)
    points = here[:, upper - 1] + share * (here[:, upper] - here[:, upper - 1])
    products = (points[:, :, None] * np.exp(np.sqrt(variance[wide])[:, None, None] * nodes)).reshape(len(here), -1)
    mass = np.broadcast_to(weights / len(fine), (len(fine), len(nodes))).ravel()
    order = np.argsort(products, axis=1)
    below = np.cumsum(mass[order], axis=1) - mass[order] / 2
    products = np.take_along_axis(products, order, axis=1)
    out = np.array(shifted)
    made = np.stack([_read(below, products, q) for q in at], axis=1)
    # Only the widening is taken from the points, so that what they blur of X itself leaves no trace.
    still = np.stack([np.quantile(points, q, axis=1, method="hazen") for q in at], axis=1)
    out[wide] = np.maximum.accumulate(np.maximum(here + made - still, 0.0), axis=1)
    return out


def _read(below: np.ndarray, values: np.ndarray, level: float) -> np.ndarray:
    """(N,), the value at which each row's cumulative probability reaches the level, straight between points."""
    at = np.clip((below < level).sum(axis=1), 1, below.shape[1] - 1)[:, None]
    low, high = (np.take_along_axis(below, at - 1, 1), np.take_along_axis(below, at, 1))
    share = np.clip((level - low) / (high - low), 0.0, 1.0)
    left, right = np.take_along_axis(values, at - 1, 1), np.take_along_axis(values, at, 1)
    return np.asarray((left + share * (right - left))[:, 0])


def oracle_on(name: str, model: str, options: Mapping[str, object], *, seed: int = 0) -> Oracle:
    """The oracle of a simulated set, over a registered model."""
    one, settings = SETS[name](), WORLDS[name][0]
    base, _ = make_forecaster(model, one.first, horizon=one.horizon, seed=seed, options=options)
    frequency, places = one.panel.frequency, one.panel.places
    assert places is not None
    length = 7 if str(frequency).startswith("W") else 1
    return Oracle(base, ShockLaw.of(settings), first=frequency.number(settings.first), length=length,
                  places=places[LOCATION].to_list()).fit(one.first)


def share_recovered(contest: Contest, measure_name: str) -> tuple[Interval, Interval]:
    """The oracle's skill over the model without space, and the share of it that the model with space recovers.

    Parameters
    ----------
    contest : the models in the order plain, oracle, space. Places are drawn with all their items, since a shock meets them
        together, and windows two by two, since a shock outlives a window
    """
    settings = Resampling(block=2)
    by = MEASURES[measure_name]
    clusters = contest.clusters(LOCATION)
    assert clusters is not None
    part = part_of(contest.numerator(by), contest.denominator(by), clusters=clusters)
    found = resample([part], units=int(clusters.max()) + 1, settings=settings)[0]

    def share(scores: np.ndarray) -> np.ndarray:
        gain = scores[..., 0] - scores[..., 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(gain != 0, (scores[..., 0] - scores[..., 2]) / gain, np.nan)
    return skill_of(found, 1, 0, settings), interval_of(found, share, settings)


def bar(name: str, model: str, *, plain: Mapping[str, object], space: Mapping[str, object] | None, seed: int = 0,
        say: bool = False) -> list[dict[str, object]]:
    """The oracle's skill and the share recovered, by SQL and by WQL: a row each.

    Parameters
    ----------
    plain, space : settings of the model without and with space; without the latter there is no share
    """
    one, tables = SETS[name](), []
    contenders = {"plain": lambda: fitted_on(one, model, plain, seed=seed),
                  "oracle": lambda: oracle_on(name, model, plain, seed=seed)}
    if space is not None:
        contenders["space"] = lambda: fitted_on(one, model, space, seed=seed)
    for role, fit in contenders.items():
        began = time.perf_counter()
        fitted = fit()
        tables.append(losses_of(one, fitted, role))
        if say:
            print(f"  {role}: {time.perf_counter() - began:.0f} s", flush=True)
    roles = [*contenders, *(["space"] if space is None else [])]
    losses = pl.concat(tables if space is not None else [*tables, tables[0].with_columns(pl.lit("space").alias("model"))])
    contest = contest_of(losses, roles)
    rows = []
    for measure_name in ("SQL", "WQL"):
        skill, share = share_recovered(contest, measure_name)
        by = MEASURES[measure_name]
        scores = contest.numerator(by).sum(axis=2) / contest.denominator(by).sum(axis=1)
        row: dict[str, object] = {"set": name, "model": model, "seed": seed, "measure": measure_name}
        row |= {role: round(float(scores[roles.index(role)].mean()), 5) for role in ("plain", "oracle", "space")}
        row |= {"skill": round(skill.value, 4), "skill_low": round(skill.low, 4), "skill_high": round(skill.high, 4)}
        nothing = space is None
        row |= {"share": None if nothing else round(share.value, 3), "share_low": None if nothing else round(share.low, 3),
                "share_high": None if nothing else round(share.high, 3)}
        rows.append(row)
    return rows


def main() -> None:
    """Measure and print; append rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="chain", choices=list(WORLDS))
    parser.add_argument("--model", default="profile")
    parser.add_argument("--plain", default="", help="settings of the model without space: name=value,name=value")
    parser.add_argument("--space", default=None, help="settings of the model with space")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--append", action="store_true")
    asked = parser.parse_args()
    space = None if asked.space is None else settings_from(asked.space, asked.model)
    for row in bar(asked.set, asked.model, plain=settings_from(asked.plain, asked.model), space=space, seed=asked.seed, say=True):
        print("  ".join(f"{k} {v}" for k, v in row.items() if v is not None), flush=True)
        if asked.append:
            append_row("space_oracle", row)


if __name__ == "__main__":
    main()
