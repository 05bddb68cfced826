"""The visit that a page is drawn for: the cookie's, or one of this page alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from my_submission.webapp.serving.visits import VISIT_COOKIE, is_visit
from my_submission.webapp.views import visit
from my_submission.webapp.views.visit import current_visit
from tests.webapp.rig import VISIT


@pytest.mark.parametrize("cookies", [{}, {VISIT_COOKIE: "x"}, {VISIT_COOKIE: "../" * 16}])
def test_a_page_without_a_cookie_has_a_visit_of_its_own(
    cookies: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [SimpleNamespace(context=SimpleNamespace(cookies=cookies), session_state={}) for _ in range(2)]
    tokens = []
    for page in (pages[0], pages[0], pages[1]):
        monkeypatch.setattr(visit, "st", page)
        tokens.append(current_visit())
    assert all(map(is_visit, tokens))
    assert tokens[0] == tokens[1] != tokens[2]


def test_the_cookie_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    page = SimpleNamespace(context=SimpleNamespace(cookies={VISIT_COOKIE: VISIT}), session_state={})
    monkeypatch.setattr(visit, "st", page)
    assert current_visit() == VISIT
    assert page.session_state == {}
