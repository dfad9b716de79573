"""The reconciliation job on real books and a real account at the PSP."""

import pytest
import requests


@pytest.fixture
def books(start_refpay, psp, postgres, database_name):
    """A service whose books can be spoilt, and whose unknowns nobody else resolves."""
    service = start_refpay(RESOLVE_EVERY_MS="60000", PSP_ATTEMPTS="1")

    def spoil(statement):
        postgres.sql(database_name, "set session_replication_role = replica; " + statement)

    service.spoil = spoil
    service.sql = lambda statement: postgres.sql(database_name, statement).strip()
    service.psp_key = f"sk_test_{database_name}"
    service.name = database_name
    return service


def _run_twice(service, *expected):
    """The first run finds and repairs this; the second finds nothing and changes nothing."""
    first = service.reconcile()
    found = [(one["type"], one["remedy"], one["state"]) for one in first["breaks"]]
    assert found == list(expected), service.node.log()
    assert first["remedied"] == len(expected)
    before = _money(service)
    second = service.reconcile()
    assert (second["breaks"], second["remedied"]) == ([], 0)
    assert second["run"] == first["run"] + 1
    assert _money(service) == before
    _balanced(service)


def _money(service):
    return service.sql(
        "select (select count(*) from entries), (select count(*) from transitions),"
        " (select string_agg(id || state || captured_minor || refunded_minor, ',' order by id)"
        " from payments), (select string_agg(id || state, ',' order by id) from operations)"
    )


def _balanced(service):
    assert service.sql("select sum(amount_minor) from entries") in ("0", "")
    wrong = service.sql(
        "select account from (select account, currency, sum(balance_minor) as kept from balances"
        " group by 1, 2) b full join (select account, currency, sum(amount_minor) as booked"
        " from entries group by 1, 2) e using (account, currency)"
        " where coalesce(kept, 0) <> coalesce(booked, 0)"
    )
    assert wrong == ""


def _psp(service, psp, method, path, **form):
    answer = requests.request(method, f"{psp.url}/v1/{path}", data=form, timeout=5,
                              headers={"Authorization": f"Bearer {service.psp_key}"})  # fmt: skip
    assert answer.ok, answer.text
    return answer.json()


def test_books_that_agree_are_left_alone(books):
    books.pay("fine-1")
    books.pay("poor-1", payment_method="pm_card_chargeDeclined")
    books.pay("held-1", capture="manual")

    report = books.reconcile()

    assert (report["examined"], report["breaks"], report["remedied"]) == (3, [], 0)
    assert report["stopped"] is None


def test_missing_internal_is_adopted(books, psp):
    payment = books.pay("lost").json()
    for table in ("payments", "transitions", "entries", "balances", "outbox", "idempotency_keys"):
        books.spoil(f"delete from {table}")

    _run_twice(books, ("missing_internal", "adopted", "resolved"))

    assert books.payment(payment["id"])["state"] == "succeeded"
    assert books.payment(payment["id"])["reference"] == "lost"
    assert books.sql("select count(*) from entries where kind = 'capture'") == "2"


def _lose(books):
    """Everything that the books hold of any payment, as with a region that was not replicated."""
    for table in ("payments", "operations", "transitions", "entries", "balances", "outbox",
                  "idempotency_keys", "inbox"):  # fmt: skip
        books.spoil(f"delete from {table}")


def test_the_refunds_of_a_lost_payment_are_adopted_with_it(books, psp):
    payment = books.pay("lost-refund").json()
    path = f"/payments/{payment['id']}/refunds"
    refund = books.call("POST", path, {"amount_minor": 300}, "key-refund").json()
    _lose(books)

    _run_twice(
        books,
        ("missing_internal", "adopted", "resolved"),
        ("refund_mismatch", "adopted", "resolved"),
    )

    assert books.payment(payment["id"])["refunded_minor"] == 300
    again = books.call("POST", path, {"amount_minor": 300}, "key-refund")
    assert (again.status_code, again.json()["id"]) == (201, refund["id"])
    assert books.payment(payment["id"])["refunded_minor"] == 300


