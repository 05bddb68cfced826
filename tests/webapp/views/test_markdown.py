"""Names of others on the page."""

from __future__ import annotations

from my_submission.webapp.views.markdown import plain


def test_text_of_others_is_no_markup() -> None:
    assert plain("![x](http://elsewhere) :red[a] 7.5") == r"\!\[x\]\(http\:\/\/elsewhere\) \:red\[a\] 7\.5"
