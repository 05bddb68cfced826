"""The conclusion of a replay in words: the place of every run, on which board, and whether the place is valid."""

from __future__ import annotations

from collections.abc import Sequence

from evaluator.boards import Board, Entry
from evaluator.replay import LocalRun, Placement
from terminal import quantities
from terminal.names import listed

Group = Sequence[Placement]
"""Every run on one board."""


def main_group(groups: Sequence[Group]) -> Group:
    """Return the most informative board: one on the runs' own data, else the one with the most entries."""
    return max(groups, key=lambda group: (_any_valid(group), _any_rank(group), len(group[0].board.entries)))


def ordinal(number: int) -> str:
    """Return "1st", "2nd", "3rd", "4th", "11th" …"""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def place(placement: Placement) -> str:
    """Return the rank among the entries and the run, such as "5th of 13"; "no place" without an overall value."""
    return "no place" if placement.rank is None else f"{ordinal(placement.rank)} of {len(placement.board.entries) + 1}"


def conclusion(placement: Placement) -> str:
    """Return one sentence on the place of a run on a board and on its neighbours."""
    run, board = placement.run, placement.board
    if run.overall is None:
        return f"{run.name} has no place on {board.name}: a stem has no value, so there is no overall value."
    is_or_would = "is" if placement.is_comparable else "would be"
    return f"{run.name} {is_or_would} {place(placement)} on {board.name}: {run.overall:.2f} dB, {_between(placement)}."


def data_in_words(placement: Placement) -> str:
    """Return how the data of a board compare with those of the run: "same data", "hidden data" or "other data"."""
    if placement.is_comparable:
        return "same data"
    return "hidden data" if placement.board.is_hidden else "other data"


def caution(groups: Sequence[Group]) -> str:
    """Return a note on all places: which are valid, and why the others are not."""
    others = [placement for group in groups for placement in group if not placement.is_comparable]
    if not others:
        return "The places are valid: runs and boards have the same data, by name and number of songs."
    valid = [text for group in groups if (text := _valid_places(group))]
    head = f"Valid, on the same data: {listed(valid)}. All other places are" if valid else "The places are"
    runs = list(dict.fromkeys(data_of_run(one.run) for one in others))
    boards = list(dict.fromkeys(_data_of_board(one.board) for one in others))
    hidden = list(dict.fromkeys(one.board.dataset for one in others if one.board.is_hidden))
    why = f"because the data differ: scored here on {listed(runs)}, on the boards on {listed(boards)}"
    sentences = [f"{head} for orientation only, {why}."]
    if hidden:
        are = "is" if len(hidden) == 1 else "are"
        sentences.append(f"{listed(hidden)} {are} hidden, so nobody else can compute the values.")
    return " ".join(sentences)


def places(group: Group) -> str:
    """Return the places of all runs on a board, in their order: "3rd and 5th of 13"."""
    n_places = len(group[0].board.entries) + 1
    ranks = ["none" if one.rank is None else ordinal(one.rank) for one in group]
    return f"{listed(ranks)} of {n_places}" if _any_rank(group) else "no place"


def data_of_run(run: LocalRun) -> str:
    """Return the data that a run was scored on, in words."""
    options = f", {run.options}" if run.options else ""
    return f"“{run.dataset}” ({quantities.songs(run.n_songs)}{options})"


def _valid_places(group: Group) -> str:
    """Return the board if the places of all runs on it are valid, with the names of the runs if only some are."""
    valid = [one.run.name for one in group if one.is_comparable]
    if len(valid) in (0, len(group)):
        return group[0].board.name if valid else ""
    return f"{listed(valid)} on {group[0].board.name}"


def silent_references(run: LocalRun) -> str:
    """Return a sentence on references that are silent, because they decide the mean of ``mdx``; else nothing."""
    if run.metric != "mdx" or not run.silent_songs:
        return ""
    counts = [f"{source} in {count} of {run.n_songs}" for source, count in run.silent_songs.items()]
    return (
        f"The true stem is silent in some songs ({listed(counts)}). Such a song counts with a value far below zero, "
        "so the overall value understates the audible quality."
    )


def _any_valid(group: Group) -> bool:
    return any(placement.is_comparable for placement in group)


def _any_rank(group: Group) -> bool:
    return any(placement.rank is not None for placement in group)


def _between(placement: Placement) -> str:
    overall = placement.run.overall or 0.0
    values = [(entry, entry.overall) for entry in placement.board.entries if entry.overall is not None]
    ahead = [entry for entry, value in values if value > overall]
    behind = [entry for entry, value in values if value <= overall]
    if ahead and behind:
        return f"between {_valued(ahead[-1])} and {_valued(behind[0])}"
    return f"behind {_valued(ahead[-1])}" if ahead else f"ahead of {_valued(behind[0])}"


def _valued(entry: Entry) -> str:
    return f"{entry.name} ({entry.overall:.2f} dB)"


def _data_of_board(board: Board) -> str:
    return f"{board.dataset} ({quantities.songs(board.n_songs)})" if board.n_songs else board.dataset
