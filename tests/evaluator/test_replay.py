"""Boards, placement, bootstrap, and the three ways a replay is shown."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from evaluator import bootstrap, replay_page
from evaluator.boards import all_boards, find_board
from evaluator.bootstrap import paired_bootstrap, refuse_long_bootstrap
from evaluator.cli import main
from evaluator.distribution import box_of
from evaluator.errors import ScoresError
from evaluator.replay import local_run, matching_boards, nearest_entry, place_run
from evaluator.replay_session import replay
from evaluator.replay_text import published as published_text
from evaluator.run_names import RunFacts, differing_parts, distinct_names
from evaluator.scores import Document, scores_document
from evaluator.scoring import SongScore
from evaluator.svg import box_plot
from evaluator.verdict import caution, conclusion, data_in_words, main_group, ordinal, silent_references
from tests.html_pages import ParsedPage

MUSIC = ("bass", "drums", "other", "vocals")


def document(
    values: dict[str, float],
    *,
    n_songs: int = 5,
    dataset: str = "two excerpts",
    system: str = "ours",
    spread: float = 0.5,
) -> Document:
    """A scores file whose means and medians are ``values``, under ``mdx`` and ``bsseval``."""
    offsets = np.linspace(-spread, spread, n_songs) if n_songs > 1 else np.zeros(1)
    whole, framewise = {}, {}
    for index, offset in enumerate(offsets):
        row = {source: value + float(offset) for source, value in values.items()}
        whole[f"song {index}"] = SongScore({**row, "song": sum(row.values()) / len(row)})
        ratios = {s: {"SDR": v, "ISR": v + 5, "SIR": v + 4, "SAR": v + 1} for s, v in row.items()}
        framewise[f"song {index}"] = SongScore(ratios)
    songs = {"mdx": whole, "bsseval": framewise}
    return scores_document(songs, dataset=dataset, system=system, sources=list(values), failed={})


def published(board: str, entry: str) -> dict[str, float]:
    return dict(find_board(board).entry(entry).by_source)


def test_boards_hold_the_published_numbers_with_their_provenance() -> None:
    board = find_board("mdx21-a")
    assert board.is_hidden
    entry = board.entry("kuielab_mdxnet_A_151907")
    assert entry.by_source == {"bass": 7.232, "drums": 7.173, "other": 5.636, "vocals": 8.901}
    assert (entry.overall, entry.decimals, entry.confidence) == (7.236, 3, 1)
    assert "README" in entry.provenance
    assert [e.name for e in board.entries[:2]] == ["hybrid_demucs", entry.name]
    assert find_board("MDX21-B").entry("audioshake").decimals == 2
    assert find_board("CDX23-A").entry("aimless_220319").confidence == 2
    assert all(e.provenance for b in all_boards() for e in b.entries)
    assert sum(len(b.entries) for b in all_boards()) == 39


def test_an_overall_value_that_was_not_published_is_marked() -> None:
    for name in ("danna_sep", "kuielab_mdxnet"):
        entry = find_board("MUSDB18-museval").entry(name)
        assert not entry.is_overall_published
        assert entry.overall == pytest.approx(np.mean(list(entry.by_source.values())))
        assert published_text(entry, "song").startswith("≈")
        assert not published_text(entry, "bass").startswith("≈")


def test_unknown_names_are_refused_with_the_list() -> None:
    with pytest.raises(ScoresError, match="MDX21-A, MDX21-B"):
        find_board("MDX99")
    with pytest.raises(ScoresError, match="audioshake"):
        find_board("MDX21-B").entry("nobody")


def test_rank_and_differences() -> None:
    values = {source: value - 0.5 for source, value in published("MDX21-A", "kuielab_mdxnet_A_151907").items()}
    placement = place_run(document(values), find_board("MDX21-A"))
    assert placement.rank == 5  # 6.7355: below hybrid_demucs, kuielab, music_ai and improved_demucs
    board = placement.board
    found = placement.differences(board.entry("kuielab_mdxnet_A_151907"))
    assert all(found[source] == pytest.approx(-0.5) for source in MUSIC)
    assert found["song"] == pytest.approx(-0.5, abs=1e-3)
    assert nearest_entry(placement).name == "improved_demucs"


@pytest.mark.parametrize(("offset", "is_met"), [(0.0, True), (0.0205, True), (0.0215, False), (-0.03, False)])
def test_tolerance_adds_the_boards_rounding(offset: float, is_met: bool) -> None:
    entry = find_board("MDX21-A").entry("umx")
    placement = place_run(document({s: v + offset for s, v in entry.by_source.items()}), find_board("MDX21-A"))
    assert placement.agreement(entry, tolerance_db=0.02) is is_met


def test_hidden_data_is_never_called_comparable() -> None:
    placement = place_run(document(published("MDX21-A", "umx"), dataset="MDXDB21"), find_board("MDX21-A"))
    assert not placement.is_comparable
    assert data_in_words(placement) == "hidden data"
    assert conclusion(placement).startswith(
        "ours would be 12th of 13 on MDX21-A: 5.04 dB, between xumx (5.37 dB) and umx"
    )
    told = caution([[placement]])
    assert "orientation only" in told
    assert told.endswith("MDXDB21 is hidden, so nobody else can compute the values.")


@pytest.mark.parametrize(
    ("dataset", "n_songs", "is_comparable"),
    [
        ("MUSDB18-HQ", 50, True),
        ("musdb18-hq test", 50, True),
        ("MUSDB18-HQ", 49, False),
        ("MUSDB18", 50, False),
        ("MUSDB18-7s excerpts", 50, False),
    ],
)
def test_public_data_counts_only_when_name_and_number_agree(dataset: str, n_songs: int, is_comparable: bool) -> None:
    values = published("MUSDB18-HQ-museval", "hybrid_demucs")
    placement = place_run(document(values, dataset=dataset, n_songs=n_songs), find_board("MUSDB18-HQ-museval"))
    assert placement.run.metric == "bsseval"
    assert placement.is_comparable is is_comparable
    assert (data_in_words(placement) == "other data") is not is_comparable
    assert ("orientation only" in caution([[placement]])) is not is_comparable
    assert (" is 1st of " in conclusion(placement)) is is_comparable


def test_metrics_and_sources_are_never_mixed() -> None:
    music = document(dict.fromkeys(MUSIC, 6.0))
    assert {(board.name, metric) for board, metric in matching_boards(music)} == {
        *((name, "mdx") for name in ("MDX21-A", "MDX21-B", "MDX23-A", "MDX23-B", "MDX23-C")),
        ("MUSDB18-museval", "bsseval"),
        ("MUSDB18-HQ-museval", "bsseval"),
    }
    cinema = document(dict.fromkeys(("dialog", "effect", "music"), 4.0))
    assert {board.name for board, _ in matching_boards(cinema)} == {"CDX23-A", "CDX23-B"}
    with pytest.raises(ScoresError, match="have no bass"):
        place_run(cinema, find_board("MDX21-A"))
    del music["metrics"]["mdx"]
    with pytest.raises(ScoresError, match="board of mdx"):
        place_run(music, find_board("MDX21-A"))
    with pytest.raises(ScoresError, match="has no si-sdr"):
        local_run(music, "si-sdr")


def test_a_run_without_some_source_has_no_rank() -> None:
    scores = document(dict.fromkeys(MUSIC, 6.0))
    scores["metrics"]["bsseval"]["median"]["bass"]["SDR"] = None
    placement = place_run(scores, find_board("MUSDB18-museval"))
    assert placement.rank is None
    assert placement.differences(placement.board.entries[0])["bass"] is None


def test_bootstrap_of_a_constant_difference_is_that_constant() -> None:
    first = {f"s{i}": float(value) for i, value in enumerate(np.random.default_rng(1).normal(6, 3, 12))}
    second = {song: value + 0.75 for song, value in first.items()}
    for statistic in ("mean", "median"):
        found = paired_bootstrap(first, second, statistic=statistic, rng=np.random.default_rng(0), n_resamples=500)
        assert (found.difference, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75))
        assert found.is_clear
        assert found.n_songs == 12


def test_bootstrap_interval_agrees_with_scipys() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy, the oracle, is not installed")
    rng = np.random.default_rng(4)
    first = {f"s{i:02}": float(value) for i, value in enumerate(rng.normal(6, 2, 30))}
    second = {song: value + float(rng.normal(0.3, 1.0)) for song, value in first.items()}
    found = paired_bootstrap(first, second, statistic="mean", rng=np.random.default_rng(0), n_resamples=20_000)
    differences = np.array([second[song] - first[song] for song in first])
    theirs = stats.bootstrap(
        (differences,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.difference == pytest.approx(differences.mean())
    assert found.low == pytest.approx(theirs.low, abs=0.02)
    assert found.high == pytest.approx(theirs.high, abs=0.02)


def test_bootstrap_uses_common_songs_and_needs_two() -> None:
    first, second = {"a": 1.0, "b": 2.0, "x": 9.0}, {"a": 1.5, "b": 2.5, "y": 0.0}
    found = paired_bootstrap(first, second, statistic="mean", rng=np.random.default_rng(0), n_resamples=50)
    assert (found.n_songs, found.difference) == (2, 0.5)
    with pytest.raises(ScoresError, match="1 songs in common"):
        paired_bootstrap({"a": 1.0}, second, statistic="mean", rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="no interval"):
        paired_bootstrap(first, second, statistic="mode", rng=np.random.default_rng(0))


def test_box_follows_tukey() -> None:
    assert box_of([]) is None
    box = box_of([1.0, 2.0, 3.0, 4.0, 5.0, 50.0])
    assert box is not None
    assert (box.low, box.median, box.high, box.outliers) == (1.0, 3.5, 5.0, (50.0,))
    assert (box.first_quartile, box.third_quartile) == tuple(np.quantile([1, 2, 3, 4, 5, 50], [0.25, 0.75]))


def test_plots_are_well_formed_and_to_scale() -> None:
    box = box_of([1.0, 2.0, 3.0])
    boxes = ElementTree.fromstring(box_plot([("bass", [("<one & two>", box), ("two", None)])], title='"boxes"'))
    assert len(list(boxes.iter("rect"))) == 1
    lines = {text.text: float(text.get("y", "")) for text in boxes.iter("text") if text.text in {"1", "2", "3"}}
    (median,) = [line for line in boxes.iter("line") if line.get("class") == "median"]
    assert float(median.get("y1", "")) == pytest.approx(lines["2"] - 4, abs=0.1)
    ElementTree.fromstring(box_plot([("bass", [("one", None)])], title="nothing"))
    wide = ElementTree.fromstring(box_plot([("bass", [("one", box_of([-91.0, 12.0]))])], title="wide"))
    assert {"−80", "0"} <= {text.text for text in wide.iter("text")}, "round numbers"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    first = document({"bass": 5.9, "drums": 6.1, "other": 4.2, "vocals": 7.0}, system="first <run>")
    second = document({"bass": 6.2, "drums": 6.4, "other": 4.5, "vocals": 7.3}, system="second")
    paths = tmp_path / "first.json", tmp_path / "second.json"
    for path, scores in zip(paths, (first, second), strict=True):
        path.write_text(json.dumps(scores), encoding="utf-8")
    return paths


def test_replay_prints_the_conclusion_first_then_board_and_comparison(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ["--board", "MDX21-A", "--entry", "umx", "--resamples", "200"]
    assert main(["replay", *map(str, files), *arguments]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("first <run> would be 10th of 13 on MDX21-A: 5.80 dB, between demucs48_hq (5.87 dB) and")
    assert printed.count("hidden, so nobody") == printed.count("orientation") == 1
    assert re.search(r"^\(10\)\s+▶ first <run>\s+5\.900", printed, re.MULTILINE)
    assert re.search(r"^first <run>\s+\+0\.543", printed, re.MULTILINE)
    assert "Equal to umx within 0.02 dB and its rounding: none." in printed
    assert re.search(r"second minus first <run>, mdx .*bootstrap", printed)
    assert re.search(r"^bass\s+5\s+\+0\.300\s+\+0\.300 … \+0\.300\s+clear", printed, re.MULTILINE)


def test_replay_by_default_shows_places_on_every_board_that_fits_and_one_in_full(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(files[0])]) == 0
    printed = capsys.readouterr().out
    for board in ("MDX21-A", "MDX23-C", "MUSDB18-museval", "MUSDB18-HQ-museval"):
        assert re.search(rf"^{board} .*\d(st|nd|rd|th) of \d+$", printed, re.MULTILINE)
    assert re.findall(r"^(\S+) — ", printed, re.MULTILINE) == ["MUSDB18-museval"], "the board with most entries"
    assert "More boards in full: python -m evaluator replay … --board MDX21-A MDX21-B" in printed
    assert "CDX" not in printed


@pytest.mark.parametrize("columns", [60, 72, 100])
def test_the_terminal_s_width_is_kept_and_nothing_is_cut(
    files: tuple[Path, Path], columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    boards = ["MDX21-A", "MUSDB18-museval"]
    assert main(["replay", *map(str, files), "--board", *boards, "--resamples", "50"]) == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.split("\n") if len(line) > columns] == []
    for name in boards:
        for entry in find_board(name).entries:
            assert re.search(rf"^\d+ +{entry.name}\b", printed, re.MULTILINE)


def test_decimal_points_stand_below_each_other(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(files[0]), "--board", "MDX21-A"]) == 0
    lines = capsys.readouterr().out.split("\n")
    start = next(index for index, line in enumerate(lines) if line.startswith("rank"))
    rows = lines[start + 2 : lines.index("", start)]
    places = {tuple(found.start() for found in re.finditer(r"(?<=\d)\.(?=\d)", row[30:])) for row in rows}
    assert len(rows) == len(find_board("MDX21-A").entries) + 1
    assert len(places) == 1


def test_runs_of_one_system_are_told_apart_by_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = document(dict.fromkeys(MUSIC, 6.0), dataset="A")
    paths = []
    for folder in ("monday/ours", "tuesday/ours"):
        path = tmp_path / folder / "scores.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(scores))
        paths.append(str(path))
    assert main(["replay", *paths, "--resamples", "50"]) == 0
    assert "ours (tuesday) minus ours (monday), mdx" in capsys.readouterr().out
    runs = [RunFacts("x", ("A", "")), RunFacts("x", ("A", "--resample")), RunFacts("y", ("B", ""))]
    assert distinct_names(runs) == ["x", "x (--resample)", "y"]
    assert distinct_names([runs[0], runs[0]]) == ["x (1)", "x (2)"]
    many = [RunFacts("x", facts) for facts in (("A", "1"), ("A", "2"), ("B", "1"))]
    assert distinct_names(many) == ["x (A, 1)", "x (A, 2)", "x (B, 1)"]
    assert differing_parts([Path("/s/a/x.json"), Path("/s/b/c/x.json")]) == ["a", "b/c"]


def test_silent_references_are_told_because_they_decide_the_mean() -> None:
    scores = document(dict.fromkeys(MUSIC, -20.0))
    scores["silent"] = {"song 0": {"references": ["bass"], "estimates": []}, "song 9": {"references": ["bass"]}, "x": 1}
    placement = place_run(scores, find_board("MDX21-A"))
    assert placement.run.silent_songs == {"bass": 1}
    assert "bass in 1 of 5" in silent_references(placement.run)
    assert silent_references(place_run(document(dict.fromkeys(MUSIC, 5.0)), find_board("MDX21-A")).run) == ""
    assert "bass" not in silent_references(local_run(scores, "bsseval"))


def test_caution_names_what_is_valid() -> None:
    values = published("MUSDB18-HQ-museval", "hybrid_demucs")
    own = document(values, dataset="MUSDB18-HQ", n_songs=50)
    other = document(values, dataset="two excerpts", system="theirs")
    boards = [find_board(name) for name in ("MDX21-A", "MUSDB18-HQ-museval")]
    groups = [[place_run(own, board)] for board in boards]
    assert caution(groups).startswith("Valid, on the same data: MUSDB18-HQ-museval. All other places are for orient")
    assert main_group(groups)[0].board.name == "MUSDB18-HQ-museval", "its own data before more entries"
    both = [[place_run(own, boards[1]), place_run(other, boards[1])]]
    assert caution(both).startswith("Valid, on the same data: ours on MUSDB18-HQ-museval. All other")
    assert (
        caution(groups[1:]) == "The places are valid: runs and boards have the same data, by name and number of songs."
    )
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]
    )


def test_one_song_is_no_reason_to_fail(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for path in files:
        path.write_text(json.dumps(document(dict.fromkeys(MUSIC, 6.0), n_songs=1, system="same")))
    assert main(["replay", *map(str, files), "--board", "MDX21-B"]) == 0
    printed = capsys.readouterr().out
    assert "same (second.json) against same (first.json), mdx: 1 songs in common" in printed


def test_list_names_boards_and_entries(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "MDX21-A (MDXDB21, hidden; mdx)" in printed
    assert "  kuielab_mdxnet_A_151907  7.236" in printed


def test_unknown_boards_entries_and_options_are_refused(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(files[0]), "--board", "MDX99"]) == 1
    assert main(["replay", str(files[0]), "--entry", "nobody"]) == 1
    assert main(["replay", str(files[0]), "--board", "MDX21-B", "--entry", "umx"]) == 1
    assert main(["replay", "absent.json"]) == 1
    said = capsys.readouterr().err
    for text in ("no board 'MDX99'", "no entry 'nobody'", "no entry 'umx' on MDX21-B", "absent.json"):
        assert text in said
    for arguments in (["replay"], ["replay", str(files[0]), "--confidence", "1"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


def make_page(files: tuple[Path, Path], tmp_path: Path) -> Path:
    page = tmp_path / "page.html"
    assert main(["replay", *map(str, files), "--html", str(page), "--resamples", "100"]) == 0
    return page


def test_page_stands_alone_and_escapes_names(files: tuple[Path, Path], tmp_path: Path) -> None:
    text = make_page(files, tmp_path).read_text(encoding="utf-8")
    assert "<run>" not in text
    page = ParsedPage(text)
    page.check_names()
    assert page.references == [], "nothing is loaded from elsewhere"
    (script,) = page.all("script")
    digest = base64.b64encode(hashlib.sha256("".join(script.parts).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    for plot in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(plot)
    for table in re.findall(r"<table.*?</table>", text, re.DOTALL):
        rows = [len(row) for row in ElementTree.fromstring(table.replace("<wbr>", "")).iter("tr")]
        assert len(set(rows)) == 1, "every row has a cell for every column"


def test_page_says_the_conclusion_first_and_one_note_and_folds_the_boards(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    text = make_page(files, tmp_path).read_text(encoding="utf-8")
    page = ParsedPage(text)
    (first,) = page.all("div", class_="conclusion")
    assert "first <run> would be 14th of 17 on MUSDB18-museval: 5.80 dB, between" in first.text
    assert text.index("conclusion") < text.index('class="caution"') < text.index("<details>")
    assert text.count("orientation only") == text.count("is hidden") == 1
    folded = [one.text for one in page.all("summary")]
    assert len(folded) == 7 + 2, "seven boards and the songs of two metrics"
    assert len(page.all("details", open="")) == 0
    assert "clearly better in bass, drums, other and vocals than" in text
    assert len(text) < 120_000


def test_picture_is_a_png_and_its_absence_is_explained(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "plot.png"
    arguments = ["replay", *map(str, files), "--board", "MDX21-A", "--resamples", "50", "--plot", str(picture)]
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert main(arguments) == 1
    assert "pip install matplotlib" in capsys.readouterr().err
    monkeypatch.undo()
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert main(arguments) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_intervals_that_would_take_minutes_are_refused_with_what_would_do(tmp_path: Path) -> None:
    paths = []
    for name in ("one", "two"):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(document(dict.fromkeys(MUSIC, 5.0), system=name)), encoding="utf-8")
    with pytest.raises(ScoresError, match=r"1000000000 resamples of 50 songs in 10 intervals.*--resamples 10000000\."):
        replay(paths, rng=np.random.default_rng(0), n_resamples=10**9)
    refuse_long_bootstrap([200_000] * 5, 2_000)
    with pytest.raises(ScoresError, match=r"Give --resamples 2000\."):
        refuse_long_bootstrap([200_000] * 5, 10_000)
    with pytest.raises(ScoresError, match="fewer files"):
        refuse_long_bootstrap([200_000] * 20_000, 10_000)


def test_an_interval_does_not_depend_on_how_many_resamples_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    first, second = ({str(i): float(x) for i, x in enumerate(rng.normal(size=7))} for _ in range(2))
    intervals = []
    for held in (1, 1 << 10, 1 << 22):
        monkeypatch.setattr(bootstrap, "_BATCH_NUMBERS", held)
        found = paired_bootstrap(first, second, statistic="median", rng=np.random.default_rng(5), n_resamples=500)
        intervals.append((found.low, found.high))
    assert intervals[0] == intervals[1] == intervals[2]


def test_a_page_of_many_songs_shows_some_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_page, "MAX_SHOWN_SONGS", 3)
    board = find_board("MDX21-A")
    placement = place_run(document(dict.fromkeys(MUSIC, 5.0), n_songs=5), board)
    page = replay_page.replay_page([([placement], nearest_entry(placement))], {})
    assert "song 2" in page
    assert "song 3" not in page
    assert "The first 3 of 5 songs; the scores files have all of them." in page
