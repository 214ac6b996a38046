"""Reconciliation by the textbook: dense matrices, loops over pairs. Slow and short, to be right."""

import numpy as np


def dense_weights(errors, shrinkage):
    """W of Schaefer and Strimmer: diagonal kept, correlations shrunk; errors count about nought; nan counts nothing."""
    seen = np.where(np.isfinite(errors), errors, 0.0)
    variance = np.array([np.mean(row[np.isfinite(row)] ** 2) for row in errors])
    unit = seen / np.sqrt((seen**2).mean(axis=1, keepdims=True))
    correlation = unit @ unit.T / errors.shape[1]
    mixed = shrinkage * np.eye(len(errors)) + (1 - shrinkage) * correlation
    return np.sqrt(np.outer(variance, variance)) * mixed


def shrinkage_of(errors):
    """sum of Var(r_ij) over sum of r_ij^2, pair by pair."""
    periods = errors.shape[1]
    unit = errors / np.sqrt((errors**2).mean(axis=1, keepdims=True))
    above = below = 0.0
    for i in range(len(errors)):
        for j in range(len(errors)):
            if i != j:
                product = unit[i] * unit[j]
                above += ((product - product.mean()) ** 2).sum() / (periods * (periods - 1))
                below += product.mean() ** 2
    return min(1.0, above / below)


def project(summing, covariance, base):
    """S G y with G = (S' W^-1 S)^-1 S' W^-1."""
    inverse = np.linalg.inv(covariance)
    return summing @ np.linalg.solve(summing.T @ inverse @ summing, summing.T @ inverse @ base)
