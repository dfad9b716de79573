"""The wallet: what it does right, its flaw, and that the flaw is gone once it is mended."""

from __future__ import annotations

import concurrent.futures
import json
import subprocess

import pytest

from .processes import until

pytestmark = pytest.mark.node


def test_a_transfer_is_accepted_polled_and_charged_once(wallet, wallet_psp):
    accepted = wallet.transfer("once")
    assert accepted.status_code == 202
    assert accepted.headers["Location"] == accepted.json()["status_url"]
    done = wallet.polled(accepted)
    assert done == {**accepted.json(), "status": "completed"}
    assert (done["amount"], done["currency"]) == ("12.34", "EUR")
    again = wallet.transfer("once")
    assert (again.status_code, again.json()) == (200, done)
    (charge,) = wallet_psp.charges("once")
    assert (charge["captured_minor"], charge["currency"]) == (1234, "eur")


def test_requests_that_come_at_once_are_one_transfer(wallet, wallet_psp):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: wallet.transfer("at-once"), range(8)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    wallet.polled(answers[0])
    assert len(wallet_psp.charges("at-once")) == 1


def test_a_transfer_is_found_by_its_reference(wallet):
    done = wallet.polled(wallet.transfer("found"))
    assert wallet.call("GET", "/transfers?reference=found").json() == {"transfers": [done]}
    for path in ("/transfers?reference=lost", "/transfers", "/transfers/tr_lost", "/elsewhere"):
        assert wallet.call("GET", path).status_code == 404


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("0.50", "USD", 50), ("7", "EUR", 700), ("7.5", "EUR", 750), ("1234", "JPY", 1234),
     ("1.234", "KWD", 1234), ("0012.30", "GBP", 1230)],
)  # fmt: skip
def test_an_amount_means_the_same_to_wallet_and_psp(wallet, wallet_psp, amount, currency, minor):
    reference = f"amount-{amount}-{currency}"
    assert wallet.polled(wallet.transfer(reference, amount=amount, currency=currency))
    assert [row["captured_minor"] for row in wallet_psp.charges(reference)] == [minor]


@pytest.mark.parametrize(
    "wrong",
    [*({"amount": each} for each in ("0", "0.00", "-1", "1.234", "1e3", "1,50", ".5", "", " 1",
                                     12.34, 12, None, "9999999999999")),
     {"amount": "1.5", "currency": "JPY"}, {"currency": "eur"}, {"currency": 978},
     {"reference": ""}, {"source": None}],
    ids=str,
)  # fmt: skip
def test_nonsense_is_refused_with_words(wallet, wrong):
    answer = wallet.transfer("nonsense", **wrong)
    assert answer.status_code == 400
    assert next(iter(wrong)) in answer.json()["error"]


def test_a_transfer_needs_a_request_id_and_a_body(wallet):
    assert "X-Request-Id" in wallet.call("POST", "/transfers", {}).json()["error"]
    for body in (None, [], 7, "text"):
        answer = wallet.call("POST", "/transfers", body, **{"X-Request-Id": "body"})
        assert answer.status_code == 400
    large = wallet.transfer("large", source="x" * 70_000)
    assert large.status_code == 413


def test_a_request_id_stands_for_one_transfer(wallet, wallet_psp):
    wallet.polled(wallet.transfer("mixed-up"))
    assert wallet.transfer("mixed-up", amount="99.99").status_code == 422
    assert len(wallet_psp.charges("mixed-up")) == 1


def test_a_declined_card_is_an_answer(wallet, wallet_psp):
    declined = wallet.transfer("declined", source="pm_card_visa_chargeDeclined")
    assert wallet.polled(declined)["status"] == "declined"
    assert wallet_psp.charges("declined") == []


def test_what_the_psp_refuses_has_failed(wallet, wallet_psp):
    assert wallet.polled(wallet.transfer("refused", amount="0.01"))["status"] == "failed"


