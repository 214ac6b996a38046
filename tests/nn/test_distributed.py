"""Several processes train the same network as one does, on the same parts of batches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("needs torch.distributed with gloo", allow_module_level=True)

from safetensors.torch import load_file  # noqa: E402

from shelfcast.errors import MissingExtraError, SettingsError  # noqa: E402
from shelfcast.nn.distributed import Crew, joined, train_with_ray  # noqa: E402

PROGRAM = Path(__file__).with_name("crew_training.py")


def run(folder, accumulate, *arguments, torchrun=True):
    folder.mkdir(exist_ok=True)
    start = [sys.executable, *(["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if torchrun else [])]
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    environment |= {"PYTHONPATH": str(PROGRAM.parent.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run([*start, str(PROGRAM), str(folder), str(accumulate), *arguments], capture_output=True, text=True,
                          env=environment, check=False)


def told(folder, rank=0):
    return json.loads((folder / f"told-{rank}.json").read_text())


def furthest(one, other):
    """Largest gap between two networks' weights."""
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    return max(float((first[k] - second[k]).abs().max()) for k in first)


def test_two_processes_end_as_one_does_and_share_its_parts(tmp_path):
    done = run(tmp_path, 3, torchrun=False)
    assert done.returncode == 0, done.stderr
    one, two = tmp_path / "one", tmp_path / "two"
    assert furthest(one / "weights-0.safetensors", two / "weights-0.safetensors") < 1e-5
    assert furthest(two / "weights-0.safetensors", two / "weights-1.safetensors") == 0
    assert sorted(told(two, 0)["drawn"] + told(two, 1)["drawn"]) == told(one)["drawn"]
    assert told(two, 0)["drawn"] == [[step, part] for step in range(12) for part in (0, 2)]
    for ours, theirs in zip(told(one)["losses"], told(two)["losses"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    assert len((two / "history.csv").read_text().splitlines()) == 1 + 3


@pytest.mark.slow
def test_torchruns_processes_that_died_go_on_from_the_checkpoint_of_the_first(tmp_path):
    assert run(tmp_path / "died", 4, "7").returncode != 0
    done = run(tmp_path / "died", 4)
    assert done.returncode == 0, done.stderr
    assert run(tmp_path, 4, torchrun=False).returncode == 0
    assert told(tmp_path / "died")["drawn"][0] == [6, 0]
    assert furthest(tmp_path / "one" / "weights-0.safetensors", tmp_path / "died" / "weights-0.safetensors") < 1e-5


@pytest.mark.slow
def test_more_processes_than_parts_are_refused(tmp_path):
    done = run(tmp_path, 1)
    assert done.returncode != 0 and "2 processes share the 1 parts of a step" in done.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray and its packages
def test_processes_of_ray_end_as_torchruns_do(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(PROGRAM.parent.parent))
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs two processors")
    folder = tmp_path / "ray"

    def function():
        from nn.crew_training import crew_training

        crew_training(folder, 3)
        return os.environ["RANK"]

    assert train_with_ray(function, processes=2) == ["0", "1"]
    assert not ray.is_initialized()
    assert run(tmp_path, 3, torchrun=False).returncode == 0
    assert furthest(tmp_path / "one" / "weights-0.safetensors", folder / "weights-0.safetensors") < 1e-5
    assert furthest(folder / "weights-0.safetensors", folder / "weights-1.safetensors") == 0


def test_training_over_a_cluster_without_ray_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'shelfcast\[cluster\]'"):
        train_with_ray(int, processes=2)


def test_shares_are_disjoint_and_complete():
    shares = [list(Crew(rank, 3).share(8)) for rank in range(3)]
    assert sorted(number for share in shares for number in share) == list(range(8))
    assert max(map(len, shares)) - min(map(len, shares)) == 1


def test_one_process_alone_is_its_own_crew(monkeypatch):
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    with joined(torch.device("cpu")) as crew:
        assert crew == Crew(0, 1) and crew.leads


def test_a_half_set_environment_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(SettingsError, match=r"MASTER_ADDR.*torchrun"), joined(torch.device("cpu")):
        pass
