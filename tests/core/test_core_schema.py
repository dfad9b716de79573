from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Optional

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.document import parse_document
from payresil.core.problems import Problem
from payresil.core.scalars import INVALID, SchemaError
from payresil.core.schema import (
    REQUIRED,
    LinkSelector,
    NodeSelector,
    expected,
    fields_of,
    parameters_of,
    plain,
    read,
    read_fields,
)
from payresil.core.values import Duration, Rate, Share, Size

if TYPE_CHECKING:
    from payresil.core.protocols import Environment


@dataclass(frozen=True)
class Inner:
    name: str
    size: Size = Size(10)  # noqa: RUF009 - a value, never changed


@dataclass(frozen=True)
class Outer:
    inner: Inner
    many: tuple[Inner, ...] = ()
    named: Mapping[str, int] = field(default_factory=dict)
    body: Any = None
    maybe: Rate | None = None


@contextmanager
def storm(
    environment: Environment,
    share: Share,
    link: LinkSelector = "service->psp",
    wait: Optional[Duration] = None,  # noqa: UP045 - both spellings work
    mode: Literal["up", "down"] = "up",
) -> Iterator[None]:
    """A storm."""
    yield


def value_of(text: str, annotation: Any) -> Any:
    """What `text` is by `annotation`, or the problems."""
    problems: list[Problem] = []
    tree = parse_document(f"v: {text}", "x.yaml", problems)
    assert tree is not None
    value = read(tree.entries[0].value, annotation, problems)
    return [str(problem) for problem in problems] if problems else value


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("word", str, "word"),
        ("10", str, "10"),
        ("'10'", str, "10"),
        ("true", bool, True),
        ("false", bool, False),
        ("-3", int, -3),
        ("3", float, 3.0),
        ("3.5e2", float, 350.0),
        ("10s", Duration, Duration(10)),
        ("'10s'", Duration, Duration(10)),
        ("30/s", Rate, Rate(30)),
        ("30%", Share, Share(0.3)),
        ("64KB", Size, Size(64_000)),
        ("up", Literal["up", "down"], "up"),
        ("2", Literal[1, 2], 2),
        ("", Duration | None, None),
        ("null", Duration | None, None),
        ("1s", Duration | None, Duration(1)),
        ("7", int | str, 7),
        ("x", int | str, "x"),
        ("[a, b]", list[str], ["a", "b"]),
        ("[a, b]", tuple[str, ...], ("a", "b")),
        ("[1s]", Sequence[Duration], [Duration(1)]),
        ("{a: 1, b: 2}", dict[str, int], {"a": 1, "b": 2}),
        ("{a: 1}", Mapping[str, int], {"a": 1}),
        ("a/service.1", NodeSelector, "a/service.1"),
        ("service->psp", LinkSelector, "service->psp"),
        ("[service->psp]", list[LinkSelector], ["service->psp"]),
        ("{name: x}", Inner, Inner("x")),
        ("{name: x, size: 1KB}", Inner, Inner("x", Size(1000))),
        ("{inner: {name: x}, many: [{name: y}]}", Outer, Outer(Inner("x"), (Inner("y"),))),
    ],
)
def test_values_are_typed_by_their_annotation(text: str, annotation: Any, value: Any) -> None:
    found = value_of(text, annotation)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "annotation", "problem"),
    [
        ("10", Duration, "x.yaml:1:4: read '10', expected a duration such as 250ms, 10s, 2m"),
        ("30", Rate, "x.yaml:1:4: read '30', expected a rate such as 30/s, 600/m"),
        ("0.3", Share, "x.yaml:1:4: read '0.3', expected a share such as 30%, 99.9%"),
        ("130%", Share, "x.yaml:1:4: read '130%', expected a share of at most 100%"),
        ("yes", bool, "x.yaml:1:4: read 'yes', expected true or false (did you mean true?)"),
        ("True", bool, "x.yaml:1:4: read 'True', expected true or false (did you mean true?)"),
        ("1:30", int, "x.yaml:1:4: read '1:30', expected a whole number"),
        ("012", int, "x.yaml:1:4: read '012', expected a whole number"),
        ("1_000", int, "x.yaml:1:4: read '1_000', expected a whole number"),
        ("1.0", int, "x.yaml:1:4: read '1.0', expected a whole number"),
        ("'1'", int, "x.yaml:1:4: read text in quotes, '1', expected a whole number"),
        ("9223372036854775808", int, "expected a whole number of at most 64 bits"),
        ("1e999", float, "expected a finite number"),
        (".inf", float, "x.yaml:1:4: read '.inf', expected a number"),
        ("upp", Literal["up", "down"], "expected one of up, down (did you mean up?)"),
        ("", int, "x.yaml:1:3: read nothing, expected a whole number"),
        ("~", str, "x.yaml:1:4: read nothing, expected text"),
        ("[a]", str, "x.yaml:1:4: read a list, expected text"),
        ("x", list[str], "x.yaml:1:4: read 'x', expected a list of text"),
        ("[1, x]", list[int], "x.yaml:1:8: read 'x', expected a whole number"),
        ("x", dict[str, int], "expected a mapping of names to a whole number"),
        ("{a: x}", dict[str, int], "x.yaml:1:8: read 'x', expected a whole number"),
        ("x", int | bool, "x.yaml:1:4: read 'x', expected a whole number or true or false"),
        ("Service", NodeSelector, "expected a node such as a/service.1, a/db or psp"),
        ("service>psp", LinkSelector, "expected a link such as service->psp"),
        ("x", Inner, "x.yaml:1:4: read 'x', expected a mapping with name, size"),
        ("{size: 1KB}", Inner, "x.yaml:1:4: read no name, expected the key name, text"),
        ("{}", Inner, "x.yaml:1:4: read no name, expected the key name, text"),
        (
            "{nam: x}",
            Inner,
            "x.yaml:1:5: read the key 'nam', expected one of the keys name, size "
            "(did you mean name?)",
        ),
    ],
)
def test_what_does_not_fit_is_located(text: str, annotation: Any, problem: str) -> None:
    found = value_of(text, annotation)
    assert len(found) == 1
    assert problem in found[0]