def test_a_lost_authorization_is_adopted_as_one(books, psp):
    payment = books.pay("lost-held", capture="manual").json()
    _lose(books)

    _run_twice(books, ("missing_internal", "adopted", "resolved"))

    assert books.payment(payment["id"])["state"] == "authorized"
    captured = books.call("POST", f"/payments/{payment['id']}/capture", {}, "key-capture")
    assert captured.json()["state"] == "succeeded"


def test_a_lost_payment_that_was_charged_twice_keeps_one_charge(books, psp):
    payment = books.pay("lost-twice").json()
    _psp(books, psp, "POST", "payment_intents", amount=1250, currency="eur", confirm="true",
         payment_method="pm_card_visa", **{"payment_method_types[]": "card",
         "metadata[merchant_reference]": "lost-twice",
         "metadata[payment]": payment["id"]})  # fmt: skip
    _lose(books)

    _run_twice(
        books,
        ("missing_internal", "adopted", "resolved"),
        ("duplicate_psp", "refunded", "resolved"),
    )

    kept = [row for row in psp.charges("lost-twice") if row["refunded_minor"] == 0]
    assert len(kept) == 1


def test_missing_psp_is_booked_out(books):
    payment = books.pay("phantom").json()
    books.spoil("update payments set psp_payment = 'pi_gone', id = 'pay_phantom';"
                " update transitions set payment = 'pay_phantom';"
                " update entries set payment = 'pay_phantom', journal = 'capture:x'")  # fmt: skip
    assert books.call("GET", f"/payments/{payment['id']}").status_code == 404

    first = books.reconcile()

    assert {(one["type"], one["remedy"]) for one in first["breaks"]} == {
        ("missing_psp", "reversed"), ("missing_internal", "adopted"),
    }  # fmt: skip
    assert books.payment("pay_phantom")["state"] == "failed"
    assert books.payment("pay_phantom")["captured_minor"] == 0
    second = books.reconcile()
    assert (second["breaks"], second["remedied"]) == ([], 0)
    _balanced(books)


def test_an_amount_too_high_is_booked_down(books):
    books.pay("too-much")
    books.spoil("update payments set captured_minor = 1500;"
                " update entries set amount_minor = sign(amount_minor) * 1500;"
                " update balances set balance_minor = sign(balance_minor) * 1500")  # fmt: skip

    _run_twice(books, ("amount", "adjusted", "resolved"))

    assert books.sql("select captured_minor from payments") == "1250"


def test_a_capture_that_the_books_missed_is_booked(books, psp):
    held = books.pay("captured-there", capture="manual").json()
    intent = books.sql("select psp_payment from payments")
    _psp(books, psp, "POST", f"payment_intents/{intent}/capture", amount_to_capture=1000)

    _run_twice(books, ("status", "moved", "resolved"))

    assert books.payment(held["id"])["state"] == "succeeded"
    assert books.payment(held["id"])["captured_minor"] == 1000


def test_money_of_a_payment_that_was_given_up_goes_back(books, psp):
    books.pay("told-failed")
    books.spoil("update payments set state = 'failed', captured_minor = 0;"
                " delete from entries; delete from balances")  # fmt: skip

    _run_twice(books, ("status", "refunded", "resolved"))

    (charge,) = psp.charges("told-failed")
    assert charge["refunded_minor"] == 1250


def test_of_two_charges_the_newest_goes_back(start_refpay, psp, postgres, database_name):
    service = start_refpay(FLAW="key-per-attempt")
    service.sql = lambda statement: postgres.sql(database_name, statement).strip()
    reference = f"twice-{database_name}"
    psp.rule("after_commit_lost", "reset", match={"reference": reference, "nth": 1})
    service.pay(reference)
    assert len(psp.charges(reference)) == 2

    _run_twice(service, ("duplicate_psp", "refunded", "resolved"))

    earliest, newest = sorted(psp.charges(reference), key=lambda row: row["created_mono_ns"])
    assert (earliest["refunded_minor"], newest["refunded_minor"]) == (0, 1250)
    (refund,) = [row for row in psp.table("psp_refunds") if row["reference"] == reference]
    assert refund["key"] == f"dup-refund:{newest['charge']}"
    assert service.sql("select psp_charge from payments") == earliest["charge"]


