"""The page of a tuning: says what was gained and what mattered, and obeys nothing that the data say."""

import re

from shelfcast.evaluate.search import Found
from shelfcast.evaluate.study import Tried
from shelfcast.models.spaces import Choice, Real, Whole
from shelfcast.show.tuning_charts import WORST, trials_chart
from shelfcast.show.tuning_page import headline, render_tuning

EVIL = "</script><b>tea\u202e"
SPACE = {"kind": Choice((None, "good", "bad")), "width": Whole(32, 128, 32), "rate": Real(1e-3, 0.1, log=True)}


def trial(number: int, ratio: float | None, *, state: str = "scored", kind: str | None = "good", why: str = "") -> Tried:
    return Tried(number, {"kind": kind, "width": 32 * (1 + number % 4), "rate": 0.001 * (number + 1)}, state,  # type: ignore[arg-type]
                 None if state != "scored" or ratio is None else 2 * ratio, ratio, 10.0, 10.0 * (number + 1), {}, why)


def found(*, gain: float = 0.2, last: dict[str, float] | None = None, important: bool = True) -> Found:
    trials = (trial(0, 1.0, kind=None), trial(1, 1.1, kind="bad"), trial(2, 1.0 - gain), trial(3, 7.0, state="pruned", kind="bad"),
              trial(4, None, state="failed", why=EVIL), trial(5, 0.95))
    best = min((t for t in trials if t.loss is not None), key=lambda t: t.loss or 0.0)
    return Found(trials=trials, best=best, default=trials[0], spent_s=60.0, last=last or {}, told=("Said.",),
                 importances={"kind": 0.7, "rate": 0.2, "width": 0.1} if important else {})


def page(what: Found) -> str:
    return render_tuning(what, SPACE, title=EVIL, model="spacetime", metric="SQL", facts={"seed": "0"}, command="shelfcast fit <X>")


def test_the_headline_says_what_was_gained_and_what_held():
    assert headline(found(), model="spacetime", metric="SQL").startswith(
        "With the best settings found spacetime has 20.0\u202f% less SQL than with the defaults: 1.600 instead of 2.000.")
    assert headline(found(last={"default": 2.0, "best": 2.2}), model="m", metric="SQL").endswith("it has 10.0\u202f% more.")


def test_where_nothing_was_better_it_is_said():
    trials = (trial(0, 1.0, kind=None), trial(1, 1.1))
    said = headline(Found(trials=trials, best=trials[0], default=trials[0], spent_s=1.0), model="naive", metric="SQL")
    assert said == "Of 2 settings of naive that were tried none did better than the defaults, whose SQL is 2.000."


def test_the_page_shows_the_settings_beside_the_defaults_and_how_to_use_them():
    text = page(found())
    assert "by itself" in text
    assert re.search(r'<th scope="row">kind<td>by itself<td class="better">good', text)
    assert "shelfcast fit &lt;X&gt;" in text
    assert "Said." in text


def test_what_mattered_is_in_order_and_each_value_is_told():
    text = page(found())
    shares = re.findall(r'<th scope="row">(\w+)<td>\d+\.\d\u202f%<td class="one">', text)
    assert shares == ["kind", "rate", "width"]
    assert re.search(r'<th scope="row">bad<td class="other">2<td>1.100<td>4.050', text)


def test_too_few_trials_do_not_say_what_mattered():
    assert "chance would say" in page(found(important=False))


def test_names_and_errors_from_outside_command_nothing():
    text = page(found())
    assert "<b>tea" not in text
    assert "\u202e" not in text
    assert text.count("<script>") == 1


def test_the_chart_has_a_mark_for_each_trial_that_was_measured_and_keeps_bad_ones_at_the_edge():
    chart = trials_chart(found().trials, identity="x", title="Trials")
    assert chart.count("<circle") == 5
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)"', chart)]
    half_as_bad = [*found().trials[:3], trial(3, WORST, state="pruned", kind="bad"), *found().trials[4:]]
    mild = trials_chart(half_as_bad, identity="x", title="")
    assert heights == [float(y) for y in re.findall(r'cy="([\d.]+)"', mild)], "seven times as bad stands where half as bad does"
    assert heights.index(min(heights)) == 3


def test_a_chart_of_nothing_is_nothing():
    assert trials_chart([trial(0, None, state="failed")], identity="x", title="Trials") == ""