def test_every_problem_of_a_mapping_is_told() -> None:
    found = value_of("{inner: {nme: 1, size: 3}, many: [{}], named: {a: b}, maybe: 3}", Outer)
    assert [line.split(",")[0] for line in found] == [
        "x.yaml:1:13: read the key 'nme'",
        "x.yaml:1:27: read '3'",
        "x.yaml:1:38: read no name",
        "x.yaml:1:54: read 'b'",
        "x.yaml:1:65: read '3'",
    ]


def test_a_signature_is_a_schema() -> None:
    share, link, wait, mode = parameters_of(storm)
    assert (share.name, share.annotation, share.default) == ("share", Share, REQUIRED)
    assert (link.name, link.default) == ("link", "service->psp")
    assert (wait.default, mode.default) == (None, "up")


def test_the_parameters_of_a_class_and_of_a_plain_function() -> None:
    class Fault:
        def __init__(self, environment: object, rate: Rate) -> None: ...

    def nothing(run: object) -> None: ...

    assert [each.name for each in parameters_of(Fault)] == ["rate"]
    assert parameters_of(nothing) == ()


def test_defaults_are_filled_in() -> None:
    problems: list[Problem] = []
    tree = parse_document("share: 5%", "x.yaml", problems)
    assert tree is not None
    assert read_fields(tree, parameters_of(storm), problems) == {
        "share": Share(0.05),
        "link": "service->psp",
        "wait": None,
        "mode": "up",
    }


def _untyped(run, share):  # type: ignore[no-untyped-def]
    """A member whose author forgot the annotations."""


def _odd(run: object, when: complex) -> None:
    """A member whose author asks for what YAML cannot hold."""


def _unresolved(run: object, what: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """A member whose author imports a type for the type checker only."""


def _pair(run: object, what: tuple[int, int]) -> None:
    """A member with a tuple of fixed length."""


def _keyed(run: object, what: dict[int, str]) -> None:
    """A member with keys that are no text."""


@pytest.mark.parametrize("call", [_untyped, _odd, _unresolved, _pair, _keyed])
def test_a_signature_that_yaml_cannot_express_names_its_parameter(call: Any) -> None:
    with pytest.raises(SchemaError, match=rf"parameter '\w+' of {call.__name__}"):
        parameters_of(call)


def test_the_first_parameter_may_have_any_type() -> None:
    def odd(environment: Nowhere, share: Share) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert [each.name for each in parameters_of(odd)] == ["share"]


def test_anything_is_read_as_json_would_be() -> None:
    found = value_of("{a: [1, -2.5, true, null, '1', yes, 1:30, '{x}'], b: {c: }}", Any)
    assert found == {
        "a": [1, -2.5, True, None, "1", "yes", "1:30", "{x}"],
        "b": {"c": None},
    }


def test_a_refused_part_makes_the_whole_invalid() -> None:
    problems: list[Problem] = []
    tree = parse_document("a: {b: *x}", "x.yaml", problems)
    assert tree is not None
    for annotation in (Any, dict[str, str], dict[str, Any]):
        assert read(tree.entries[0].value, annotation, problems) is INVALID
    assert len(problems) == 1  # the alias; nothing is said of what follows from it


def test_values_that_yaml_cannot_hold_are_refused() -> None:
    with pytest.raises(SchemaError, match="YAML cannot hold"):
        plain({"a": object()})


def test_words_for_types() -> None:
    assert expected(dict[str, Duration | None]) == (
        "a mapping of names to a duration such as 250ms, 10s, 2m or nothing"
    )
    assert expected(Any) == "any value"


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
inners = st.builds(Inner, texts, st.integers(0, 10**9).map(Size))
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(["yes", "no", "1:30", "012", "1e5", "1.0e5", "~", "null", ".5", "0x1", "="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
outers = st.builds(
    Outer,
    inners,
    st.lists(inners, max_size=3).map(tuple),
    st.dictionaries(texts, st.integers(-(2**62), 2**62), max_size=3),
    anything,
    st.none() | st.floats(0, 1e6).map(Rate),
)


@given(outers)
def test_what_is_dumped_is_read_back(value: Outer) -> None:
    text = yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True)
    problems: list[Problem] = []
    tree = parse_document(text, "x.yaml", problems)
    assert tree is not None
    found = read(tree, Outer, problems)
    assert problems == []
    assert found == value


def test_fields_of_a_dataclass() -> None:
    assert [each.name for each in fields_of(Outer)] == ["inner", "many", "named", "body", "maybe"]
    assert fields_of(Outer)[2].default == {}
