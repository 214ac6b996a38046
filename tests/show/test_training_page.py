"""The page of a training: its numbers are those of the training, its texts harmless, its picture falls where the loss falls."""

import re
from html.parser import HTMLParser

import polars as pl
import pytest

from shelfcast.nn.callbacks import Row
from shelfcast.nn.records import Training
from shelfcast.show.training_page import render_training, write_training


def training(losses=(0.5, 0.4, 0.3), validation=(), **rest) -> Training:
    heard = [*validation, *[None] * (len(losses) - len(validation))]
    history = tuple(Row(step=100 * (k + 1), loss=loss, validation=heard[k], rate=1e-3, gradient=1.0, seconds=float(k))
                    for k, loss in enumerate(losses))
    given = {"network": {"width": 64, "levels": [0.1, 0.5]}, "parameters": 12_345, "steps": 300, "asked": 300,
             "stopped": "all steps done", "best_step": None, "best_loss": None, "seconds": 95.0, "history": history}
    return Training(**{**given, **rest})


def page(of: Training, **rest) -> str:
    return render_training(of, **{"title": "sales.csv", "settings": {"temporal": "lstm", "patience": None}, "facts": {"seed": "0"},
                                  **rest})


def heights(svg_path: str) -> list[float]:
    """The y of each point of a line."""
    return [float(y) for _, y in re.findall(r"[ML](\S+) ([\d.]+)", svg_path)]


def test_the_headline_says_how_it_went():
    text = page(training())
    assert "learned 12,345 numbers in 300 of 300 steps, 1.6 minutes: all steps done." in text
    assert "Its loss went from 0.5 to 0.3." in text
    kept = page(training(best_step=200, best_loss=0.25, validation=(0.3, 0.25, 0.27)))
    assert "The weights of step 200 were kept, with a validation loss of 0.25." in kept


def test_the_line_of_a_falling_loss_falls():
    (line,) = re.findall(r'<path class="line l0" d="([^"]*)"', page(training()))
    drawn = heights(line)
    assert len(drawn) == 3 and drawn == sorted(drawn) and drawn[0] < drawn[-1], "y counts from the top"


def test_validation_has_a_line_of_its_own_where_there_is_one():
    assert 'class="line l1"' not in page(training())
    assert 'class="line l1"' in page(training(validation=(0.6, 0.5, 0.4)))


def test_a_long_history_is_a_table_one_can_read():
    text = page(training(losses=[1 / (k + 1) for k in range(500)]))
    assert "40 of 500 rows; history.csv holds all" in text


def test_places_are_listed_by_how_much_they_lean_on_others():
    weights = pl.DataFrame({"item": ["a", "b"] * 2, "location": ["Oslo", "Oslo", "Lyon", "Lyon"], "weight": [0.1, 0.2, 0.6, 0.8]})
    text = page(training(), weights=weights)
    assert text.index("Lyon") < text.index("Oslo")
    assert "70.0\u202f%" in text and "60.0\u202f% to 80.0\u202f%" in text and "42.5\u202f% on average" in text


@pytest.mark.parametrize("weights", [None, pl.DataFrame({"item": ["a"], "location": ["all"], "weight": [0.2]}),
                                     pl.DataFrame({"item": ["a", "a"], "location": ["x", "y"], "weight": [0.0, 0.0]})])
def test_where_no_place_can_lean_on_another_nothing_is_said(weights):
    assert "lean on others" not in page(training(), weights=weights)


def test_names_from_the_data_are_texts_and_nothing_else():
    evil = "<script>alert(1)</script>"
    weights = pl.DataFrame({"item": ["a", "a"], "location": [evil, "Oslo"], "weight": [0.1, 0.2]})
    text = page(training(), weights=weights, title=evil)
    assert evil not in text and "&lt;script&gt;" in text


def test_the_page_is_well_formed_and_written_whole(tmp_path):
    write_training(tmp_path / "training.html", training(), title="t", settings={}, facts={})
    text = (tmp_path / "training.html").read_text()
    HTMLParser().feed(text)
    assert text.rstrip().endswith("</html>") and "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert [p.name for p in tmp_path.iterdir()] == ["training.html"]


def test_a_training_of_no_rows_has_a_page():
    assert "Loss by step" in page(training(losses=()))


def test_what_a_fine_tuning_was_worth_stands_before_and_after():
    scores = pl.DataFrame({"sales": ["<b>shops"] * 2, "cutoff": ["2024-04-02"] * 2, "unseen": [True] * 2,
                           "measure": ["SQL", "coverage 0.1-0.9"], "before": [0.5, 0.7], "after": [0.4, 0.8]})
    text = page(training(), scores=scores, told="It is better.")
    assert "It is better." in text and "learned 12,345 numbers" not in text, "what is told stands for the headline"
    section = text[text.index('id="scores"'):text.index('id="settings"')]
    assert "kept for this table alone" in section and "<b>" not in section
    assert "<td>0.5<td>0.4<td>20" in section, "a fifth less"
    assert "<td>0.7<td>0.8<td></tr>" in section, "of coverage less is not better"
    assert 'id="scores"' not in page(training())
