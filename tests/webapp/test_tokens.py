"""Secret tokens: plain, each another, and allowed in the keys of components."""

from __future__ import annotations

import re

import pytest
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.errors import StreamlitAPIException

from my_submission.webapp.tokens import new_token


def test_no_token_is_one_that_streamlit_refuses() -> None:
    """The rule that Streamlit applies to the name of every component, which ends in the key."""
    with pytest.raises(StreamlitAPIException, match="delimiter"):
        _make_trigger_id("$$ID-0123-tracks-a__b", "events")
    for _ in range(200):
        _make_trigger_id(f"$$ID-0123-tracks-{new_token()}", "events")


def test_tokens_are_plain_and_each_another() -> None:
    tokens = {new_token() for _ in range(2_000)}
    assert len(tokens) == 2_000
    assert all(re.fullmatch("[0-9a-f]{48}", token) for token in tokens)