@pytest.mark.parametrize(
    ("point", "how", "action"),
    [("after_commit_lost", "reset", {}), ("after_commit_lost", "close", {}),
     ("before_commit", "reset", {}), ("before_commit", "status", {"status": 503}),
     ("after_commit_wrong", "status", {"status": 500})],
)  # fmt: skip
def test_the_psp_is_asked_until_it_answers_and_always_under_one_key(
    wallet, wallet_psp, point, how, action
):
    reference = f"asked-{point}-{how}"
    wallet_psp.rule(point, how, count=2, **action)
    assert wallet.polled(wallet.transfer(reference))["status"] == "completed"
    keys = wallet_psp.keys(reference)
    assert (len(keys), len(set(keys))) == (3, 1)
    assert len(wallet_psp.charges(reference)) == 1


def test_a_psp_that_says_nothing_is_given_up_on_and_asked_again(wallet, wallet_psp):
    wallet_psp.rule("after_commit_lost", "hang", count=1, hang_ms=600_000)
    assert wallet.polled(wallet.transfer("silent"))["status"] == "completed"
    assert len(wallet_psp.charges("silent")) == 1


def test_customers_and_auditors_have_tokens_of_their_own(wallet):
    for path in ("/transfers", "/transfers/tr_1"):
        assert wallet.call("GET", path, Authorization="Bearer guessed").status_code == 401
    assert wallet.call("GET", "/export").status_code == 401
    assert wallet.call("GET", "/health", Authorization="").status_code == 200


def test_transfers_survive_a_crash(start_wallet):
    wallet = start_wallet()
    done = wallet.polled(wallet.transfer("survives"))
    wallet.kill()
    wallet.start()
    assert wallet.call("GET", done["status_url"]).json() == done
    assert [each["reference"] for each in wallet.export()] == ["survives"]


def test_what_was_under_way_in_a_crash_goes_on_under_its_own_key(start_wallet, wallet_psp):
    wallet = start_wallet()
    wallet_psp.rule("after_commit_lost", "hang", hang_ms=600_000)
    accepted = wallet.transfer("crashed")
    until(lambda: wallet_psp.charges("crashed"))
    wallet.kill()
    wallet_psp.heal()
    wallet.start()
    assert wallet.polled(accepted)["status"] == "completed"
    assert len(set(wallet_psp.keys("crashed"))) == 1
    assert len(wallet_psp.charges("crashed")) == 1


def test_half_a_line_at_the_end_of_the_journal_is_cut_off(start_wallet):
    wallet = start_wallet()
    done = wallet.polled(wallet.transfer("whole"))
    wallet.kill()
    whole = wallet.journal.read_bytes()
    wallet.journal.write_bytes(whole + b'{"type":"accepted","requestId":"half\xc3')
    wallet.start()
    assert wallet.call("GET", done["status_url"]).json() == done
    wallet.polled(wallet.transfer("after"))
    lines = [json.loads(line) for line in wallet.journal.read_text().splitlines()]
    assert wallet.journal.read_bytes().startswith(whole)
    assert [line["type"] for line in lines] == ["accepted", "settled"] * 2


def test_flaw_a_request_repeated_after_a_crash_is_another_transfer(start_wallet, wallet_psp):
    wallet = start_wallet()
    first = wallet.polled(wallet.transfer("twice"))
    wallet.kill()
    wallet.start()
    second = wallet.polled(wallet.transfer("twice"))
    assert first["id"] != second["id"]
    assert [row["captured_minor"] for row in wallet_psp.charges("twice")] == [1234, 1234]


def test_mended_a_request_repeated_after_a_crash_is_the_same_transfer(start_wallet, wallet_psp):
    wallet = start_wallet(FIXED="1")
    first = wallet.polled(wallet.transfer("mended"))
    wallet.kill()
    wallet.start()
    assert wallet.transfer("mended").json() == first
    assert wallet.transfer("mended", amount="99.99").status_code == 422
    assert len(wallet_psp.charges("mended")) == 1


def test_it_ends_when_told_to(start_wallet):
    assert start_wallet().stop() == 0


def test_it_says_which_settings_it_lacks(start_wallet):
    wallet = start_wallet()
    done = subprocess.run(
        wallet.process.args, cwd=wallet.folder, env={"PSP_URL": "http://127.0.0.1:1"},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "node-wallet: set PSP_API_KEY, API_TOKEN, ADMIN_TOKEN, JOURNAL\n"
