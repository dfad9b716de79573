"""YAML as located text: every scalar stays what was written, every node knows where it stands.

YAML 1.1 reads ``on`` as true, ``1:30`` as 90 and ``012`` as 10. Here a scalar is text until
`payresil.core.schema` gives it the type that its place calls for, so none of that happens.
Built on PyYAML's events rather than its tree, because an event stream can be left at the first
sign of abuse: anchors, tags, many documents and deep nesting have no place in these files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from payresil.core.problems import Place, Problem, shown

#: A file that is larger was not written by a person.
MAX_BYTES = 200_000
MAX_DEPTH = 30


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text as written; `plain` when it stood without quotes."""

    where: Place
    text: str
    plain: bool = True

    @property
    def empty(self) -> bool:
        """Whether nothing was written, or YAML's word for it."""
        return self.plain and self.text in ("", "~", "null")


@dataclass(frozen=True, slots=True)
class ListNode:
    """A sequence of nodes."""

    where: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key: value`` of a mapping; its keys are unique."""

    where: Place
    key: str
    value: Node


@dataclass(frozen=True, slots=True)
class MapNode:
    """Entries in the order of the file."""

    where: Place
    entries: tuple[Entry, ...]

    def get(self, key: str) -> Entry | None:
        """The entry of this key, None when there is none."""
        return next((entry for entry in self.entries if entry.key == key), None)


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands where something was refused; its problem has been reported already."""

    where: Place


Node = Scalar | ListNode | MapNode | Refused


def read_document(path: Path, problems: list[Problem]) -> MapNode | None:
    """The mapping that a YAML file holds; what is wrong with it is added to `problems`.

    None when nothing could be made of it. Other problems leave a tree that can still be
    searched for more, so that a user sees all of them at once.
    """
    text = _text_of(path, problems)
    return None if text is None else parse_document(text, str(path), problems)


def parse_document(text: str, file: str, problems: list[Problem]) -> MapNode | None:
    """The same for text that was read already; `file` is its name in messages."""
    builder = _Builder(text, file, problems)
    top = builder.document()
    if isinstance(top, MapNode):
        return top
    if isinstance(top, Scalar | ListNode):
        problems.append(Problem(top.where, describe(top), "a mapping of keys to values"))
    return None


def describe(node: Node) -> str:
    """What a node is, in words for an error message."""
    match node:
        case Scalar(text=text):
            return "nothing" if node.empty else shown(text)
        case ListNode():
            return "a list"
        case MapNode():
            return "a mapping"
        case Refused():
            return "nothing usable"


def _text_of(path: Path, problems: list[Problem]) -> str | None:
    whole = Place(str(path))
    try:
        if path.exists() and not path.is_file():
            problems.append(Problem(whole, "something that is no file", "a YAML file"))
            return None
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problems.append(Problem(whole, f"nothing ({reason})", "a YAML file"))
        return None
    if len(data) > MAX_BYTES:
        problems.append(
            Problem(whole, f"more than {MAX_BYTES} bytes", "a file that a person wrote")
        )
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8-sig", errors="replace")
        place = Place(str(path), good.count("\n") + 1, len(good) - (good.rfind("\n") + 1) + 1)
        problems.append(Problem(place, f"the byte 0x{data[error.start]:02x}", "text in UTF-8"))
        return None


class _Stop(Exception):
    """Nothing sensible can be read after this point; the problem has been reported."""


class _Builder:
    """Makes nodes of PyYAML's events."""

    def __init__(self, text: str, file: str, problems: list[Problem]) -> None:
        self._text = text
        self._file = file
        self._problems = problems
        self._last = Place(file, 1, 1)
        self._events = self._guarded()

    def document(self) -> Node | None:
        """The one node of the one document; None for a file that breaks off or is empty."""
        try:
            return self._document()
        except _Stop:
            return None

    def _document(self) -> Node | None:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            self._report(Place(self._file, 1, 1), "nothing", "a mapping of keys to values")
            return None
        top = self._node(next(self._events), 0)
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._report(self._place(after), "a second document", "one document in a file")
        return top

    def _guarded(self) -> Iterator[yaml.Event]:
        """PyYAML's events; its errors become problems."""
        try:
            for event in yaml.parse(self._text, Loader=yaml.SafeLoader):
                self._last = self._place(event)
                yield event
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except yaml.reader.ReaderError as error:
            index = min(error.position, len(self._text) - 1)
            before = self._text[:index]
            column = len(before) - (before.rfind("\n") + 1) + 1
            place = Place(self._file, before.count("\n") + 1, column)
            self._report(place, shown(self._text[index]), "printable text")
        except (ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF"
            self._report(self._last, f"an escape or a number out of range ({error})", "text")
        raise _Stop

    def _syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        if mark is None:
            self._report(self._last, "broken YAML", f"YAML ({error.problem})")
            return
        place = Place(self._file, mark.line + 1, mark.column + 1)
        rest = self._text[mark.index :].split("\n", 1)[0]
        if rest.startswith("\t"):
            self._report(place, "a tab", "spaces")
        else:
            why = ", ".join(part for part in (error.context, error.problem) if part)
            begin = error.context_mark
            if begin is not None and begin.line != mark.line:
                why += f"; it begins in line {begin.line + 1}"
            self._report(place, shown(rest) if rest else "the end of the line", f"YAML ({why})")

    def _node(self, event: yaml.Event, depth: int) -> Node:
        place = self._place(event)
        if depth >= MAX_DEPTH:
            self._report(place, "deep nesting", f"at most {MAX_DEPTH} levels")
            raise _Stop
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            self._report(place, "an alias (*)", "the value itself")
            return Refused(place)
        if event.anchor is not None:
            self._report(place, f"an anchor, &{event.anchor}", "values without anchors")
        if event.tag is not None:
            self._report(place, f"a tag, {shown(event.tag)}", "values without tags")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(place, depth)
        return self._map(place, depth)

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Node:
        odd = next((char for char in event.value if _is_control(char)), None)
        if odd is not None:
            self._report(place, f"the character {odd!r}", "text without control characters")
            return Refused(place)
        return Scalar(place, event.value, plain=not event.style)

    def _list(self, place: Place, depth: int) -> ListNode:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return ListNode(place, tuple(items))

    def _map(self, place: Place, depth: int) -> MapNode:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if isinstance(key, Refused):
                continue
            if not isinstance(key, Scalar):
                self._report(key.where, f"{describe(key)} as a key", "text")
            elif key.text in entries:
                first = entries[key.text].where.line
                self._report(
                    key.where,
                    f"{shown(key.text)} again",
                    f"each key once (it is in line {first} already)",
                )
            else:
                entries[key.text] = Entry(key.where, key.text, value)
        return MapNode(place, tuple(entries.values()))

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        if mark is None:  # PyYAML sets it on every event that it parses
            return self._last
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _report(self, where: Place, read: str, expected: str) -> None:
        self._problems.append(Problem(where, read, expected))


def _is_control(char: str) -> bool:
    """Whether a character would garble a terminal or cannot be written as UTF-8."""
    code = ord(char)
    return (code < 32 and char not in "\n\t") or 127 <= code < 160 or 0xD800 <= code < 0xE000
