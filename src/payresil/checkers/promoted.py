"""What each promoted database held, against what had been acknowledged before it was promoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from payresil.core.remedy_record import Promotion, promotions
from payresil.core.results import Doubt
from payresil.core.run import Run

_SNAPSHOTS = """
select node, at_ns from snapshots where moment = 'promoted' group by all order by at_ns, node
"""

#: `$1`: when the promotion began; `$2` and `$3`: the snapshot.
_LOST = """
select intent, acknowledged_ns, coalesce(expected_minor, 0), coalesce(asked_currency, '?')
from three_books
where acknowledged_ns < $1 and intent not in (
  select intent from snapshots
  where moment = 'promoted' and node = $2 and at_ns = $3 and state = 'succeeded'
    and intent is not null)
order by acknowledged_ns, intent
"""

_ACKNOWLEDGED = "select count(*) from three_books where acknowledged_ns < ?"


@dataclass(frozen=True, slots=True)
class LostPayment:
    """A payment that its customer was told of and that a database does not hold as succeeded."""

    intent: str
    acknowledged_ns: int
    minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Survivors:
    """A promotion, what had been acknowledged before it began, and what of it was lost.

    `node` is None when nobody looked into the database before it was changed: nothing is known
    to be lost then.
    """

    promotion: Promotion
    node: str | None
    acknowledged: int
    lost: tuple[LostPayment, ...]

    @property
    def name(self) -> str:
        """The remedy's id."""
        return self.promotion.remedy.id


def survivors(run: Run) -> list[Survivors]:
    """Every promotion of a run, oldest first, each with the snapshot taken right after it."""
    snapshots = run.rows(_SNAPSHOTS)
    done = promotions(run)
    found = []
    for promotion, following in zip_longest(done, done[1:]):
        next_ns = None if following is None else following.start_ns
        acknowledged = run.one(_ACKNOWLEDGED, [promotion.start_ns])
        mine = [
            (node, at_ns)
            for node, at_ns in snapshots
            if at_ns >= promotion.start_ns and (next_ns is None or at_ns < next_ns)
        ]
        if not mine:
            found.append(Survivors(promotion, None, acknowledged, ()))
            continue
        node, at_ns = mine[0]
        rows = run.rows(_LOST, [promotion.start_ns, node, at_ns])
        lost = tuple(LostPayment(*row) for row in rows)
        found.append(Survivors(promotion, node, acknowledged, lost))
    return found


def untested(found: Sequence[Survivors]) -> Iterator[Doubt]:
    """Promotions that show nothing of what survives."""
    for each in found:
        if each.node is None:
            yield Doubt(
                f"{each.name}: there is no snapshot of the promoted database, or it was empty, so "
                "what survived is not known"
            )
        if each.acknowledged == 0:
            yield Doubt(f"{each.name}: nothing was acknowledged before, so nothing could be lost")
