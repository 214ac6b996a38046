"""What is worth trying of each model's settings: the space that tuning searches. Nothing heavy is imported.

Each dimension holds the setting's default, so that a search can begin with it. Settings that say what is asked (seed, horizon,
country) or that change only speed (threads, jobs) are not here.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final

from shelfcast.errors import UnknownNameError


@dataclass(frozen=True)
class Choice:
    """One of some values, in no order; None among them stands for what the model would do by itself."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, in steps."""

    low: int
    high: int
    step: int = 1


@dataclass(frozen=True)
class Real:
    """A number from `low` to `high`; `log`: tried evenly by its logarithm."""

    low: float
    high: float
    log: bool = False


Dimension = Choice | Whole | Real


@dataclass(frozen=True)
class Space:
    """What is tried of one model.

    Attributes
    ----------
    dimensions : {setting: what it may be}
    work : the setting that says how long it learns, where a short training tells already how a long one will do; else None
    """

    dimensions: Mapping[str, Dimension]
    work: str | None = None

    def without(self, fixed: Collection[str]) -> "Space":
        """The space when some settings are given."""
        return Space(MappingProxyType({k: d for k, d in self.dimensions.items() if k not in fixed}), self.work)

    def as_json(self) -> dict[str, Any]:
        """Plain values that tell this space from another."""
        return {"dimensions": {k: {type(d).__name__: asdict(d)} for k, d in self.dimensions.items()}, "work": self.work}


@dataclass(frozen=True)
class _ByUnit:
    """Values by the unit of the frequency, for what is counted in periods; None, the model's own choice, is always among them."""

    values: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def choice(self, unit: str) -> Choice:
        return Choice((None, *self.values.get(unit, ())))


_CONTEXT: Final = _ByUnit({"h": (168, 672), "D": (56, 112, 392), "W": (26, 52, 110), "M": (18, 48), "Q": (8, 24), "Y": (12, 20)})
_PATCH: Final = _ByUnit({"h": (12, 48), "D": (3, 14), "W": (1, 2, 8), "M": (1, 6), "Q": (1, 4), "Y": (2,)})
_SEASON: Final = _ByUnit({"h": (1, 24, 168), "D": (1, 7, 28, 364), "W": (1, 4, 52), "M": (1, 3, 12), "Q": (1, 4), "Y": (1,)})


def _spacetime(unit: str) -> Space:
    return Space({
        "temporal": Choice(("transformer", "lstm", "gru", "mlp", "conv")),
        "spatial": Choice(("attention", "graph", "conv", "none")),
        "fusion": Choice(("gate", "concat", "attention")),
        "width": Whole(32, 128, 32),
        "layers": Whole(1, 4),
        "patch": _PATCH.choice(unit),
        "context": _CONTEXT.choice(unit),
        "steps": Whole(500, 3_000, 250),
        "series": Choice((64, 128, 256, 512)),
        "rate": Real(3e-4, 1e-2, log=True),
        "optimizer": Choice(("adamw", "sgd", "muon")),
        "schedule": Choice(("cosine", "linear", "wsd")),
        "weight_decay": Real(1e-3, 0.5, log=True),
        "dropout": Real(0.0, 0.4),
        "ema": Choice((0.0, 0.98, 0.99, 0.995)),
        "loss": Choice(("pinball", "mse", "poisson", "tweedie", "negative_binomial")),
        "adversarial": Choice(("none", "fgsm")),
        "shocks": Real(0.0, 0.4),
        "events": Real(0.0, 0.3),
        "scaling": Real(0.0, 0.5),
        "mixing": Real(0.0, 0.5),
        "hiding": Real(0.0, 0.3),
    }, work="steps")


def _language(unit: str) -> Space:
    return Space({
        "tune": Choice(("frozen", "lora")),
        "head": Choice(("mlp", "gru")),
        "spatial": Choice(("attention", "none")),
        "patch": _PATCH.choice(unit),
        "context": _CONTEXT.choice(unit),
        "steps": Whole(250, 2_000, 250),
        "series": Choice((32, 64, 128)),
        "dropout": Real(0.0, 0.4),
        "shocks": Real(0.0, 0.4),
    }, work="steps")


def _boosted(unit: str) -> Space:  # noqa: ARG001 (all are called alike)
    return Space({
        "effort": Choice(("fast", "full")),
        "max_rows": Choice((None, 20_000, 40_000, 80_000, 320_000)),
        "max_series": Whole(2_000, 24_000, 2_000),
        "trust": Choice((None, 0.0, 0.5, 0.7, 0.85, 1.0)),
    })


def _profile(unit: str) -> Space:  # noqa: ARG001
    return Space({"max_rows": Whole(20_000, 180_000, 20_000), "max_series": Whole(1_000, 9_000, 1_000)})


def _naive(unit: str) -> Space:
    return Space({"season": _SEASON.choice(unit)})


def _statistical(unit: str) -> Space:
    return Space({"method": Choice(("by_class", "theta", "croston", "tsb", "adida")), "smooth": Choice(("theta", "auto_ets")),
                  "sparse": Choice(("tsb", "croston", "adida")), "context": _CONTEXT.choice(unit)})


def _chronos(unit: str) -> Space:
    return Space({"context": _CONTEXT.choice(unit), "covariates": Choice((True, False))})


def _pretrained(unit: str) -> Space:
    return Space({"context": _CONTEXT.choice(unit)})


def _classical(unit: str) -> Space:
    return Space({"context": _CONTEXT.choice(unit)})


_SPACES: Final[Mapping[str, Callable[[str], Space]]] = MappingProxyType({
    "naive": _naive, "profile": _profile, "boosted": _boosted, "spacetime": _spacetime, "language": _language,
    "pretrained": _pretrained, "chronos": _chronos,
    "statistical": _statistical, "ets": _classical, "theta": _classical, "croston": _classical, "tsb": _classical,
    "adida": _classical,
})


def search_space(model: str, *, unit: str) -> Space:
    """What is tried of a model's settings.

    Parameters
    ----------
    model : a registered name
    unit : of the frequency: h, D, W, M, Q or Y
    """
    if model not in _SPACES:
        raise UnknownNameError("model that can be tuned", model, _SPACES)
    return _SPACES[model](unit)
