"""Views group only what has to be grouped; they say what grouping everything would say."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from payresil.core.run import Run
from payresil.core.views import VIEWS

MANY = [f"r-{n}" for n in range(12)]


def optional(*values):
    return st.sampled_from([None, *values])


attempts = st.lists(
    st.fixed_dictionaries(
        {
            "intent": optional(*MANY),
            "n": optional(1, 2),
            "operation": optional("pay", "pay", "refund.1"),
            "source": optional("load", "load", "probe", "audit"),
            "journey": optional("checkout", "impatient"),
            "kind": optional("create", "read"),
            "amount_minor": optional(1, 2),
            "currency": optional("eur", "usd"),
            "due_ns": optional(1, 2),
            "sent_ns": optional(1, 2),
            "done_ns": optional(1, 2),
            "outcome": optional("ok", "fail", "unknown"),
            "answer": optional("succeeded", "declined"),
            "payment": optional("p", "q"),
        }
    ),
    max_size=30,
)
payments = st.lists(
    st.fixed_dictionaries(
        {
            "payment": optional("p", "q"),
            "intent": optional(*MANY, "payment p"),
            "state": optional("succeeded", "processing", "authorized", "odd"),
            "amount_minor": optional(0, 5),
            "captured_minor": optional(0, 5),
            "refunded_minor": optional(0, 5),
            "currency": optional("eur", "usd"),
            "created_us": optional(1, 2),
        }
    ),
    max_size=30,
)
charges = st.lists(
    st.fixed_dictionaries(
        {
            "charge": optional("c", "d"),
            "reference": optional(*MANY, "charge c"),
            "status": optional("succeeded", "succeeded", "failed"),
            "captured_minor": optional(0, 5),
            "refunded_minor": optional(0, 5),
            "currency": optional("eur", "usd"),
            "created_ns": optional(1, 2),
        }
    ),
    max_size=30,
)


def grouped(name, chosen):
    """The part of a view that groups, with its choice of rows taken out: it groups them all."""
    (sql,) = (sql for sql in VIEWS if f"create view {name} as" in sql)
    query = sql.split(" as\n", 1)[1].split("union all\n")[-1]
    assert chosen in query, f"{name} chooses by something else than {chosen}"
    return f"select * from ({query.replace(chosen, 'true')}) order by all"


@settings(deadline=None, max_examples=20)
@given(attempts)
def test_customers_are_those_that_grouping_them_all_gives(rows):
    run = Run.from_rows({"run": "r"}, attempts=rows)
    everybody = grouped("customers_again", "hash(intent) in (from tried_again)")
    assert run.rows("from customers order by all") == run.rows(everybody)


@settings(deadline=None, max_examples=20)
@given(payments)
def test_the_service_s_money_is_what_grouping_it_all_gives(rows):
    run = Run.from_rows({"run": "r"}, books_payments=rows)
    chosen = "hash(coalesce(intent, 'payment ' || payment)) in (from booked_again)"
    everything = grouped("service_money", chosen)
    assert run.rows("from service_money order by all") == run.rows(everything)


@settings(deadline=None, max_examples=20)
@given(charges)
def test_the_psp_s_money_is_what_grouping_it_all_gives(rows):
    run = Run.from_rows({"run": "r"}, psp_charges=rows)
    chosen = "hash(coalesce(reference, 'charge ' || charge)) in (from charged_again)"
    everything = grouped("psp_money", chosen)
    assert run.rows("from psp_money order by all") == run.rows(everything)
