"""The notebooks run from top to bottom, offline, in a fresh kernel."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
RUN = """
import sys, nbformat
from nbclient import NotebookClient
book = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(book, timeout=120, kernel_name="python3").execute()
print(sum(bool(cell.get("outputs")) for cell in book.cells))
"""


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs_from_top_to_bottom(notebook, tmp_path):
    pytest.importorskip("nbclient", reason="needs the extra dev")
    done = subprocess.run([sys.executable, "-c", RUN, str(notebook)], cwd=tmp_path, capture_output=True, text=True, check=False,
                          timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) >= 3


def test_notebooks_are_kept_without_outputs():
    """Outputs in the repository would go stale unseen."""
    assert len(NOTEBOOKS) >= 2
    for notebook in NOTEBOOKS:
        assert '"output_type"' not in notebook.read_text(encoding="utf-8")
