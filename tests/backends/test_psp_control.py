"""The PSP's control plane, on the real stub."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from payresil.backends.embedded.own_server import OwnServer
from payresil.backends.psp_control import PspControl
from payresil.core.protocols import EnvironmentBroke
from payresil.core.registry import faults

Until = Callable[[Callable[[], object]], None]
TOKEN = "token-of-the-tests"


@pytest.fixture
def control(psp_node: OwnServer) -> PspControl:
    return PspControl(f"http://127.0.0.1:{psp_node.port('control_port')}", TOKEN)


@pytest.fixture
def pay(psp_node: OwnServer) -> Callable[..., requests.Response]:
    url = f"http://127.0.0.1:{psp_node.port('port')}/v1/payment_intents"

    def create(reference: str) -> requests.Response:
        form = {
            "amount": "1000",
            "currency": "eur",
            "confirm": "true",
            "payment_method": "pm_card_visa",
            "payment_method_types[]": "card",
            "metadata[merchant_reference]": reference,
        }
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Authorization": "Bearer sk_test_tests", "Idempotency-Key": reference}
            return session.post(url, data=form, headers=headers, timeout=20)

    return create


def lost(rule_id: str, **match: Any) -> dict[str, Any]:
    return {
        "id": rule_id,
        "point": "after_commit_lost",
        "match": {"endpoint": "payment_intents.create", **match},
        "action": {"how": "reset"},
    }


def test_a_rule_is_there_while_its_context_lasts_and_shows_in_the_truth(
    control: PspControl, pay: Callable[..., requests.Response]
) -> None:
    reference = f"run-{uuid.uuid4().hex}"
    assert pay(f"{reference}-before").status_code == 200
    with control.rule(lost("my.fault.2", reference=reference)) as rule_id:
        assert rule_id == "my.fault.2"
        with pytest.raises(requests.ConnectionError):
            pay(reference)
    assert pay(reference).status_code == 200  # the same key: a replay
    mine = [row for row in control.truth("psp_attempts") if row["reference"] == reference]
    assert [(row["rule"], row["point"]) for row in mine] == [
        ("my.fault.2", "after_commit_lost"),
        (None, None),
    ]
    charges = [row for row in control.truth("psp_charges") if row["reference"] == reference]
    assert len(charges) == 1


def test_refunds_that_were_not_checked_show_in_the_truth(
    psp_node: OwnServer, control: PspControl, pay: Callable[..., requests.Response]
) -> None:
    reference = f"run-{uuid.uuid4().hex}"
    of = {"payment_intent": pay(reference).json()["id"], "amount": "700"}

    def refund() -> int:
        with requests.Session() as session:
            session.trust_env = False
            url = f"http://127.0.0.1:{psp_node.port('port')}/v1/refunds"
            headers = {"Authorization": "Bearer sk_test_tests"}
            return session.post(url, data=of, headers=headers, timeout=20).status_code

    fault = faults.get("psp_unchecked_refunds").call
    with fault(SimpleNamespace(psp=control), fault_id="taken"):
        assert [refund(), refund()] == [200, 200]
    assert refund() == 400
    (charge,) = (row for row in control.truth("psp_charges") if row["reference"] == reference)
    assert (charge["captured_minor"], charge["refunded_minor"]) == (1000, 1400)
    asked = [row for row in control.truth("psp_attempts") if row["endpoint"] == "refunds.create"]
    assert [(row["rule"], row["point"]) for row in asked] == [
        ("taken", "unchecked"),
        ("taken", "unchecked"),
        (None, None),
    ]


def test_a_rule_that_the_psp_does_not_know_is_refused_with_its_words(control: PspControl) -> None:
    wrong = lost("x") | {"match": {"endpoint": "payment_intents.creat"}}
    with pytest.raises(EnvironmentBroke, match=r"400.*payment_intents.create"), control.rule(wrong):
        pytest.fail("it was accepted")


def test_a_rule_that_was_not_in_force_any_more_is_no_fault(control: PspControl) -> None:
    rule = control.rule(lost("gone"))
    rule.__enter__()
    control.heal()
    with pytest.raises(EnvironmentBroke, match=r"404.*gone"):
        rule.__exit__(None, None, None)


def test_heal_leaves_no_rule(control: PspControl) -> None:
    rules = [control.rule(lost("a")), control.rule(lost("b"))]  # one let go would be deleted
    for rule in rules:
        rule.__enter__()
    control.heal()
    assert control._rules() == []
    with control.rule(lost("a")) as again:  # the id is free
        assert again == "a"


def test_a_lease_that_runs_out_takes_the_rules(control: PspControl, until: Until) -> None:
    rule = control.rule(lost("leased"))
    rule.__enter__()
    control.renew_lease(1)
    until(lambda: control._rules() == [])
    with pytest.raises(EnvironmentBroke, match="404"):
        rule.__exit__(None, None, None)


def test_rules_and_the_lease_of_one_owner_are_not_those_of_another(
    psp_node: OwnServer, control: PspControl, until: Until
) -> None:
    url = f"http://127.0.0.1:{psp_node.port('control_port')}"
    killed, ended = (PspControl(url, TOKEN, owner) for owner in ("killed", "ended"))
    theirs = control.rule(lost("of-nobody"))
    rules = [killed.rule(lost("of-killed")), ended.rule(lost("of-ended"))]
    with theirs:
        for rule in rules:
            rule.__enter__()
        for each in (killed, ended):
            each.renew_lease(60_000)
        killed.renew_lease(1)
        until(lambda: control._rules() == ["of-nobody", "of-ended"])
        with killed.rule(lost("again")):
            killed.renew_lease(60_000)
            ended.end_lease()
            assert control._rules() == ["of-nobody", "again"]
        for rule in rules:
            with pytest.raises(EnvironmentBroke, match="404"):
                rule.__exit__(None, None, None)
        killed.end_lease()
        assert control._rules() == ["of-nobody"]


def test_a_webhook_that_cannot_be_delivered_is_pending(
    control: PspControl, pay: Callable[..., requests.Response], until: Until
) -> None:
    control.send_webhooks("http://127.0.0.1:9/hooks", "whsec_tests_only", ["charge.succeeded"])
    pay(f"hook-{uuid.uuid4().hex}")
    until(lambda: control.pending()["webhooks"] >= 1)


def test_a_wrong_token_and_a_wrong_table_are_errors(
    psp_node: OwnServer, control: PspControl
) -> None:
    url = f"http://127.0.0.1:{psp_node.port('control_port')}"
    with pytest.raises(EnvironmentBroke, match="401"):
        PspControl(url, "guess").pending()
    with pytest.raises(EnvironmentBroke, match=r"404.*psp_attempts"):
        list(control.truth("no_such_table"))


def test_a_psp_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(EnvironmentBroke, match="does not answer GET pending"):
        PspControl("http://127.0.0.1:9", TOKEN).pending()
