"""How windows are counted when networks are trained beside each other, and what is said of two of them."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
torch = pytest.importorskip("torch")


@pytest.fixture
def equal(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of equal terms, found as the peers find it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "peers"))
    yield importlib.import_module("equal")


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program that trains them side by side."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "peers"))
    before = list(sys.path)
    yield importlib.import_module("networks")
    sys.path[:] = before


def test_windows_are_counted_in_training_alone_and_of_the_network_alone(equal):
    class Inside(torch.nn.Linear):
        pass

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = Inside(2, 1)

        def forward(self, x):
            return self.inside(x)

    network = Network()
    with equal.Steps(Network, lambda given: len(given[0])) as steps:
        for size in (3, 5, 7, 9, 11):
            network(torch.zeros(size, 2))
        network.eval()
        network(torch.zeros(100, 2))
    network.train()
    network(torch.zeros(100, 2))
    assert steps.counts == [3, 5, 7, 9, 11]


def test_windows_a_second_are_those_between_two_forwards_after_the_first_ones(equal):
    steps = equal.Steps(torch.nn.Module, lambda given: 0)
    steps.at, steps.counts = [0.0, 10.0, 20.0, 21.0, 22.0], [1, 1, 30, 50, 1000]  # the last step's end was not seen
    assert equal.WARM == 2
    assert steps.a_second == 40.0
    assert steps.a_step == 1.0


def test_a_peer_is_set_beside_the_network_of_ours_that_it_equals(networks):
    def row(beside, peer, model, sql, speed):
        return {"task": "t", "window": 1, "beside": beside, "set": "", "peer": peer, "model": model, "SQL": sql, "WQL": sql / 4,
                "windows_per_second": speed}

    rows = [row("transformer", "ours", "transformer", 0.8, 300.0), row("transformer", "neuralforecast", "tft", 1.0, 100.0),
            row("transformer", "neuralforecast", "patchtst", 1.6, 150.0),
            row("mlp", "ours", "mlp", 0.9, 50.0), row("mlp", "neuralforecast", "nhits", 0.6, 100.0)]
    found = {one["model"]: (one["SQL"], one["speed"]) for one in networks.ratios(rows)}
    assert found == {"tft": (0.8, 3.0), "patchtst": (0.5, 2.0), "nhits": (pytest.approx(1.5), 0.5)}
