"""Costs: what is remembered, what a run corrects, and what a broken or unwritable file does."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from my_submission.budget import Budget
from my_submission.planning import Calibration, Cost, CostModel, Forecast
from my_submission.planning.calibration import KEPT_RUNS, part_key
from my_submission.planning.cost_model import GUESS_MARGIN, HIGH_GUESS_MARGIN
from tests.rigs import FakeClock


def test_costs_refuse_nonsense() -> None:
    for typical, high in ((2.0, 1.0), (-1.0, 1.0), (1.0, float("inf"))):
        with pytest.raises(ValueError, match="not costs"):
            Cost(typical, high)


def test_costs_survive_in_the_file_and_follow_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "calibration.json"
    Calibration(path).update({"a": Cost(1.0, 2.0)})
    assert Calibration(path).get("a") == Cost(1.0, 2.0)
    calibration = Calibration(path)
    for _ in range(12):
        calibration.update({"a": Cost(3.0, 3.0)})
    again = Calibration(path).get("a")
    assert again is not None
    assert again.typical == pytest.approx(3.0, rel=0.01)
    assert Calibration(path).get("b") is None


def test_two_processes_keep_each_other_s_costs(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    first, second = Calibration(path), Calibration(path)
    first.update({"a": Cost(1.0, 1.0)})
    second.update({"b": Cost(2.0, 2.0)})
    assert Calibration(path).get("a") == Cost(1.0, 1.0)
    assert Calibration(path).get("b") == Cost(2.0, 2.0)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"schema": 1, "costs": {"a": {"typical": -1, "high": 0}}}',
        '{"schema": 2, "runs": {"a": [{"typical": 2, "high": 1}]}}',
        '{"schema": 3, "runs": {}}',
    ],
)
def test_a_damaged_file_is_measured_anew_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(content)
    calibration = Calibration(path)
    assert calibration.get("a") is None
    assert "measured again" in caplog.text
    calibration.update({"a": Cost(1.0, 1.0)})
    assert Calibration(path).get("a") == Cost(1.0, 1.0)


def test_a_place_that_cannot_be_written_is_said_and_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    calibration = Calibration(tmp_path / "file" / "calibration.json")
    with caplog.at_level(logging.WARNING):
        calibration.update({"a": Cost(1.0, 1.0)})
    assert "cannot be written" in caplog.text
    assert calibration.get("a") == Cost(1.0, 1.0)


def test_keys_tell_circumstances_apart() -> None:
    keys = {
        part_key("demucs", weights="1", runs_on="torch"),
        part_key("demucs", weights="2", runs_on="torch"),
        part_key("demucs", weights="1", runs_on="onnx"),
        part_key("vocals", weights="1", runs_on="torch"),
    }
    assert len(keys) == 4
    assert part_key("demucs", runs_on="torch", weights="1") in keys


def test_a_busy_machine_slows_every_part_and_is_noticed_early() -> None:
    """Units at twice the known cost double what is expected of a part that has not run yet."""
    calibration = Calibration()
    calibration.update({"vocals": Cost(0.5, 0.6), "demucs": Cost(2.0, 2.2)})
    costs = CostModel(calibration)
    assert costs.typical("demucs") == 2.0
    for _ in range(3):
        costs.observe("vocals", 10.0, 10.0)
    assert 1.7 < costs.slowness < 2
    for _ in range(10):
        costs.observe("vocals", 10.0, 10.0)
    assert costs.slowness == pytest.approx(2.0, rel=0.01)
    assert costs.typical("demucs") == pytest.approx(4.0, rel=0.01)
    assert costs.high("demucs") == pytest.approx(4.4, rel=0.01)
    assert costs.typical("vocals") == pytest.approx(1.0, rel=0.01)


def test_a_network_that_was_never_measured_is_real_time_until_another_one_is() -> None:
    costs = CostModel(Calibration())
    assert costs.typical("demucs") == 1.0
    costs.observe("reading", 100.0, 0.1, is_network=False)
    assert costs.typical("demucs") == 1.0
    costs.observe("vocals", 10.0, 3.0)
    assert costs.typical("demucs") == pytest.approx(0.3)
    assert costs.typical("writing", prior=0.01) == 0.01
    assert costs.knows("vocals")
    assert not costs.knows("demucs")


def test_one_hiccup_is_forgotten_and_the_latest_units_count_most() -> None:
    costs = CostModel(Calibration())
    for seconds in [1.0] * 5 + [20.0] + [1.0] * 40:
        costs.observe("a", 1.0, seconds)
    assert costs.typical("a") == pytest.approx(1.0, abs=0.01)
    assert costs.high("a") < 2
    costs.keep()
    kept = costs.calibration.get("a")
    assert kept is not None
    assert kept.typical == pytest.approx(1.0)
    assert kept.high < 2


def test_a_single_hiccup_says_nothing_of_other_parts() -> None:
    calibration = Calibration()
    calibration.update({"a": Cost(1.0, 1.0), "b": Cost(2.0, 2.0)})
    costs = CostModel(calibration)
    for seconds in [1.0, 30.0, 1.0, 1.0]:
        costs.observe("a", 1.0, seconds)
        assert costs.slowness == 1
        assert costs.typical("a") == 1
        assert costs.typical("b") == 2
    assert costs.high("a") > 20


def test_only_costs_that_are_known_are_raised_on_a_slow_machine() -> None:
    calibration = Calibration()
    calibration.update({"a": Cost(1.0, 1.0), "b": Cost(2.0, 2.0)})
    costs = CostModel(calibration)
    for _ in range(9):
        costs.observe("a", 1.0, 4.0)
    assert costs.expected_slowness("b") == pytest.approx(4.0, rel=0.01)
    assert costs.expected_slowness("a") == 1
    assert costs.expected_slowness("never measured") == 1
    assert costs.typical("never measured", prior=0.5) == 0.5


def test_an_assumed_cost_counts_until_the_stage_is_measured_and_follows_the_machine() -> None:
    costs = CostModel(Calibration())
    costs.assume("vocals", 0.02)
    costs.assume("filter", 0.01)
    assert costs.typical("vocals") == pytest.approx(GUESS_MARGIN * 0.02)
    assert costs.high("vocals") == pytest.approx(HIGH_GUESS_MARGIN * 0.02)
    assert not costs.knows("vocals")
    assert costs.typical("another network") == 1.0
    costs.observe("vocals", 10.0, 0.1)  # faster than usual: the margin of the others stays
    assert costs.typical("vocals") == pytest.approx(0.01)
    assert costs.typical("filter") == pytest.approx(GUESS_MARGIN * 0.01)
    for _ in range(9):
        costs.observe("vocals", 10.0, 1.2)  # six times as slow as usual, and so are the others
    assert costs.typical("filter") == pytest.approx(6 * 0.01, rel=0.01)
    assert costs.high("filter") == pytest.approx(GUESS_MARGIN * 6 * 0.01, rel=0.01)
    calibration = Calibration()
    calibration.update({"vocals": Cost(0.5, 0.6)})
    known = CostModel(calibration)
    known.assume("vocals", 0.02)
    assert known.typical("vocals") == 0.5
    assert known.high("vocals") == 0.6


def test_the_speed_of_writing_says_nothing_about_networks() -> None:
    """An old measurement of writing may be far too high; no network is expected to be faster for that."""
    calibration = Calibration()
    calibration.update({"writing": Cost(1.0, 1.0), "vocals": Cost(0.5, 0.5)})
    costs = CostModel(calibration)
    for _ in range(3):
        costs.observe("writing", 6.0, 0.06, is_network=False)
    assert costs.slowness == 1
    assert costs.typical("vocals") == 0.5


def test_no_single_run_decides_a_cost(tmp_path: Path) -> None:
    """Neither a busy one nor its stall, wherever it stands among the kept runs."""
    for place in range(KEPT_RUNS):
        calibration = Calibration(tmp_path / f"{place}.json")
        for run in range(KEPT_RUNS):
            calibration.update({"a": Cost(8.0, 90.0) if run == place else Cost(1.0 + 0.01 * run, 2.0)})
        assert calibration.n_runs("a") == KEPT_RUNS
        kept = Calibration(tmp_path / f"{place}.json").get("a")
        assert kept == calibration.get("a")
        assert kept is not None
        assert kept.typical == pytest.approx(1.02, abs=0.02)
        assert kept.high == 2.0
    twice = Calibration()
    twice.update({"a": Cost(8.0, 90.0)})
    twice.update({"a": Cost(1.0, 2.0)})
    assert twice.get("a") == Cost(1.0, 90.0)


def test_a_file_of_the_first_format_is_one_run_of_each_stage(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text('{"schema": 1, "costs": {"a": {"typical": 1.0, "high": 2.0}, "b": {"typical": 3.0, "high": 3.0}}}')
    calibration = Calibration(path)
    assert calibration.get("a") == Cost(1.0, 2.0)
    assert calibration.n_runs("b") == 1
    calibration.update({"a": Cost(0.5, 0.5)})
    document = json.loads(path.read_text())
    assert document["schema"] == 2
    assert Calibration(path).get("a") == Cost(0.5, 2.0)
    assert Calibration(path).get("b") == Cost(3.0, 3.0)


def test_forecasts_answer_for_the_budget() -> None:
    clock = FakeClock()
    calibration = Calibration()
    calibration.update({"a": Cost(1.0, 2.0)})
    forecast = Forecast(CostModel(calibration), Budget(10.0, clock))
    assert forecast.allows("a", 4.0)
    assert not forecast.allows("a", 4.1)
    assert forecast.longest("a") == pytest.approx(4.0)
    assert forecast.n_seconds("a", 4.0) == 4.0
    assert forecast.has_time_for(10.0)
    clock.pass_(10.5)
    assert not forecast.allows("a", 0.0)
    assert forecast.longest("a") == 0
    unlimited = Forecast(CostModel(calibration), Budget(clock=clock))
    assert unlimited.allows("a", 1e9)
    assert unlimited.has_time_for(1e9)
