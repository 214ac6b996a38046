"""Weights and calibration from trials of the past, and the proof of them: what they would have scored where they had not learned.

Scores of the windows that chose the weights flatter them. So each window is left out in turn: weights and calibration are learned
on the others and judged on it (leave-one-out cross-validation, Stone 1974, Journal of the Royal Statistical Society B 36). What is
used in the end learned from all windows; the proof is of the way of learning, with one window less. The last window's proof looks
at earlier windows alone, so it is what would have been forecast then.
"""

from collections.abc import Sequence

import numpy as np

from shelfcast.adjust.calibrate import Calibration, Scored, calibrate, learn_calibration
from shelfcast.adjust.combine import Weights, combine, learn_weights
from shelfcast.adjust.trial import Trial
from shelfcast.forecast import Forecast


def weigh(trials: Sequence[Trial], *, base: str | None, floor: float | None = 0.0, seed: int = 0) -> tuple[Weights, Calibration]:
    """Weights that the trials earned, and the calibration that their combination asks for in the same trials.

    Parameters
    ----------
    base : member believed in without evidence
    floor : units below which nothing lies; None where sales may be negative
    seed : of the draws of cells
    """
    weights = learn_weights(trials, base=base, seed=seed)
    scored = [Scored(combine(t.forecasts, weights, t.classes), t.truth, t.classes) for t in trials]
    return weights, learn_calibration(scored, floor=-np.inf if floor is None else floor, seed=seed)


def left_out(trials: Sequence[Trial], *, base: str | None, believed: Weights, floor: float | None = 0.0,
             seed: int = 0) -> list[Forecast]:
    """The combination of each trial, weighed and calibrated on the others alone.

    Parameters
    ----------
    believed : weights where there is no other, uncalibrated: what would have been forecast before that window
    base, floor, seed : as in `weigh`

    Returns
    -------
    a forecast for each trial, in their order; before any widening for a season that history has not shown
    """
    if len(trials) == 1:
        return [combine(trials[0].forecasts, believed, trials[0].classes)]
    found = []
    for k, one in enumerate(trials):
        others = [t for j, t in enumerate(trials) if j != k]
        weights, calibration = weigh(others, base=base, floor=floor, seed=seed)
        found.append(calibrate(combine(one.forecasts, weights, one.classes), calibration, one.classes, floor=floor))
    return found
