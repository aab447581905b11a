"""A report as a reader of it sees it."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Structure(HTMLParser):
    """Text, addresses and whether every element that is opened is closed."""

    VOID = ("meta", "img", "link", "br", "path", "use")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for key, value in attrs:
            if key in ("src", "href"):
                self.addresses.append(value)
            if key == "id":
                self.ids.append(value)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def words_in(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>(.*?)</text>", svg)