def test_a_currency_that_differs_is_for_a_human(books):
    books.pay("exchange")
    books.spoil("update payments set currency = 'usd'")

    for _ in range(2):
        report = books.reconcile()
        assert [(b["type"], b["remedy"], b["state"]) for b in report["breaks"]] == [
            ("currency", "manual", "open")
        ]
        assert report["remedied"] == 0
    assert books.sql("select count(*), max(state) from breaks") == "1|open"


def test_stuck_unknowns_are_asked_about(books, psp):
    psp.rule("after_commit_lost", "reset")
    payment = books.pay("stuck").json()
    assert payment["state"] == "processing"
    psp.heal()

    _run_twice(books, ("stuck_unknown", "resolved", "resolved"))

    assert books.payment(payment["id"])["state"] == "succeeded"


def test_a_refund_made_at_the_psp_is_adopted(books, psp):
    payment = books.pay("refunded-there").json()
    intent = books.sql("select psp_payment from payments")
    _psp(books, psp, "POST", "refunds", payment_intent=intent, amount=250)

    _run_twice(books, ("refund_mismatch", "adopted", "resolved"))

    assert books.payment(payment["id"])["refunded_minor"] == 250


def test_a_refund_that_the_psp_does_not_have_is_booked_back(books, psp):
    payment = books.pay("refund-phantom").json()
    books.call("POST", f"/payments/{payment['id']}/refunds", {"amount_minor": 250}, "r")
    intent = books.sql("select psp_payment from payments")
    books.spoil("update operations set psp_object = 're_gone', id = 'ref_gone'")
    books.spoil("update entries set journal = 'refund:ref_gone' where kind = 'refund'")
    assert intent

    report = books.reconcile()

    # The one at the PSP has no counterpart, and the one in the books neither.
    assert {one["type"] for one in report["breaks"]} == {"refund_mismatch"}
    books.reconcile()
    assert books.payment(payment["id"])["refunded_minor"] == 250
    assert books.reconcile()["breaks"] == []
    _balanced(books)


def test_more_than_a_run_may_repair_is_held(start_refpay, psp):
    service = start_refpay(RESOLVE_EVERY_MS="60000", PSP_ATTEMPTS="1", RECONCILE_MAX_REMEDIES="1")
    psp.rule("after_commit_lost", "reset")
    for n in range(3):
        service.pay(f"many-{n}")
    psp.heal()

    remedied = [service.reconcile()["remedied"] for _ in range(4)]

    assert remedied == [1, 1, 1, 0]


def test_without_the_psp_nothing_is_concluded(books, psp):
    books.pay("calm")
    psp.rule("before_commit", "status", match={"endpoint": "payment_intents.list"},
             action={"status": 503})  # fmt: skip

    answer = books.call("POST", "/admin/reconcile", token="admin-canary")

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "psp_unavailable")
    assert books.sql("select count(*) from breaks") == "0"


def test_a_run_that_loses_the_psp_says_so_and_the_next_goes_on(books, psp):
    psp.rule("after_commit_lost", "reset")
    books.pay("half-way")
    psp.heal()
    psp.rule("before_commit", "status", match={"endpoint": "payment_intents.retrieve"},
             action={"status": 503})  # fmt: skip

    report = books.reconcile()
    assert (report["examined"], report["breaks"]) == (0, [])
    assert report["stopped"] == "payment_intents.retrieve: http_503"

    psp.heal()
    _run_twice(books, ("stuck_unknown", "resolved", "resolved"))
