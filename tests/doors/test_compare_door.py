"""`shelfcast compare`: what it claims, what it refuses, and that it says why."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from doors.measured_runs import HORIZON, write_run
from shelfcast import workflow
from shelfcast.cli.main import main
from shelfcast.errors import DataError, SettingsError, SourceError, UnknownNameError
from shelfcast.settings import CompareSettings


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A good model in one run, a bad one in another, and three in a third."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "one", {"good": 0.1})
    write_run(folder / "two", {"bad": 0.5})
    write_run(folder / "three", {"good": 0.1, "naive": 0.5, "middling": 0.3})
    return folder


def compare(*folders: Path, **settings):
    return workflow.compare(CompareSettings(runs=folders, **{"replicates": 400, **settings})).summary


def test_the_better_model_of_two_runs_is_named_with_its_interval(runs):
    found = compare(runs / "one", runs / "two")
    assert (found["a"], found["b"], found["winner"]) == ("good", "bad", "good")
    assert found["verdict"].startswith("good is better than bad: good has ")
    skill = next(m for m in found["measures"] if m["metric"] == "SQL")["skill"]
    assert 0 < skill["low"] < skill["value"] < skill["high"] < 1
    assert found["windows"] == ["2024-01-01", "2024-01-05", "2024-01-09", "2024-01-13"]
    assert found["win_rate"]["value"] > 0.9


def test_the_other_way_round_the_same_model_wins(runs):
    ahead, behind = compare(runs / "one", runs / "two"), compare(runs / "two", runs / "one")
    assert behind["winner"] == ahead["winner"] == "good"
    for metric in ("SQL", "RMSE", "bias", "coverage"):
        one, other = (next(m for m in f["measures"] if m["metric"] == metric)["difference"] for f in (ahead, behind))
        assert (one["value"], one["low"], one["high"]) == pytest.approx((-other["value"], -other["high"], -other["low"]))


def test_a_run_against_its_copy_shows_no_difference(runs, tmp_path):
    shutil.copytree(runs / "one", tmp_path / "copy")
    found = compare(runs / "one", tmp_path / "copy")
    assert (found["a"], found["b"]) == ("good (one)", "good (copy)")
    assert found["winner"] is None
    assert found["verdict"].startswith("No difference is shown")
    for measure in found["measures"]:
        assert (measure["difference"]["value"], measure["difference"]["low"], measure["difference"]["high"]) == (0, 0, 0)
    assert found["win_rate"]["value"] == 0.5
    assert {g["verdict"] for g in found["groups"]} == {"not shown"}


def test_scores_are_those_of_the_losses(runs):
    losses = pl.read_parquet(runs / "one" / "losses.parquet")
    by_window = losses.group_by("window").agg((pl.col("quantile_scaled").sum() / pl.col("cells").sum()).alias("v"))
    rmse = losses.group_by("window").agg((pl.col("square").sum() / pl.col("cells").sum()).sqrt().alias("v"))
    found = {m["metric"]: m["score_a"] for m in compare(runs / "one", runs / "two")["measures"]}
    assert found["SQL"] == pytest.approx(by_window["v"].mean())
    assert found["RMSE"] == pytest.approx(rmse["v"].mean())


def test_rmsse_is_compared_in_pairs_with_an_interval_by_series_and_by_step(runs):
    losses = pl.read_parquet(runs / "one" / "losses.parquet")
    root = (pl.col("square") / pl.col("cells") / pl.col("square_scale")).sqrt()
    by_window = losses.filter(pl.col("square_scale").is_not_nan()).group_by("window").agg(root.mean().alias("v"))
    found = compare(runs / "one", runs / "two", metric="RMSSE")
    head = next(m for m in found["measures"] if m["metric"] == "RMSSE")
    assert head["score_a"] == pytest.approx(by_window["v"].mean())
    assert 0 < head["skill"]["low"] < head["skill"]["value"] < head["skill"]["high"] and found["winner"] == "good"
    steps = [g for g in found["groups"] if g["kind"] == "step"]
    assert steps and all(0 < g["a"] < g["b"] for g in steps)


def test_models_of_one_run_are_ranked_and_the_best_meets_the_next(runs):
    found = compare(runs / "three")
    assert [r["model"] for r in found["ranking"]] == ["good", "middling", "naive"]
    assert (found["a"], found["b"], found["baseline"]) == ("good", "middling", "naive")
    assert found["ranking"][0]["skill"] > found["ranking"][1]["skill"] > 0
    assert found["ranking"][2]["skill"] is None
    assert len(found["pairs"]) == 3
    assert all(p["p_adjusted"] >= p["skill"]["p"] for p in found["pairs"])


def test_models_asked_for_are_compared_in_that_order(runs):
    found = compare(runs / "three", models=("naive", "good"))
    assert [m["model"] for m in compare(runs / "three", models=("middling", "good"))["ranking"]] == ["good", "middling"]
    assert (compare(runs / "three", models=("middling", "good"))["a"]) == "middling"
    assert (found["a"], found["b"], found["baseline"]) == ("good", "naive", "naive")


def test_the_claim_is_told_from_the_winners_side_whichever_comes_first(runs):
    ahead, behind = compare(runs / "one", runs / "two"), compare(runs / "two", runs / "one")
    assert (behind["a"], behind["b"]) == ("bad", "good")
    said, other = (f["verdict"].partition(" (95%")[0] for f in (ahead, behind))
    assert said == other and said.startswith("good is better than bad: good has ") and " lower SQL than bad" in said
    skill = next(m for m in ahead["measures"] if m["metric"] == "SQL")["skill"]
    assert f"{skill['low']:+.1%} to {skill['high']:+.1%}" in behind["verdict"]
    assert ": bias of good is " in compare(runs / "two", runs / "one", metric="bias")["verdict"]


def test_runs_of_an_earlier_version_are_compared_by_what_they_kept(runs, tmp_path):
    shutil.copytree(runs / "three", tmp_path / "old")
    losses = pl.read_parquet(tmp_path / "old" / "losses.parquet").drop("crps", "symmetric", "square_scale")
    losses.write_parquet(tmp_path / "old" / "losses.parquet")
    found = {m["metric"] for m in compare(tmp_path / "old")["measures"]}
    assert {"SQL", "MAE"} <= found and not found & {"CRPS", "sMAPE", "RMSSE"}
    with pytest.raises(DataError, match=r"CRPS cannot be measured here: a run was made by an earlier version"):
        compare(tmp_path / "old", metric="CRPS")
    with pytest.raises(UnknownNameError, match="WRMSSE takes a root"):
        compare(runs / "three", metric="WRMSSE")


def test_where_no_series_is_won_the_share_still_has_an_interval(runs):
    found = compare(runs / "two", runs / "one")["win_rate"]
    assert found["low"] <= found["value"] < 0.1 and found["high"] > found["value"] + 0.05


def test_windows_that_overlap_are_drawn_together_and_said_to(tmp_path):
    apart, close = (compare(write_run(tmp_path / name, {"good": 0.1, "bad": 0.12}, windows=12, step=step))
                    for name, step in (("apart", None), ("close", 2)))
    assert (apart["block"], close["block"]) == (1, 2)
    assert any(s.startswith("A period falls into up to 2 windows") and "2 neighbours are drawn" in s for s in close["told"])
    assert not any(s.startswith("A period falls") for s in apart["told"])
    assert apart["diebold_mariano"]["statistic"] != close["diebold_mariano"]["statistic"]
    asked = compare(tmp_path / "close", block=1)
    assert asked["block"] == 1 and any("only 1 of them is drawn together" in s for s in asked["told"])


def test_where_it_wins_adds_up_to_the_whole(runs):
    found = compare(runs / "one", runs / "two", metric="WAPE")
    tables = [pl.read_parquet(runs / name / "losses.parquet")["absolute"].sum() for name in ("one", "two")]
    for kind in ("class", "location", "item", "step"):
        assert sum(g["units"] for g in found["groups"] if g["kind"] == kind) == pytest.approx(tables[0] - tables[1])
    places = [abs(g["units"]) for g in found["groups"] if g["kind"] == "location"]
    assert places == sorted(places, reverse=True)
    steps = [g["group"] for g in found["groups"] if g["kind"] == "step"]
    assert steps == [str(h + 1) for h in range(HORIZON)]


@pytest.mark.parametrize("metric", ["SQL", "WQL", "MASE", "RMSE", "bias", "coverage", "MAE", "CRPS", "sMAPE"])
def test_steps_of_the_horizon_join_into_the_whole_score(runs, metric):
    """Each step has as many cells, so the mean over steps (of squares, for RMSE) is the score of each window."""
    found = compare(runs / "one", runs / "two", metric=metric)
    steps = pl.DataFrame([g for g in found["groups"] if g["kind"] == "step"])
    whole = next(m for m in found["measures"] if m["metric"] == metric)["score_a"]
    if metric in ("WQL", "bias"):  # divided by each step's own sales
        assert steps["a"].min() <= whole <= steps["a"].max()
    elif metric == "RMSE":
        assert steps["a"].mean() == pytest.approx(whole, rel=0.1)
    else:
        assert steps["a"].mean() == pytest.approx(whole)


def test_levels_of_the_hierarchy_are_compared_over_windows(runs):
    found = compare(runs / "one", runs / "two")
    levels = {g["group"]: g for g in found["groups"] if g["kind"] == "item:category"}
    assert set(levels) == {"food", "drinks"}
    whole = next(m for m in found["measures"] if m["metric"] == "SQL")
    assert levels["food"]["a"] == pytest.approx(whole["score_a"] + 0.1)
    assert levels["food"]["skill_low"] is not None


def test_reliability_counts_what_lies_under_each_quantile(runs):
    found = compare(runs / "one", runs / "two")["reliability"]["good"]
    cells = pl.concat([pl.read_parquet(f).join(pl.read_parquet(runs / "one" / "actuals" / f.name), on=["item", "location", "date"])
                       for f in sorted((runs / "one" / "forecasts" / "good").iterdir())])
    for row in found:
        column = pl.col(f"q{row['level']:g}")
        assert row["below"] == pytest.approx(cells.select((pl.col("sales") < column).mean()).item())
        assert row["covered"] == pytest.approx(cells.select((pl.col("sales") <= column).mean()).item())


def test_runs_of_differing_windows_are_compared_on_the_common_ones_and_told(tmp_path):
    one, two = write_run(tmp_path / "a", {"good": 0.1}), write_run(tmp_path / "b", {"bad": 0.5}, first=1)
    found = compare(one, two)
    assert found["windows"] == ["2024-01-05", "2024-01-09", "2024-01-13"]
    assert any("3 windows that all models have, of 4; left out: 2024-01-01" in sentence for sentence in found["told"])


def test_two_windows_say_that_the_interval_holds_for_them_only(tmp_path):
    found = compare(write_run(tmp_path / "a", {"good": 0.1, "bad": 0.5}, windows=2))
    assert any(sentence.startswith("2 windows cannot be drawn with replacement") for sentence in found["told"])
    assert not found["measures"][0]["skill"]["windows_drawn"]


def test_series_that_only_one_run_scored_are_left_out_and_told(tmp_path):
    one, two = write_run(tmp_path / "a", {"good": 0.1}), write_run(tmp_path / "b", {"bad": 0.5})
    losses = pl.read_parquet(two / "losses.parquet")
    losses.filter(pl.col("item") != "item 0").write_parquet(two / "losses.parquet")
    found = compare(one, two)
    assert found["series"] == 16
    assert any("64 of 80 series and windows" in said and "item item 0 at location shop 0" in said for said in found["told"])


def test_other_data_another_truth_and_no_common_series_are_refused_with_the_first_difference(tmp_path):
    one = write_run(tmp_path / "a", {"good": 0.1})
    with pytest.raises(DataError, match="fingerprint xyz against abc"):
        compare(one, write_run(tmp_path / "b", {"bad": 0.5}, fingerprint="xyz"))
    with pytest.raises(DataError, match="different sales in 80 of 80 series and windows; the first, item item 0"):
        compare(one, write_run(tmp_path / "c", {"bad": 0.5}, shift=1.0))
    other = write_run(tmp_path / "d", {"bad": 0.5})
    losses = pl.read_parquet(other / "losses.parquet")
    losses.with_columns(pl.col("item") + "!").write_parquet(other / "losses.parquet")
    with pytest.raises(DataError, match="share no series in any window; item item 0"):
        compare(one, other)
    losses.with_columns(pl.col("cutoff").dt.offset_by("1y")).write_parquet(other / "losses.parquet")
    with pytest.raises(DataError, match="share no window: one has those after 2024-01-01"):
        compare(one, other)
    pl.concat([losses, losses]).write_parquet(other / "losses.parquet")
    with pytest.raises(DataError, match="more than once"):
        compare(one, other)


def test_series_that_end_at_dates_of_their_own_meet_by_how_far_back_a_window_lies(tmp_path):
    """As `backtest --own-ends` leaves it: many cutoffs in a window, forecasts in a folder of each window, a file for each."""
    run = write_run(tmp_path / "run", {"good": 0.1, "bad": 0.5})
    whole = workflow.compare(CompareSettings(runs=(run,), replicates=400)).summary
    losses = pl.read_parquet(run / "losses.parquet")
    early = pl.col("item") == "item 0"
    losses.with_columns(pl.when(early).then(pl.col("cutoff").dt.offset_by("-2d")).otherwise("cutoff").alias("cutoff")).write_parquet(
        run / "losses.parquet")
    for file in [*(run / "forecasts").glob("*/*.parquet"), *(run / "actuals").iterdir()]:
        table = pl.read_parquet(file)
        apart = table.filter(early).with_columns(pl.col("date").dt.offset_by("-2d")), table.filter(~early)
        if file.parent.name == "actuals":
            pl.concat(apart).write_parquet(file)
            continue
        file.unlink()
        (file.parent / file.stem).mkdir()
        for part, days in zip(apart, (2, 0), strict=True):
            part.write_parquet(file.parent / file.stem / f"{np.datetime64(file.stem) - days}.parquet")
    found = compare(run)
    assert found["windows"] == [f"own ends, {k} back" for k in (3, 2, 1, 0)]
    assert found["verdict"] == whole["verdict"]
    assert [g["a"] for g in found["groups"] if g["kind"] == "step"] == pytest.approx(
        [g["a"] for g in whole["groups"] if g["kind"] == "step"])


def test_weights_that_came_trained_are_told(tmp_path):
    run = write_run(tmp_path / "run", {"good": 0.1, "bad": 0.5})
    about = json.loads((run / "manifest.json").read_text())
    about["models"][0]["trained_on"] = ["m5"]
    (run / "manifest.json").write_text(json.dumps(about))
    assert any(said.startswith("good came trained on m5") for said in compare(run)["told"])


def test_nonsense_and_half_written_folders_are_refused(runs, tmp_path):
    with pytest.raises(SourceError, match="There is no folder"):
        compare(tmp_path / "none")
    (tmp_path / "started.partial").mkdir()
    with pytest.raises(SourceError, match="was not finished"):
        compare(tmp_path / "started")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="is not the run of a backtest"):
        compare(tmp_path / "empty")
    damaged = shutil.copytree(runs / "three", tmp_path / "damaged")
    (damaged / "losses.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(SourceError, match=r"no losses\.parquet that can be read"):
        compare(damaged)
    pl.DataFrame({"model": ["a"]}).write_parquet(damaged / "losses.parquet")
    with pytest.raises(SourceError, match=r"lacks window, cutoff, item"):
        compare(damaged)
    (damaged / "manifest.json").write_text(json.dumps({"verb": "forecast"}), encoding="utf-8")
    with pytest.raises(SourceError, match="run of `shelfcast forecast`"):
        compare(damaged)


def test_a_damaged_forecast_is_refused_and_absent_ones_only_leave_their_part_out(runs, tmp_path):
    run = shutil.copytree(runs / "three", tmp_path / "run")
    next((run / "forecasts" / "good").iterdir()).write_bytes(b"nonsense")
    with pytest.raises(SourceError, match="cannot be read"):
        compare(run)
    shutil.rmtree(run / "forecasts")
    found = compare(run)
    assert found["reliability"] == {}
    assert not [g for g in found["groups"] if g["kind"] == "step"]
    assert any("kept no forecasts" in sentence for sentence in found["told"])


def test_wrong_wishes_are_refused_with_what_is_known(runs):
    with pytest.raises(UnknownNameError, match=r"No model in these runs is called 'god'. Did you mean 'good'\?"):
        compare(runs / "three", models=("god", "naive"))
    with pytest.raises(UnknownNameError, match="No measure to compare by is called 'SQRT'"):
        compare(runs / "three", metric="SQRT")
    with pytest.raises(SettingsError, match="only one model"):
        compare(runs / "one")
    with pytest.raises(SettingsError, match="given twice"):
        compare(runs / "one", runs / "one")
    with pytest.raises(SettingsError, match="number of replicates is 5"):
        compare(runs / "three", replicates=5)
    with pytest.raises(SettingsError, match=r"does not end in \.html"):
        compare(runs / "three", report=runs / "page.pdf")


def test_one_place_in_one_window_leaves_nothing_to_draw(tmp_path):
    run = write_run(tmp_path / "a", {"good": 0.1, "bad": 0.9}, windows=1, places=1, items=12)
    with pytest.raises(DataError, match="One location and 1 window leave nothing to draw"):
        compare(run, by="location")
    assert compare(run)["winner"] == "good"


def test_drawing_places_counts_places(runs):
    found = compare(runs / "three", by="location")
    assert found["measures"][0]["skill"]["units"] == 4
    assert any("draw 4 places" in sentence for sentence in found["told"])


def test_the_command_prints_the_claim_and_writes_the_page(runs, tmp_path, capfd):
    page = tmp_path / "page.html"
    assert main(["compare", str(runs / "three"), "--replicates", "200", "--report", str(page), "--quiet"]) == 0
    out = capfd.readouterr().out
    assert "good is better than middling" in out
    assert "by kind of demand, the largest contribution first:" in out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_command_gives_one_json_document_with_the_same_numbers(runs, capfd):
    arguments = ["compare", str(runs / "one"), str(runs / "two"), "--replicates", "400", "--json"]
    assert main(arguments) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["verdict"] == compare(runs / "one", runs / "two")["verdict"]
    assert np.isfinite(document["ranking"][0]["skill"])


def test_the_command_ends_with_the_code_of_the_mistake(runs, tmp_path, capfd):
    assert main(["compare", str(tmp_path / "none")]) == 2
    assert main(["compare", str(runs / "three"), "--metric", "SQRT"]) == 2
    assert main(["compare", str(runs / "one"), str(write_run(tmp_path / "b", {"bad": 0.5}, fingerprint="xyz"))]) == 1
    assert "fingerprint" in capfd.readouterr().err
