"""Does pretraining work here? A toy network, two minutes on the processor: a falling loss, and skill over seasonal naive.

    python benchmarks/pretrain_check.py [STEPS]

Trains the size `toy` on simulated retailers for so many STEPS (150), then forecasts simulated retailers that it has not seen,
beside the seasonal naive forecast and the closed-form profile from which the network starts. Ends with 1 where the loss did not
fall, or the skill over the naive forecast is not above zero. The losses of training are in a unit of each retailer's own
(`models.worlds.closed_form_loss`): that they fall means something, that they are below 1 does not.
"""

import sys
import tempfile
from itertools import count
from pathlib import Path

import numpy as np

from shelfcast.data.split import cut
from shelfcast.models.base import Forecaster
from shelfcast.models.naive import NaiveSettings, SeasonalNaive
from shelfcast.models.pretrained import Pretrained, PretrainedSettings
from shelfcast.models.pretraining import PretrainSettings, pretrain
from shelfcast.models.profile import Profile, ProfileSettings
from shelfcast.names import LEVELS
from shelfcast.world.prior import REGIMES, draw_world

STEPS = 150  # some two minutes on two cores
UNSEEN = 7 * 10**8  # seeds of worlds from here on are not learned from here
HORIZONS = {"h": 24, "D": 28, "W": 13, "M": 6}


def scaled_loss(truth: np.ndarray, quantiles: np.ndarray, past: np.ndarray, season: int) -> float:
    """Mean scaled quantile loss of the series whose past changes at all."""
    levels = np.array(LEVELS)
    pinball = 2 * np.where(truth[..., None] >= quantiles, levels * (truth[..., None] - quantiles),
                           (1 - levels) * (quantiles - truth[..., None])).mean(axis=2)
    change = np.abs(past[:, season:] - past[:, :-season])
    known = np.isfinite(change).sum(axis=1)
    scale = np.where(known > 0, np.nansum(change, axis=1) / np.maximum(known, 1), np.nan)
    with np.errstate(invalid="ignore"):
        each = np.nanmean(pinball, axis=1) / np.where(scale > 0, scale, np.nan)
    return float(np.nanmean(np.minimum(each, 20.0)))


def losses(weights: Path, regime: str, seed: int) -> dict[str, float]:
    """Loss of each model on the last horizon of one unseen world, the first from `seed` on whose books have no gaps there."""
    for number in count(seed, step=100):
        world = draw_world(number, regime=regime)
        horizon = HORIZONS[world.panel.frequency.unit]
        past = cut(world.panel, world.panel.cutoff - horizon)
        if all(past.given(name, horizon).all() for name, kind in past.covariates.items() if kind == "known"):
            break
    whole = {tuple(k): i for i, k in enumerate(world.panel.series.select("item", "location").rows())}
    at = np.array([whole[tuple(k)] for k in past.series.select("item", "location").rows()])
    truth = world.truth[at, -horizon:]
    models: dict[str, Forecaster] = {
        "pretrained": Pretrained(PretrainedSettings(weights=str(weights), horizon=horizon)),
        "profile": Profile(ProfileSettings(horizon=horizon)), "naive": SeasonalNaive(NaiveSettings())}
    season = {"h": 24, "D": 7}.get(world.panel.frequency.unit, 1)
    sales = past.dense().sales
    return {name: scaled_loss(truth, model.fit(past).predict(past, horizon=horizon).quantiles, sales, season)
            for name, model in models.items()}


def main() -> int:
    """Train, tell the loss, compare; 1 where it does not work."""
    settings = PretrainSettings(size="toy", steps=int(sys.argv[1]) if len(sys.argv) > 1 else STEPS, series=64, worlds=1)
    with tempfile.TemporaryDirectory() as scratch, np.errstate(all="ignore"):
        folder = Path(scratch) / "toy"
        made = pretrain(folder, settings)
        history = made.trained.history
        print(f"{made.parameters:,} parameters, {made.trained.steps:,} steps")
        for row in history:
            print(f"  step {row.step:5,}  loss {row.loss:.4f}  validation {row.validation:.4f}")
        found = {regime: losses(folder, regime, UNSEEN + k) for k, regime in enumerate(REGIMES)}
    print(f"{'regime':15s}  pretrained  profile    naive   (mean scaled quantile loss, unseen worlds)")
    for regime, row in found.items():
        print(f"{regime:15s}  {row['pretrained']:10.4f}  {row['profile']:7.4f}  {row['naive']:7.4f}")
    skill = 1 - np.exp(np.mean([np.log(row["pretrained"] / row["naive"]) for row in found.values()]))
    fell = history[-1].validation < history[0].validation
    print(f"skill over seasonal naive {skill:.1%}; validation loss {history[0].validation:.4f} to {history[-1].validation:.4f}")
    return 0 if fell and skill > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
