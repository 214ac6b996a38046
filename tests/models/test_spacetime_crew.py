"""The program of docs/space-time.md: two processes train the network that one trains."""

import os
import subprocess
import sys
import textwrap
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

torch = pytest.importorskip("torch")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("needs torch.distributed with gloo", allow_module_level=True)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "space-time.md"
TINY = "accumulate=2, steps=6, width=8, heads=1, layers=1, series=12, context=28"


def program() -> str:
    """What the page says to write, with a network that is quick to train."""
    section = PAGE.read_text(encoding="utf-8").partition("## Several processes")[2]
    block = section[section.index("    import os"):section.index("and start it as")]
    assert "accumulate=2)" in block and "horizon=28" in block
    return textwrap.dedent(block).replace("accumulate=2", TINY).replace("horizon=28", "horizon=7")


def files(folder: Path) -> Path:
    """Sales of two items in four places, the places, and the program."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    rows = [(item, place, date(2024, 1, 1) + timedelta(days=t), int(draw.poisson(4 + 4 * (t % 7 == 5))))
            for place in "ABCD" for item in ("bread", "tea") for t in range(120)]
    pl.DataFrame(rows, schema=["item", "location", "date", "sales"], orient="row").write_csv(folder / "sales.csv")
    places = {"location": list("ABCD"), "latitude": [59.9, 60.4, 48.9, 45.8], "longitude": [10.7, 5.3, 2.3, 4.8]}
    pl.DataFrame(places).write_parquet(folder / "stores.parquet")
    (folder / "train.py").write_text(program(), encoding="utf-8")
    return folder


def run(folder: Path, *start: str) -> dict[str, np.ndarray]:
    """The weights that a run of the program keeps."""
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *start], cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (kept,) = folder.glob("network/**/network.safetensors")
    return load_file(kept)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The weights of one process."""
    return run(files(tmp_path_factory.mktemp("crew") / "alone"), "train.py")


@pytest.mark.slow
def test_two_processes_of_torchrun_end_in_the_weights_of_one(alone, tmp_path):
    together = run(files(tmp_path / "two"), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py")
    assert furthest(alone, together) < 1e-5


@pytest.mark.slow
def test_two_processes_of_ray_end_in_the_weights_of_one(alone, tmp_path):
    if not find_spec("ray") or (os.cpu_count() or 1) < 2:
        pytest.skip("needs Ray and two processors")
    folder = files(tmp_path / "ray")
    (folder / "cluster.py").write_text("from shelfcast.nn.distributed import train_with_ray\nfrom train import train\n"
                                       "if __name__ == '__main__':\n    train_with_ray(train, processes=2)\n", encoding="utf-8")
    assert furthest(alone, run(folder, "cluster.py")) < 1e-5


def furthest(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """Largest gap between two networks' weights."""
    assert one.keys() == other.keys()
    return max(float(np.abs(one[k] - other[k]).max()) for k in one)
