"""Checkers look at hashes first; what they find is what looking at everything finds."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from payresil.checkers import (
    convergence,
    double_entry,
    durability,
    idempotency,
    lifecycle,
    reconciliation,
    webhooks,
)
from payresil.checkers.lateness import ranked
from payresil.core.run import Run
from payresil.core.values import Duration

S = 1_000_000_000

CONTRADICTED = """
select intent, payment, case when one <> other then one else 'authorized' end as one, other
from (
  select min(intent) as intent, payment,
         min(answer) filter (answer <> 'authorized') as one,
         max(answer) filter (answer <> 'authorized') as other,
         bool_or(answer = 'authorized') as authorized,
         bool_or(answer in ('declined', 'failed')) as refused
  from attempts where operation = 'pay' and outcome = 'ok' and payment is not null
  group by payment
)
where one <> other or (authorized and refused) order by intent, payment
"""
SHARED = """
select payment, min(intent) as one, max(intent) as other from attempts
where payment is not null group by payment having one <> other order by one, payment
"""
SAME_KEY = """
select * from (
  select min(intent) as intent, operation, key,
         min(payment) as payment, max(payment) as other_payment,
         min(amount_minor) filter (outcome = 'ok') as amount,
         max(amount_minor) filter (outcome = 'ok') as other_amount,
         min(currency) filter (outcome = 'ok') as currency,
         max(currency) filter (outcome = 'ok') as other_currency
  from attempts where key is not null and kind <> 'read' group by operation, key
)
where payment <> other_payment or amount <> other_amount or currency <> other_currency
order by intent, operation, key
"""
JOURNALS = """
select journal, currency, sum(amount_minor) as off, count(*) as legs, min(intent) as intent
from books_entries group by journal, currency
having count(*) < 2 or sum(amount_minor) <> 0 or bool_or(amount_minor is null)
order by intent, journal, currency
"""
PAYMENTS = """
with posted as (
  select payment, currency, min(intent) as intent,
         sum(amount_minor) filter (journal_kind = 'capture' and amount_minor > 0) as captured,
         sum(amount_minor) filter (journal_kind = 'refund' and amount_minor > 0) as refunded,
         bool_or(journal_kind = 'reversal') as reversed
  from books_entries where journal_kind in ('capture', 'refund', 'reversal')
  group by payment, currency
), reversed as (
  select payment, currency, sum(net) filter (net > 0) as net
  from (select payment, currency, account, sum(amount_minor) as net from books_entries
        where journal_kind in ('capture', 'refund', 'reversal')
          and payment in (select payment from posted where reversed)
        group by payment, currency, account)
  group by payment, currency
), booked as (
  select payment, intent, currency, coalesce(captured_minor, 0) as captured,
         coalesce(refunded_minor, 0) as refunded from books_payments
)
select payment, currency, coalesce(booked.intent, posted.intent) as intent,
       coalesce(booked.captured, 0), coalesce(posted.captured, 0),
       coalesce(booked.refunded, 0), coalesce(posted.refunded, 0),
       coalesce(posted.reversed, false), coalesce(reversed.net, 0)
from booked full join posted using (payment, currency)
left join reversed using (payment, currency)
where case when posted.reversed
           then coalesce(reversed.net, 0)
                <> coalesce(booked.captured, 0) - coalesce(booked.refunded, 0)
           else coalesce(booked.captured, 0) <> coalesce(posted.captured, 0)
             or coalesce(booked.refunded, 0) <> coalesce(posted.refunded, 0) end
