"""Paying: does an answer say what the system file says it does?"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from payresil.core.system import Api, System
from payresil.core.topology import Topology
from payresil.engine.doctor.caller import FINAL_S, Caller, Heard
from payresil.engine.doctor.seen import Findings, Seen
from payresil.engine.places import Places

AMOUNT_MINOR = 1250
CURRENCY = "eur"


@dataclass(slots=True)
class Visit:
    """What is known so far: the payment that was made, to be looked at from all sides."""

    run: str
    system: System
    topology: Topology
    at: Places
    caller: Caller
    intent: str = ""
    payment: str | None = None
    created: list[str] = field(default_factory=list)
    _intents: int = 0

    def next_intent(self) -> str:
        """A reference that nobody has used."""
        self._intents += 1
        return f"{self.run}-{self._intents - 1}"


def paying(visit: Visit) -> Findings:
    """Create a payment, read it, find it, and ask for it again."""
    visit.intent = visit.next_intent()
    key = f"{visit.intent}-pay"
    first = visit.caller.ask("create", visit.intent, key=key)
    found = list(_created(visit, first))
    yield from found
    if visit.payment is None or any(each.health == "wrong" for each in found):
        return
    yield from _read(visit)
    yield from _found(visit)
    yield from _repeated(visit, first, key)
    yield from _headers(visit, first)


def _created(visit: Visit, heard: Heard) -> Findings:
    at, answer, created = visit.at, heard.answer, visit.system.api.operations["create"]
    path = ("api", "operations", "create")
    if answer.status is None:
        yield Seen("create", "wrong", heard.came, at(*path, "request"))
        return
    if answer.outcome == "fail" or not 200 <= answer.status < 500:
        words = f"{heard.came}: a payment was expected"
        yield Seen("create", "wrong", words, at(*path, "body"))
        return
    yield Seen("create", "good", f"{heard.request} answered {answer.status}", at(*path))
    if answer.payment is None:
        words = f"the answer has no {created.payment!r}; {_has(heard)}"
        yield Seen("create: payment", "wrong", words, at(*path, "payment"))
    else:
        visit.payment = answer.payment
        visit.created.append(answer.payment)
        yield Seen("create: payment", "good", f"its id is in {created.payment!r}")
    yield from _state(visit.system.api, "create", heard, at)


def _has(heard: Heard) -> str:
    return f"it has {', '.join(heard.fields)}" if heard.fields else f"it is {heard.body or 'empty'}"


def _state(api: Api, operation: str, heard: Heard, at: Places) -> Findings:
    """Whether the state is there, and is a word that the system file knows."""
    path, answer = api.operations[operation].state, heard.answer
    where = at("api", "operations", operation, "state")
    name = f"{operation}: state"
    if path is None:
        yield Seen(name, "skipped", "no state in the system file: the status alone is the answer")
    elif answer.state is None:
        yield Seen(name, "wrong", f"the answer has no {path!r}; {_has(heard)}", where)
    elif answer.pending:
        yield Seen(name, "good", f"{answer.state!r}, which is no answer yet")
    elif answer.state in api.final.values():
        yield Seen(name, "good", f"{answer.state!r}, which is final")
    else:
        words = f"{answer.state!r} is under neither final nor pending, so it would be no answer"
        yield Seen(name, "wrong", words, at("api", "final"))


def _read(visit: Visit) -> Findings:
    where = visit.at("api", "operations", "read")
    heard = visit.caller.final(str(visit.payment), visit.intent)
    if heard.answer.status is None or heard.answer.outcome == "fail":
        yield Seen("read", "wrong", heard.came, where)
        return
    yield from _state(visit.system.api, "read", heard, visit.at)
    if heard.answer.outcome != "ok":
        words = f"after {FINAL_S:g} s the payment was not final: {heard.came}"
        yield Seen("read", "wrong", words, where)
    elif heard.answer.payment != visit.payment and visit.system.api.operations["read"].payment:
        yield Seen("read", "wrong", _another(visit, "read", heard), where)
    else:
        yield Seen("read", "good", f"{heard.request}: {heard.answer.state or 'answered'}")


def _another(visit: Visit, operation: str, heard: Heard) -> str:
    path = visit.system.api.operations[operation].payment
    if heard.answer.payment is None:
        return f"the answer has no {path!r}; {_has(heard)}"
    return f"it tells of payment {heard.answer.payment}, and was asked for {visit.payment}"


def _found(visit: Visit) -> Findings:
    if not visit.caller.has("find"):
        words = "no find: what became of payments without an answer cannot be asked in the end"
        yield Seen("find", "wrong", words, visit.at("api", "operations"))
        return
    where = visit.at("api", "operations", "find")
    heard = visit.caller.ask("find", visit.intent)
    if heard.answer.payment != visit.payment:
        words = f"{heard.came}: payment {visit.payment} was expected by its reference"
        yield Seen("find", "wrong", words, where)
        return
    yield Seen("find", "good", f"{heard.request} finds it by its reference")
    unknown = visit.caller.ask("find", f"{visit.run}-{secrets.token_hex(4)}")
    if unknown.answer.status == 404:
        yield Seen("find: unknown", "good", "a reference that nobody sent is not found: 404")
    else:
        words = (
            f"{unknown.came} for a reference that nobody sent; only 404 says for sure that a "
            "payment was never taken, anything else leaves it unknown"
        )
        yield Seen("find: unknown", "doubtful", words, where)


def _repeated(visit: Visit, first: Heard, key: str) -> Findings:
    header = visit.system.api.key_header
    heard = visit.caller.ask("create", visit.intent, key=key)
    where = visit.at("api", "key_header")
    if heard.answer.payment is None:
        yield Seen("repeated key", "wrong", f"{heard.came}: the same payment was expected", where)
        return
    if heard.answer.payment != visit.payment:
        visit.created.append(heard.answer.payment)
        words = (
            f"the same request under the same {header} gave another payment, "
            f"{heard.answer.payment}: is {header} the header that the service looks at?"
        )
        yield Seen("repeated key", "wrong", words, where)
        return
    yield Seen("repeated key", "good", f"the same {header} gives the same payment")
    replay = visit.system.api.replay_header
    if replay is None:
        yield Seen("replay header", "skipped", "none in the system file")
    elif heard.answer.replayed and not first.answer.replayed:
        yield Seen("replay header", "good", f"{replay} is on the repeated answer only")
    else:
        how = "on the first answer, too" if first.answer.replayed else "not on the repeated answer"
        words = f"{replay} is {how}"
        yield Seen("replay header", "wrong", words, visit.at("api", "replay_header"))


def _headers(visit: Visit, first: Heard) -> Iterator[Seen]:
    """Where the service says which region and which instance answered."""
    api, nodes = visit.system.api, visit.topology.nodes
    known = {
        "region_header": (api.region_header, {node.region for node in nodes if node.region}),
        "instance_header": (api.instance_header, {str(node) for node in nodes}),
    }
    for key, (header, names) in known.items():
        name = key.replace("_", " ")
        if header is None:
            yield Seen(name, "skipped", "none in the system file")
            continue
        value = first.headers.get(header.lower())
        where = visit.at("api", key)
        if value is None:
            yield Seen(name, "wrong", f"no answer has the header {header}", where)
        elif value not in names:
            words = f"{header} says {value!r}, which is none of {', '.join(sorted(names))}"
            yield Seen(name, "wrong", words, where)
        else:
            yield Seen(name, "good", f"{header} says {value}")
