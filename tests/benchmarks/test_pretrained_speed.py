"""The timing of pretrained networks: rivals of the published shapes, and the best way of each is found."""

import importlib
import time
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("chronos")

import torch

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, found as the benchmark finds it; it leaves PyTorch's threads as they were."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("pretrained_speed")


def test_the_rivals_have_as_many_parameters_as_were_published(speed):
    with torch.device("meta"):  # shapes alone
        bolt, two = (speed.size_of(make.__wrapped__()) for make in (speed.bolt_tiny, speed.chronos_2))
    assert (bolt, two) == (8_652_672, 119_477_664)


def test_a_rate_is_of_one_pass_at_least_and_counts_series(speed):
    began = time.perf_counter()

    def slow() -> int:
        time.sleep(0.02)
        return 3

    found = speed.rate(slow, 0.0)
    assert 3 / (time.perf_counter() - began) <= found <= 3 / 0.02


def test_the_fastest_way_is_found_and_batches_stop_growing_where_they_no_longer_help(speed, monkeypatch):
    made = []
    told = {("slow", 16): 1.0, ("slow", 32): 0.5, ("slow", 64): 9.0, ("quick", 16): 2.0, ("quick", 32): 4.0}  # series a second

    def way(how: str, batch: int) -> object:
        def make():
            made.append((how, batch))
            return lambda: (how, batch)

        return speed.Way(how, batch, 1, make)

    monkeypatch.setattr(speed, "rate", lambda once, seconds: told[once()])
    chosen, once = speed.best(speed.Contestant("one", 0, tuple(way(*key) for key in told)), 0.0, say=False)
    assert once() == (chosen.how, chosen.batch) == ("quick", 32)
    assert ("slow", 64) not in made  # nobody looks beyond the fall


def test_bolt_is_asked_for_series_and_chronos_2_for_series_with_covariates(speed, monkeypatch):
    shown = []

    class Network(torch.nn.Module):
        def forward(self, context, **rest):
            shown.append((tuple(context.shape), {k: v if isinstance(v, int) else tuple(v.shape) for k, v in rest.items()}))

    network, before = Network(), torch.get_num_threads()
    monkeypatch.setattr(speed, "bolt_tiny", lambda: network)
    monkeypatch.setattr(speed, "chronos_2", lambda: network)
    series = {name: make(16, before, torch.float32)() for name, make in (("bolt", speed.bolt_pass), ("two", speed.two_pass))}
    assert series == {"bolt": 16, "two": 4}
    assert shown == [((16, 512), {}), ((16, 512), {"future_covariates": (16, 64), "group_ids": (16,), "num_output_patches": 4})]