order by intent, payment, currency
"""


def optional(*values):
    return st.sampled_from([None, *values])


attempts = st.lists(
    st.fixed_dictionaries(
        {
            "intent": optional("r-1", "r-2"),
            "operation": optional("pay", "pay", "refund.1"),
            "kind": optional("create", "read", "refund"),
            "key": optional(*"klmnop"),
            "payment": optional(*"pqrstu"),
            "amount_minor": optional(1, 2),
            "currency": optional("eur", "usd"),
            "outcome": optional("ok", "ok", "fail"),
            "answer": optional("succeeded", "declined", "authorized"),
        }
    ),
    max_size=24,
)
entries = st.lists(
    st.fixed_dictionaries(
        {
            "journal": optional(*"jklmno"),
            "journal_kind": optional("capture", "capture", "refund", "reversal", "odd"),
            "account": optional("a", "b"),
            "amount_minor": optional(-5, 5, 0),
            "currency": optional("eur", "usd"),
            "payment": optional(*"pqrstu"),
            "intent": optional("r-1"),
        }
    ),
    max_size=24,
)
payments = st.lists(
    st.fixed_dictionaries(
        {
            "payment": optional(*"pqrstu"),
            "intent": optional("r-1", "r-2"),
            "currency": optional("eur", "usd"),
            "captured_minor": optional(0, 5, 10),
            "refunded_minor": optional(0, 5),
        }
    ),
    max_size=8,
)


def same(run, sql, reference):
    assert sorted(map(repr, run.rows(sql))) == sorted(map(repr, run.rows(reference)))


@settings(deadline=None, max_examples=25)
@given(attempts)
def test_answers_and_keys(rows):
    run = Run.from_rows({"run": "r"}, attempts=rows)
    idempotency._look_at_answers(run)
    idempotency._look_at_keys(run)
    same(run, idempotency._CONTRADICTED, CONTRADICTED)
    same(run, idempotency._SHARED, SHARED)
    same(run, idempotency._SAME_KEY, SAME_KEY)


@settings(deadline=None, max_examples=25)
@given(entries, payments)
def test_journals_and_payments(legs, booked):
    run = Run.from_rows({"run": "r"}, books_entries=legs, books_payments=booked)
    journals = {leg["journal"] for leg in legs} - {None}
    assert double_entry._look_at_journals(run) == len(journals)
    double_entry._look_at_payments(run)
    same(run, double_entry._JOURNALS, JOURNALS)
    same(run, double_entry._PAYMENTS, PAYMENTS)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, 50) | st.none(), min_size=1, max_size=60), st.data())
def test_the_value_of_a_rank_is_the_one_that_sorting_gives(times, data):
    steady = [
        {"at_ns": at_ns, "kind": "phase", "name": "steady", "what": what}
        for at_ns, what in ((0, "begin"), (10 * S, "end"))
    ]
    rows = [
        {
            "intent": f"r-{n}", "n": n, "operation": "pay", "kind": "create", "source": "load",
            "due_ns": n, "sent_ns": n, "done_ns": None if ns is None else n + ns,
            "outcome": "ok" if ns is not None else "unknown",
        }
        for n, ns in enumerate(times)
    ]  # fmt: skip
    run = Run.from_rows({"run": "r"}, attempts=rows, events=steady)
    ranks = data.draw(st.lists(st.integers(1, len(times))))
    ordered = sorted(ns for ns in times if ns is not None)
    found = ranked(run, "steady", {"ok_ns - due_ns": ranks, "sent_ns - due_ns": [1]})
    assert found["ok_ns - due_ns"] == {r: ordered[r - 1] for r in ranks if r <= len(ordered)}
    assert found["sent_ns - due_ns"] == {1: 0}


# --- second looks at everything: what they find is what they find of the suspects -----------------

transitions = st.lists(
    st.fixed_dictionaries(
        {
            "payment": optional("p", "q", "r"),
            "intent": optional("r-1"),
            "seq": optional(1, 1, 2, 2, 3, 4),
            "from_state": optional("processing", "authorized"),
            "to_state": optional("processing", "authorized", "succeeded", "succeeded", "odd"),
            "cause": st.just("request"),
        }
    ),
    max_size=8,
)
states = st.lists(
    st.fixed_dictionaries(
        {
            "payment": optional("p", "q", "r"),
            "intent": optional("r-1"),
            "state": optional("processing", "authorized", "succeeded", "succeeded", "odd"),
        }
    ),
    max_size=4,
)
MOMENTS = st.integers(0, 9).map(lambda second: second * S)
told = st.lists(
    st.fixed_dictionaries(
        {
            "event": optional(*"efg"),
            "type": optional("charge.succeeded", "charge.updated"),
            "object": optional("o", "p"),
            "reference": optional("r-1", "r-2"),
            "attempt": st.sampled_from([0, 0, 1, 1, 2]),
            "at_ns": MOMENTS,
            "answered_ns": st.none() | MOMENTS,
            "status": optional(200, 500),
            "delivered": st.booleans(),
        }
    ),
    max_size=12,
)
heard = st.lists(
    st.fixed_dictionaries(
        {
            "event": optional(*"efgh"),
            "type": optional("charge.succeeded", "charge.updated"),
            "object": optional("o", "p"),
            "intent": optional("r-1", "r-2"),
            "state": optional("received", "applied"),
            "effects": optional(0, 1, 1, 2),
        }
    ),
    max_size=8,
)
PHASES = [
    {"at_ns": at_ns, "kind": kind, "name": name, "what": what, "detail": "{}"}
    for at_ns, kind, name, what in (
        (1 * S, "fault", "lost", "inject"),
        (1 * S, "fault", "lost", "injected"),
        (3 * S, "fault", "lost", "heal"),
        (3 * S, "fault", "lost", "healed"),
        (5 * S, "phase", "drain", "begin"),
        (5 * S, "phase", "drain", "end"),
        (9 * S, "phase", "audit", "begin"),
    )
]
AGREEING = {
    "attempts": {
        "intent": "r-1", "operation": "pay", "kind": "create", "source": "load",
        "amount_minor": 5, "currency": "eur", "sent_ns": 0, "done_ns": 1, "outcome": "ok",
        "answer": "succeeded",
    },
    "books_payments": {
        "payment": "p", "intent": "r-1", "state": "succeeded", "amount_minor": 5,
        "captured_minor": 5, "refunded_minor": 0, "currency": "eur", "created_us": 0,
        "updated_us": 0,
    },
    "psp_charges": {
        "charge": "c", "reference": "r-1", "status": "succeeded", "amount_minor": 5,
        "captured_minor": 5, "refunded_minor": 0, "currency": "eur",
    },
    "books_refunds": {"refund": "b", "intent": "r-1", "state": "failed", "amount_minor": 2},
    "psp_refunds": {"refund": "g", "reference": "r-1", "status": "failed", "amount_minor": 2},
}  # fmt: skip
#: What a row may have instead, one thing of one table.
OTHERWISE = [
    (table, column, value)
    for table, columns in {
        "attempts": {
            "operation": ["refund.1", "capture", "cancel"],
            "kind": ["refund", "capture", "cancel", "read"],
            "source": ["audit"], "amount_minor": [4], "currency": ["usd"],
            "outcome": ["unknown", "fail"], "answer": ["declined", "canceled", "failed", None],
        },
        "books_payments": {
            "intent": ["r-2", None], "state": ["processing", "authorized", "declined"],
            "amount_minor": [4], "captured_minor": [4, 0, None], "refunded_minor": [2, None],
            "currency": ["usd", None], "created_us": [10**6, None], "updated_us": [10**6, None],
        },
        "psp_charges": {
            "reference": ["r-2", None], "status": ["failed"], "captured_minor": [4, 0, None],
            "refunded_minor": [2, 5, None], "currency": ["usd", None],
        },
        "books_refunds": {"state": ["processing", "succeeded"]},
        "psp_refunds": {"status": ["succeeded"]},
    }.items()
    for column, values in columns.items()
    for value in values
]  # fmt: skip


def without(text, condition):
    """The same SQL for every row."""
    assert condition in text
    return text.replace(condition, "true")


@settings(deadline=None, max_examples=40)
@given(states, transitions)
def test_ways_of_payments(booked, steps):
    run = Run.from_rows({"run": "r"}, books_payments=booked, books_transitions=steps)
    found = list(lifecycle._strayed(run))
    with patch.object(lifecycle, "_STEPS", without(lifecycle._STEPS, lifecycle._STRAYED)):
        # the database tells its nameless rows apart from others in its own way
        everything = [each for each in lifecycle._strayed(run) if "payment None" not in str(each)]
    assert sorted(map(repr, found)) == sorted(map(repr, everything))


@settings(deadline=None, max_examples=40)
@given(told, heard)
def test_events(sent, received):
    run = Run.from_rows({"run": "r"}, psp_events=sent, books_inbox=received)
    suspects = list(webhooks.webhooks(run))
    condition = (
        "effects > 1 or (effects > 0 and "
        f"hash({webhooks._SUBJECT}, type) >> 32 in (from changed_again))"
    )
    several = "hash(object) >> 32 in (from heard_several)"
    with (
        patch.object(webhooks, "_EVENTS", without(webhooks._EVENTS, webhooks._SUSPECT)),
        patch.object(
            webhooks, "_EFFECTS", webhooks._EFFECTS.replace(condition, "effects > 0")
        ) as effects,
        patch.object(
            webhooks, "_OUT_OF_ORDER", webhooks._OUT_OF_ORDER.replace(several, "object is not null")
        ) as out_of_order,
    ):
        assert condition not in effects
        assert several not in out_of_order
        assert sorted(map(repr, suspects)) == sorted(map(repr, webhooks.webhooks(run)))


@settings(deadline=None, max_examples=40)
@given(told)
def test_events_that_were_not_delivered_in_time(sent):
    run = Run.from_rows({"run": "r"}, psp_events=sent, events=PHASES)
    within = {"within": Duration(2)}
    suspects = list(convergence.convergence(run, **within))
    condition = "hash(event) >> 32 in (from perhaps_undelivered)"
    every = without(convergence._OPEN["webhooks"], condition)
    with patch.dict(convergence._OPEN, webhooks=every):
        assert list(convergence.convergence(run, **within)) == suspects


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from(OTHERWISE), max_size=2),
    st.lists(st.sampled_from([*AGREEING]), max_size=2),
    st.sampled_from(OTHERWISE),
)
def test_intents_that_agree_have_no_break(changes, twice, beside):
    tables = {table: [dict(row)] for table, row in AGREEING.items()}
    for table, column, value in changes:
        tables[table][0][column] = value
    for table in twice:
        tables[table].append(dict(AGREEING[table]))
    if beside[0] in twice:  # the second row is another one
        tables[beside[0]][1][beside[1]] = beside[2]
    run = Run.from_rows({"run": "r", "zero_wall_us": 0}, **tables)
    same(run, reconciliation._BREAKS, without(reconciliation._BREAKS, "not agrees"))
    found, everything = durability._WRONG, without(durability._WRONG, "not agrees")
    assert sorted(map(repr, run.rows(found, [0]))) == sorted(map(repr, run.rows(everything, [0])))


def test_one_that_agrees_is_among_them():
    rows = {table: [row] for table, row in AGREEING.items()}
    assert Run.from_rows({"run": "r", "zero_wall_us": 0}, **rows).rows(
        "select intent, agrees from three_books"
    ) == [("r-1", True)]
