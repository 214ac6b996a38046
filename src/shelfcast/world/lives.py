"""Life cycles in periods of any length: launches, novelty, decay, withdrawal, and some that come back."""

import numpy as np

from shelfcast.world.blueprint import LifeCycle
from shelfcast.world.demand import life_cycle


def life_courses(rng: np.random.Generator, rows: int, steps: int, *, per_year: float, new: float = 0.3, gone: float = 0.2,
                 back: float = 0.3) -> np.ndarray:
    """(N, T), share of mature demand by age, as `demand.life_cycle` has it; 0 where not on sale.

    Parameters
    ----------
    per_year : periods in a year
    new, gone : largest shares of the rows that are launched, and withdrawn, within the time
    back : share of the withdrawn that are launched again, if time is left
    """
    day = np.arange(steps, dtype=np.float64)
    course = LifeCycle(ramp=per_year * float(np.exp(rng.uniform(np.log(0.002), np.log(0.2)))), novelty=float(rng.uniform(0.0, 1.5)),
                       novelty_days=per_year * float(rng.uniform(0.02, 0.25)), decay_days=per_year * float(rng.uniform(0.02, 0.8)),
                       decay_to=float(rng.uniform(0.02, 0.9)))
    launched = np.where(rng.random(rows) < rng.uniform(0.02, new), rng.integers(0, max(steps - 3, 1), rows), -1).astype(np.float64)
    last = np.maximum(rng.integers(3, max(steps, 4), rows), launched + 3)
    withdrawn = np.where(rng.random(rows) < rng.uniform(0.0, gone), last, steps + 1.0)
    first = life_cycle(course, day, launched=launched, withdrawn=withdrawn)
    again = np.floor(withdrawn + 2 + rng.random(rows) * 0.6 * per_year)
    returns = (rng.random(rows) < back) & (again < steps)
    second = life_cycle(course, day, launched=again, withdrawn=np.full(rows, steps + 1.0))
    return np.maximum(first, np.where(returns[:, None], second, 0.0))
