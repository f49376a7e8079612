"""What a reader of the report finds in it."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

REPORT = "avse-batch.html"
Tag = tuple[str, dict[str, str]]


class Page(HTMLParser):
    """Tags with their attributes, and the text between them; scripts and styles left out."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[Tag] = []
        self.text = ""
        self._within = ""
        self.feed(self.source)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within not in ("script", "style"):
            self.text += f"{data} "

    def all(self, *names: str) -> list[dict[str, str]]:
        """Attributes of every tag of such a name."""
        return [about for name, about in self.tags if name in names]

    def players(self) -> list[dict[str, str]]:
        return self.all("audio", "video")

    def addresses(self) -> Iterator[str]:
        """Every address of a file; those of the page itself and of data left out."""
        for _, about in self.tags:
            for name in ("href", "src", "poster", "action", "data", "srcset"):
                if about.get(name, "#")[0] != "#" and not about[name].startswith("data:"):
                    yield about[name]

    def file(self, address: str) -> Path:
        """The file that a relative address stands for."""
        assert address.startswith("./")
        assert not {"#", "?"} & set(address)
        return self.path.parent / unquote_to_bytes(address).decode("utf-8", "surrogateescape")
