"""Series that are not retail, so that the network learns what a series can be: smooth, wandering, switching, stepping, spiking.

Sums of random Fourier features stand for draws from Gaussian processes (Rahimi and Recht 2007), which cost far more; compositions
of trend, season and noise follow ForecastPFN (Dooley et al. 2023), mixtures of kernels KernelSynth (Ansari et al. 2024).
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from shelfcast.names import ALL
from shelfcast.periods import Frequency
from shelfcast.world.dice import Dice
from shelfcast.world.ledger import Covariate, Ledger, names_of
from shelfcast.world.patterns import draw_first, draw_week, memory
from shelfcast.world.surroundings import irrelevant

_SEASONS: Final = {"D": (7.0, 365.25), "W": (52.18, 26.09), "M": (12.0, 6.0), "h": (24.0, 168.0)}  # periods


def draw_generic(dice: Dice) -> Ledger:
    """128 to 300 series, each a sum or a product of two to four courses; they share some of them."""
    rng = dice.stream("sizes")
    unit = str(rng.choice(["D", "W", "M", "h"], p=[0.45, 0.3, 0.15, 0.1]))
    low, high = {"D": (200, 1101), "W": (80, 261), "M": (24, 121), "h": (500, 1501)}[unit]
    n, steps = int(rng.integers(128, 301)), int(rng.integers(low, high))
    anchor, first = 0, draw_first(rng, {"D": 1, "W": 7, "M": 31, "h": 1}[unit] * steps)
    if unit == "W":
        first, _, anchor = draw_week(rng, steps)
    elif unit == "M":
        first = 12 * 1970 + first // 31
    elif unit == "h":
        first = 24 * first
    rng = dice.stream("generic")
    values = np.zeros((n, steps))
    if dice.on("common_courses", 0.6):
        for i in range(2):
            values += dice.stream(f"share {i}").standard_normal((n, 1)) * _course(dice, f"common {i}", 1, steps, unit)
    for i in range(int(rng.integers(2, 5))):
        own = _course(dice, f"own {i}", n, steps, unit) * rng.uniform(0.0, 1.5, (n, 1))
        values = values * np.exp(0.3 * own) if i and rng.random() < 0.25 else values + own
    spread = np.maximum(values.std(axis=1, keepdims=True), 1e-6)
    values = values / spread + np.exp(rng.uniform(np.log(0.01), np.log(0.7), (n, 1))) * rng.standard_normal((n, steps))
    known: dict[str, Covariate] = {}
    if dice.on("drivers", 0.4):
        r = dice.stream("drivers")
        driver = memory(r, (1, steps), 0.9) if r.random() < 0.5 else (r.random((1, steps)) < 0.15).astype(np.float64)
        values = values + r.uniform(0.3, 1.5) * r.standard_normal((n, 1)) * driver
        known["driver"] = np.round(driver[0], 3)
    form = rng.random()
    if form < 0.4:
        values = np.exp(np.clip(rng.uniform(0.1, 0.8) * values, -8.0, 6.0))
    else:
        values = np.maximum(values - np.quantile(values, 0.005, axis=1, keepdims=True) + rng.exponential(2.0, (n, 1)), 0.0)
    sold = np.round(values * np.exp(rng.uniform(0.0, 7.0)), 3)
    row = np.ones((n, steps), dtype=bool)
    if dice.on("gaps", 0.25):
        row &= dice.stream("gaps").random((n, steps)) >= 0.01
    if dice.on("irrelevant", 0.4):
        known |= irrelevant(dice.stream("irrelevant"), n, steps)
    return Ledger(frequency=Frequency(unit, anchor), first=first, items=(ALL,), places=names_of("X", n),
                  item_of=np.zeros(n, dtype=int), place_of=np.arange(n), sold=sold, truth=np.where(row, sold, np.nan), row=row,
                  known=known)


def _course(dice: Dice, name: str, rows: int, steps: int, unit: str) -> np.ndarray:
    """(N, T), of one kind, standardised."""
    rng = dice.stream(name)
    kind = str(rng.choice([*_COURSES, "season", "season"]))  # seasons are twice as frequent as each of the others
    if not dice.on(kind, 1.0):
        return np.zeros((rows, steps))
    values = _season(rng, rows, steps, unit) if kind == "season" else _COURSES[kind](rng, rows, steps)
    return (values - values.mean(axis=1, keepdims=True)) / np.maximum(values.std(axis=1, keepdims=True), 1e-6)


def _smooth(rng: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    """Random Fourier features: frequencies of a Gaussian kernel, or of a Cauchy law for rougher courses."""
    features = 12
    scale = steps * np.exp(rng.uniform(np.log(0.02), np.log(0.5), (rows, 1)))
    draws = rng.standard_normal((rows, features)) if rng.random() < 0.5 else 0.3 * rng.standard_cauchy((rows, features))
    out = np.zeros((rows, steps))
    time = np.arange(steps)
    for k in range(features):
        out += np.cos(np.clip(draws[:, k:k + 1] / scale, -3.0, 3.0) * time + 2 * np.pi * rng.random((rows, 1)))
    return out


def _season(rng: np.random.Generator, rows: int, steps: int, unit: str) -> np.ndarray:
    """A shape that returns: harmonics of one of the frequency's seasons, or of any other length."""
    periods = _SEASONS[unit]
    length = periods[int(rng.integers(len(periods)))] if rng.random() < 0.8 else float(np.exp(rng.uniform(1.0, np.log(steps / 2))))
    out, angle = np.zeros((rows, steps)), 2 * np.pi * np.arange(steps) / length
    for k in range(1, 6):
        out += np.exp(rng.normal(-0.6 * k, 0.6, (rows, 1))) * np.cos(k * angle - 2 * np.pi * rng.random((rows, 1)))
    return out * np.exp(rng.uniform(-1.0, 1.0, (rows, 1)) * np.arange(steps) / steps)


