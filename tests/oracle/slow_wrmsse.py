"""WRMSSE in plain loops, written from the M5 guide: twelve levels, scales from the first sale on, weights by dollars."""

import numpy as np
import polars as pl

LEVELS = ([], ["state"], ["store"], ["category"], ["department"], ["state", "category"], ["state", "department"],
          ["store", "category"], ["store", "department"], ["item"], ["item", "state"], ["item", "store"])


def slow_wrmsse(names: pl.DataFrame, actual: np.ndarray, point: np.ndarray, past: np.ndarray, prices: np.ndarray) -> float:
    """Series `names` (item, department, category, store, state); prices (N, T) of the past, of which the last 28 count."""
    total = 0.0
    for columns in LEVELS:
        nodes: dict[tuple[str, ...], list[int]] = {}
        for i, row in enumerate(names.iter_rows(named=True)):
            nodes.setdefault(tuple(row[c] for c in columns), []).append(i)
        dollars = {key: sum(float(past[i, t] * prices[i, t]) for i in rows for t in range(past.shape[1] - 28, past.shape[1]))
                   for key, rows in nodes.items()}
        for key, rows in nodes.items():
            sold = [sum(float(past[i, t]) for i in rows) for t in range(past.shape[1])]
            start = next(t for t, s in enumerate(sold) if s != 0)
            steps = [(sold[t] - sold[t - 1]) ** 2 for t in range(start + 1, len(sold))]
            errors = [sum(float(actual[i, h] - point[i, h]) for i in rows) ** 2 for h in range(actual.shape[1])]
            rmsse = ((sum(errors) / len(errors)) / (sum(steps) / len(steps))) ** 0.5
            total += rmsse * dollars[key] / sum(dollars.values()) / 12
    return total
