"""What CI keeps of a run can be read wherever it is unpacked."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

from end_to_end_runs import Ended, call


class References(HTMLParser):
    """Everything a page points at, and every place in it that can be pointed at."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.to: list[str] = []
        self.ids: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src", "srcset", "action", "data", "poster", "xlink:href"):
                self.to.append(value or "")
            if name == "id":
                self.ids.add(value or "")


def test_a_moved_folder_is_rendered_and_its_page_needs_nothing_else(
    flawless: Ended, tmp_path: Path
) -> None:
    moved = tmp_path / "unpacked" / "artefacts"
    shutil.copytree(flawless.folder, moved)
    for report in ("report.html", "report.md", "junit.xml"):
        (moved / report).unlink()
    done = call(tmp_path, "report", str(moved))
    assert done.status == 0, done.err
    page = (moved / "report.html").read_text()
    for folder in (flawless.folder, moved):
        assert str(folder) not in page
    references = References(page)
    for to in references.to:
        assert to.startswith("data:") or (to.startswith("#") and to[1:] in references.ids), to
    assert not re.search(r"url\((?!['\"]?(#|data:))|@import|https?://(?!www\.w3\.org/)", page)
    assert (moved / "report.md").read_text() == (flawless.folder / "report.md").read_text()
    assert (moved / "junit.xml").read_text() == (flawless.folder / "junit.xml").read_text()
