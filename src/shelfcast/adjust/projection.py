"""The algebra of reconciliation: base forecasts that do not add up, projected onto those that do, without a large dense matrix.

Base forecasts of K sums u and N bottom series b are to become coherent, u = A b. The generalised least squares answer
(Wickramasuriya, Athanasopoulos and Hyndman 2019, "MinT") is S G y with G = (S' W^-1 S)^-1 S' W^-1, y = (u, b), S = (A; I) and
W the covariance of the base errors. Written over the K constraints instead of the N series, with C = (I, -A), it is

    y - W C' (C W C')^-1 C y,

the same numbers (their theorem 1 and appendix), where C y is how much each sum is apart from the sum of its parts.

W is the shrunk covariance of Schaefer and Strimmer (2005), R* = shrinkage I + (1 - shrinkage) R for the correlations R of T
past errors. R has rank T at most, so W = diag(d) + U U' with U (M, T), and nothing of size M x M or N x N is ever formed:

    C W C' = P + V V',  P = diag(d_u) + A diag(d_b) A',  V = U_u - A U_b.

P is solved directly: the small levels as one dense block, the large ones eliminated first by a sparse factorisation, which costs
little since a level's nodes share no series, so that a large level's own block is diagonal and two nested ones fall into small
pieces. Where they do not (large levels that cross each other everywhere), conjugate gradients solve it. V V' enters by the
Woodbury identity. It is exact, and the result is coherent whatever the solver's precision, since only b is moved and u is summed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from shelfcast.errors import DataError

_BORDER: Final = 2_500  # nodes of the smaller levels that form one dense block: 50 MB, a second to factorise
_PIECES: Final = 3e7  # numbers that the factors of the large levels may hold at most, 240 MB; beyond, conjugate gradients
_CHUNK: Final = 256  # right-hand sides at a time while the large levels are eliminated
_FLOOR: Final = 1e-6  # of the mean variance: no forecast is so sure that it cannot be moved at all
_LEAST: Final = 1e-3  # shrinkage: below it the correlations of many series from few errors would be taken for the truth
_TOLERANCE: Final = 1e-10  # of conjugate gradients, relative to the right-hand side


Linear = Callable[[np.ndarray], np.ndarray]
"""A linear map of the columns of (K, R)."""


@dataclass(frozen=True, eq=False)
class Weights:
    """The covariance W = diag(own) + shared shared' of the base errors of M forecasts, up to a factor.

    Attributes
    ----------
    own : float (M,), > 0: variance of what each does alone
    shared : float (M, T) or None: what they do together
    shrinkage : share of the correlations that was taken away, 0 to 1; 1 leaves a diagonal
    """

    own: np.ndarray
    shared: np.ndarray | None = None
    shrinkage: float = 1.0

    def dense(self) -> np.ndarray:
        """W, (M, M): for small M and for tests."""
        return np.diag(self.own) if self.shared is None else np.diag(self.own) + self.shared @ self.shared.T


def error_variances(errors: np.ndarray) -> np.ndarray:
    """Mean square of past errors (M, T) by row, (M,), units squared; nan is left out.

    None is smaller than a millionth of the mean over rows.
    """
    seen = np.isfinite(errors)
    counts = seen.sum(axis=1)
    square = np.where(seen, errors, 0.0) ** 2
    mean = np.divide(square.sum(axis=1), counts, out=np.full(len(errors), np.nan), where=counts > 0)
    if not np.isfinite(mean).any():
        raise DataError("No past error is known, so there is nothing to weigh the forecasts by.")
    usual = float(np.nanmean(mean))
    mean = np.where(np.isfinite(mean), mean, usual)
    return np.maximum(mean, _FLOOR * usual if usual > 0 else 1.0)


def shrunk_weights(errors: np.ndarray) -> Weights:
    """Covariance with correlations shrunk towards none, from past errors (M, T), units; nan where not known.

    Errors count about nought, not about their mean: a forecast that errs to one side is a worse one. The shrinkage is
    sum_{i != j} Var(r_ij) / sum_{i != j} r_ij^2 (Schaefer and Strimmer 2005, section 2.4), with sums over all M^2 pairs had from
    T x T products: sum_ij r_ij^2 = |Z'Z|^2 / T^2 and sum_ij z_it^2 z_jt^2 = (sum_i z_it^2)^2.
    """
    variances = error_variances(errors)
    periods = errors.shape[1]
    if periods < 3:
        return Weights(variances)
    standard = np.where(np.isfinite(errors), errors, 0.0)
    length = np.sqrt((standard**2).mean(axis=1, keepdims=True))
    standard /= np.where(length > 0, length, 1.0)  # z: rows of mean square 1, or all nought
    gram = standard.T @ standard
    fourth = standard**2
    squares = (gram**2).sum() / periods**2 - (fourth.mean(axis=1) ** 2).sum()  # r_ii is 1, or 0 where nothing erred
    products = (fourth.sum(axis=0) ** 2).sum() - (fourth**2).sum()
    spread = (products - periods * squares) / (periods * (periods - 1))
    shrinkage = 1.0 if squares <= 0 else float(np.clip(spread / squares, _LEAST, 1.0))
    if shrinkage >= 1.0:
        return Weights(variances)
    shared = standard
    shared *= np.sqrt((1 - shrinkage) / periods * variances)[:, None]
    # What a row without errors does not share, it does alone.
    own = np.maximum(variances - (shared**2).sum(axis=1), shrinkage * variances)
    return Weights(own, shared, shrinkage)


@dataclass(frozen=True, eq=False)
class Projection:
    """Moves bottom forecasts so that sums and parts agree best, given `weights`.

    Attributes
    ----------
    upper : A, sparse (K, N)
    weights : of K sums, then N bottom series
    solver : how P is solved: `dense`, `eliminated` or `gradients`
    """

    upper: sparse.csr_array
    weights: Weights
    solver: str
    _solve: Linear = field(repr=False)
    _shared: tuple[np.ndarray, np.ndarray, tuple[np.ndarray, bool]] | None = field(repr=False, default=None)

    @classmethod
    def of(cls, upper: sparse.csr_array, sizes: list[int], weights: Weights) -> "Projection":
        """Factorise once.

        Parameters
        ----------
        upper : A, (K, N), rows level by level
        sizes : nodes of each level, summing to K
        """
        k = upper.shape[0]
        own_u, own_b = weights.own[:k], weights.own[k:]
        scaled = upper @ sparse.diags_array(own_b)
        apart = sparse.csr_array(sparse.diags_array(own_u) + scaled @ upper.T)
        solver, solve = _factorise(apart, sizes)
        if weights.shared is None:
            return cls(upper, weights, solver, solve)
        v = weights.shared[:k] - upper @ weights.shared[k:]
        solved = solve(v)
        inner = linalg.cho_factor(np.eye(v.shape[1]) + v.T @ solved, lower=True)
        return cls(upper, weights, solver, solve, (v, solved, inner))

    def multipliers(self, gaps: np.ndarray) -> np.ndarray:
        """(K, R): x with (C W C') x = gaps."""
        x = self._solve(gaps)
        if self._shared is not None:
            v, solved, inner = self._shared
            x = x - solved @ linalg.cho_solve(inner, v.T @ x)
        return x

    def moves(self, gaps: np.ndarray) -> np.ndarray:
        """What to add to the bottom forecasts, (N, R), for gaps u - A b of R sets of forecasts, (K, R)."""
        return self._spread(self.multipliers(gaps))

    def _spread(self, x: np.ndarray) -> np.ndarray:
        k = self.upper.shape[0]
        moved = self.weights.own[k:, None] * (self.upper.T @ x)
        if self._shared is not None and self.weights.shared is not None:
            moved -= self.weights.shared[k:] @ (self._shared[0].T @ x)
        return moved

    def moves_among(self, gaps: np.ndarray, free: np.ndarray, *, tolerance: float = 1e-7, most: int = 60) -> np.ndarray:
        """As `moves`, where series that are not `free` (bool (N, R)) are taken as known exactly and stay.

        Their variance is nought: rows of d_b and U_b vanish, other ones in each of the R sets. Conjugate gradients solve it, with
        the factors of the whole as a preconditioner: few series are held, so a few steps suffice.
        """
        k = self.upper.shape[0]
        own_u, own_b = self.weights.own[:k, None], np.where(free, self.weights.own[k:, None], 0.0)
        shared = self.weights.shared

        def spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
            down = self.upper.T @ x
            if shared is None:
                return own_b * down, None
            together = shared[:k].T @ x - shared[k:].T @ np.where(free, down, 0.0)
            return own_b * down - np.where(free, shared[k:] @ together, 0.0), together

        def product(x: np.ndarray) -> np.ndarray:
            moved, together = spread(x)
            out = own_u * x + self.upper @ moved
            return out if shared is None or together is None else out + shared[:k] @ together

        return spread(conjugate_gradients(product, gaps, self.multipliers, tolerance=tolerance, most=most))[0]


def conjugate_gradients(product: Linear, right: np.ndarray, precondition: Linear, *, tolerance: float, most: int) -> np.ndarray:
    """X with product(X) = right for R right-hand sides at once, (K, R); each column has its own step lengths.

    Preconditioned conjugate gradients (Hestenes and Stiefel 1952; Saad 2003, algorithm 9.1), until every column's residual is
    below `tolerance` times its right-hand side, or `most` steps.
    """
    x = np.zeros_like(right)
    rest = right.copy()
    target = tolerance * np.linalg.norm(right, axis=0)
    z = precondition(rest)
    direction = z.copy()
    slope = (rest * z).sum(axis=0)
    for _ in range(most):
        if (np.linalg.norm(rest, axis=0) <= target).all():
            break
        image = product(direction)
        curve = (direction * image).sum(axis=0)
        step = np.divide(slope, curve, out=np.zeros_like(slope), where=curve > 0)
        x += step * direction
        rest -= step * image
        z = precondition(rest)
        earlier, slope = slope, (rest * z).sum(axis=0)
        direction = z + np.divide(slope, earlier, out=np.zeros_like(slope), where=earlier > 0) * direction
    return x


def _factorise(matrix: sparse.csr_array, sizes: list[int]) -> tuple[str, Linear]:
    """A way to solve with a sparse, symmetric, positive definite P (K, K) whose rows belong to levels of these sizes."""
    k = matrix.shape[0]
    inside = np.zeros(k, dtype=bool)  # of the dense block
    taken, starts = 0, np.concatenate([[0], np.cumsum(sizes)])
    for i in np.argsort(sizes, kind="stable"):
        if taken + sizes[i] > _BORDER:
            break
        inside[starts[i]: starts[i + 1]] = True
        taken += sizes[i]
    border, large = np.flatnonzero(inside), np.flatnonzero(~inside)
    if not len(large):
        factor = linalg.cho_factor(matrix.toarray(), lower=True, overwrite_a=True)
        return "dense", lambda right: linalg.cho_solve(factor, right)
    block = sparse.csc_array(matrix[large][:, large])
    pieces = np.bincount(connected_components(block, directed=False)[1])
    if float((pieces.astype(float) ** 2).sum()) > _PIECES:
        return "gradients", _by_gradients(matrix)
    lower = splu(block, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    if not len(border):
        return "eliminated", lower.solve
    across = sparse.csc_array(matrix[large][:, border])
    rest = matrix[border][:, border].toarray()
    for start in range(0, len(border), _CHUNK):
        part = slice(start, start + _CHUNK)
        rest[:, part] -= across.T @ lower.solve(across[:, part].toarray())
    factor = linalg.cho_factor((rest + rest.T) / 2, lower=True, overwrite_a=True)

    def solve(right: np.ndarray) -> np.ndarray:
        out = np.empty_like(right)
        first = lower.solve(np.ascontiguousarray(right[large]))
        out[border] = linalg.cho_solve(factor, right[border] - across.T @ first)
        out[large] = first - lower.solve(np.ascontiguousarray(across @ out[border]))
        return out

    return "eliminated", solve


def _by_gradients(matrix: sparse.csr_array) -> Linear:
    diagonal = matrix.diagonal()[:, None]
    return lambda right: conjugate_gradients(lambda x: matrix @ x, right, lambda r: r / diagonal, tolerance=_TOLERANCE, most=1_000)