def _walk(rng: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    return np.cumsum(rng.standard_normal((rows, steps)) + rng.normal(0.0, 0.05, (rows, 1)), axis=1)


def _memory(rng: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    return memory(rng, (rows, steps), float(rng.uniform(0.3, 0.99)))


def _trend(rng: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    time = np.arange(steps) / steps
    bend = rng.random((rows, 1))
    straight = rng.standard_normal((rows, 1)) * time
    return straight + rng.standard_normal((rows, 1)) * np.clip(time - bend, 0.0, None) ** rng.uniform(1.0, 2.0)


def _switching(rng: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    """Two states with a level and a spread each, and rare changes between them."""
    change = rng.random((rows, steps)) < rng.uniform(1.0, 8.0) / steps
    state = (np.cumsum(change, axis=1) + rng.integers(0, 2, (rows, 1))) % 2
    return state * rng.normal(0.0, 2.0, (rows, 1)) + (0.2 + state * rng.random((rows, 1))) * rng.standard_normal((rows, steps))


def _steps(rng: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    jumps = rng.standard_normal((rows, steps)) * (rng.random((rows, steps)) < rng.uniform(1.0, 6.0) / steps)
    return np.cumsum(jumps, axis=1)


def _sawtooth(rng: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    length = np.exp(rng.uniform(np.log(4.0), np.log(max(5.0, steps / 3)), (rows, 1)))
    return ((np.arange(steps) + length * rng.random((rows, 1))) % length) / length * rng.choice([-1.0, 1.0], (rows, 1))


def _spikes(rng: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    """Spikes, by chance or in a rhythm, that die away at once or slowly."""
    if rng.random() < 0.5:
        hit = rng.random((rows, steps)) < rng.uniform(0.005, 0.05)
    else:
        every = rng.integers(5, max(6, steps // 4), (rows, 1))
        hit = (np.arange(steps) + rng.integers(0, 1000, (rows, 1))) % every == 0
    out = hit * rng.exponential(1.0, (rows, steps))
    for lag in (1, 2, 3):
        out[:, lag:] += rng.uniform(0.0, 0.6) ** lag * (hit[:, :-lag] * 1.0)
    return out


_COURSES: Final[dict[str, Callable[[np.random.Generator, int, int], np.ndarray]]] = {
    "smooth": _smooth, "walk": _walk, "autoregression": _memory, "straight": _trend, "switching": _switching,
    "steps": _steps, "sawtooth": _sawtooth, "spikes": _spikes}
