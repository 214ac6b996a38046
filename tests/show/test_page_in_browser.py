"""The report in a real browser: the script runs under the page's own policy, and a phone need not scroll sideways."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from shelfcast.show.gather import gather
from shelfcast.show.report import render
from show.show_cases import ABOUT, make_forecast, make_panel
from show.test_report import ACCURACY, FINDINGS, PLACES, WITHDRAWN

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which is not installed")

# A page around the report, as wide as a phone. It tells what it finds inside in its own text, for --dump-dom.
FRAME = """<!doctype html>
<iframe id="f" src="report.html" style="width:390px;height:800px;border:0"></iframe><pre id="out"></pre>
<script>
const frame = document.getElementById("f");
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement, shown = () =>
    [...page.querySelectorAll(".series")].filter((s) => !s.hidden).map((s) => s.dataset.series);
  const told = {scroll: root.scrollWidth, client: root.clientWidth, script: root.classList.contains("js"), first: shown()};
  page.getElementById("following").click();
  told.second = shown();
  told.styled = getComputedStyle(page.body).margin;
  const plot = page.querySelector(".plot");
  plot.dispatchEvent(new KeyboardEvent("keydown", {key: "End"}));
  told.tip = plot.querySelector(".tip").textContent;
  document.getElementById("out").textContent = "TOLD" + JSON.stringify(told) + "END";
};
</script>"""


def look(folder: Path, page: str, *, frame: str = FRAME) -> tuple[dict, str]:
    """What the frame tells of a page, and what the browser's console said."""
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "frame.html").write_text(frame, encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files",
         "--enable-logging=stderr", "--virtual-time-budget=3000", f"--user-data-dir={folder / 'profile'}", "--window-size=900,900",
         "--dump-dom", (folder / "frame.html").as_uri()],
        capture_output=True, text=True, timeout=60, check=True)
    told = re.search(r"TOLD(\{.*?\})END", done.stdout.replace("&lt;", "<").replace("&amp;", "&"))
    assert told, done.stderr[-2000:]
    return json.loads(told[1]), "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_the_script_runs_quietly_and_nothing_sticks_out_of_a_phone(tmp_path):
    items = pl.DataFrame({"item": ["tea", "rye"], "name": ["W" * 200, "Rye bread " * 20]})
    extra = {"sales": pl.col("sales") * 1e9, "price": pl.lit(2.0)}
    panel = replace(make_panel(places=PLACES, extra=extra, past=["price"]), items=items)
    about = replace(ABOUT, title="T" * 200, source="folder/" * 60 + "sales.csv", manifest=(("fingerprint", "f" * 128),))
    content = gather(panel, make_forecast(panel, 28), about, findings=FINDINGS, accuracy=ACCURACY, withdrawn=WITHDRAWN)
    told, console = look(tmp_path, render(content))
    assert told["script"]
    assert told["styled"] == "0px"
    assert told["scroll"] <= told["client"] <= 390
    assert told["first"] == ["series-0"]
    assert told["second"] == ["series-1"]
    assert "expected" in told["tip"]
    assert console == ""


def test_the_browser_refuses_what_the_policy_does_not_know(tmp_path):
    page = render(gather(make_panel(), make_forecast(make_panel()), ABOUT))
    bad = page.replace("<main>", "<main><script>document.body.dataset.bad = 1</script><img src='http://localhost:9/x.png'>")
    asks = FRAME.replace("told.styled =", "told.bad = page.body.dataset.bad || 'no';\n  told.styled =")
    told, console = look(tmp_path, bad, frame=asks)
    assert told["bad"] == "no"
    assert "Content Security Policy" in console
