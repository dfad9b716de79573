"""What a run created in a system that it did not start: listed, and taken back where that is known.

The list is ``created.json`` in the run folder. It is written before anything is taken back, so that
it is there whatever happens then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from payresil.core.run import Run
from payresil.core.tables import read_folder
from payresil.workloads.undoing import Taking

CREATED_FILE = "created.json"

#: Every payment of the run that anybody has heard of, with what is left of it to be given back. The
#: service's own books know best; customers know of those that the books were not read of.
_PAYMENTS = """
with told as (
  select intent, payment, any_value(currency) as currency,
         max_by(answer, done_ns) filter (outcome = 'ok' and kind <> 'refund') as state,
         max(amount_minor) filter (kind = 'create') as amount_minor
  from attempts where payment is not null group by intent, payment
), given_back as (
  select intent, payment, sum(amount_minor)::bigint as amount_minor from (
    select distinct intent, payment, operation, amount_minor from attempts
    where kind = 'refund' and outcome = 'ok' and answer = 'succeeded') group by intent, payment
)
select coalesce(b.intent, t.intent) as intent, coalesce(b.payment, t.payment) as payment,
       coalesce(b.state, t.state, 'unknown') as state,
       coalesce(b.captured_minor - b.refunded_minor,
                t.amount_minor - coalesce(g.amount_minor, 0), 0)::bigint as left_minor,
       coalesce(b.amount_minor, t.amount_minor) as amount_minor,
       coalesce(b.currency, t.currency) as currency
from books_payments b full join told t on b.payment = t.payment
left join given_back g on g.payment = coalesce(b.payment, t.payment)
order by 1, 2
"""


def list_created(folder: Path) -> list[dict[str, Any]]:
    """Write down every payment that the run created; the list."""
    run = Run(read_folder(folder), {})
    names = ("intent", "payment", "state", "left_minor", "amount_minor", "currency")
    created = [dict(zip(names, row, strict=True)) for row in run.rows(_PAYMENTS)]
    _write(folder, created)
    return created


def take_back(
    folder: Path,
    created: Iterable[Mapping[str, Any]],
    how: Mapping[str, str],
    undo: Callable[[list[Taking]], Mapping[str, str]],
) -> dict[str, int]:
    """Undo what can be undone, `how` saying by which operation in which state; how many.

    The list is written again with what the service answered.
    """
    rows = list(created)
    takings = [
        Taking(row["intent"], row["payment"], how[row["state"]],
               row["left_minor"] or row["amount_minor"], row["currency"])
        for row in rows
        if row["state"] in how and (row["left_minor"] > 0 or how[row["state"]] == "cancel")
    ]  # fmt: skip
    answers = undo(takings)
    _write(folder, [{**row, "undone": answers.get(row["payment"])} for row in rows])
    done = sum(answer.startswith("2") for answer in answers.values())
    return {"created": len(rows), "to_undo": len(takings), "undone": done}


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    path = folder / CREATED_FILE
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    draft.rename(path)
