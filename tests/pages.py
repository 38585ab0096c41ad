"""Pages as a browser would take them apart."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = ("br", "meta", "link")


class _Tags(HTMLParser):
    """Keeps the words, and checks that each tag is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def read(page: str) -> str:
    """Return the words of HTML whose tags are all closed."""
    tags = _Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return " ".join("".join(tags.words).split())
