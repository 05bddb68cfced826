"""HTML pages as tests read them: references, names of controls, and what a page would load."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "source", "input", "wbr", "col"}
LOADING = {"src", "href", "srcset", "action", "poster", "data", "formaction"}


@dataclass
class Element:
    """One element: its tag, its attributes and its text with that of its children."""

    tag: str
    attributes: dict[str, str]
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.parts).split())


class ParsedPage(HTMLParser):
    """A page that must be well-formed: every element is closed, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(page)
        self.close()
        assert not self._open, f"{self._open[-1].tag} is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        assert len(element.attributes) == len(attrs), f"{tag} has an attribute twice"
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> without an open element"
        assert self._open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.parts.append(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements of a tag, with these attributes (``class_`` for class)."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            one
            for one in self.elements
            if one.tag == tag and all(one.attributes.get(name) == value for name, value in wanted.items())
        ]

    @property
    def title(self) -> str:
        """Text of the title element."""
        (title,) = self.all("title")
        return title.text

    @property
    def references(self) -> list[str]:
        """Everything that the page would load or links to, but not places in the page itself."""
        found = [value for one in self.elements for name, value in one.attributes.items() if name in LOADING]
        return [value for value in found if not value.startswith("#")]

    @property
    def outside(self) -> list[str]:
        """References to other files or servers."""
        return [value for value in self.references if not value.startswith("data:")]

    def embedded(self, media_type: str) -> list[bytes]:
        """Return the embedded files of a type."""
        head = f"data:{media_type};base64,"
        return [base64.b64decode(one.removeprefix(head)) for one in self.references if one.startswith(head)]

    def check_names(self) -> None:
        """Assert that ids are unique and exist where they are referred to, and that controls and images have names."""
        ids = [one.attributes["id"] for one in self.elements if "id" in one.attributes]
        assert len(ids) == len(set(ids)), "an id is there twice"
        for one in self.elements:
            for name in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
                assert set(one.attributes.get(name, "").split()) <= set(ids), f"{one.tag}: {name} leads nowhere"
            if one.tag == "img":
                assert one.attributes.get("alt") is not None, "an image without alt"
            if one.tag in {"audio", "video"} or one.attributes.get("role") in {"region", "img"}:
                assert {"aria-label", "aria-labelledby"} & set(one.attributes), f"{one.tag} without a name"
            if one.tag in {"button", "a", "summary", "th"}:
                assert one.text or one.attributes.get("aria-label"), f"{one.tag} without a name"
