"""Card numbers and secrets stay out of logs, database and answers, also when things break."""

import requests

#: Passes the check digit and is used nowhere else.
_CARD = {"number": "4111118888888882", "exp_month": 11, "exp_year": 2041, "cvc": "8053"}
_SECRETS = ("whsec_canary", "api-canary", "admin-canary", "sk_test_canarypsp")


def test_nothing_leaks(start_refpay, psp, postgres, database_name, wait):
    service = start_refpay(PSP_API_KEY="sk_test_canarypsp")
    answers = [service.pay("good", card=_CARD)]
    answers.append(service.pay("good", key="other", card={**_CARD, "number": "4111118888888883"}))
    answers.append(service.pay("bad", card={**_CARD, "cvc": _CARD["number"]}))
    answers.append(service.pay("bad", card=_CARD, surprise=_CARD["number"]))
    raw = f'{{"card": {{"number": "{_CARD["number"]}"'.encode()
    headers = {"Authorization": "Bearer api-canary", "Idempotency-Key": "raw"}
    answers.append(requests.post(f"{service.url}/payments", raw, headers=headers, timeout=5))
    for point, how, action in (
        ("after_commit_lost", "reset", {}),
        ("after_commit_wrong", "status", {"status": 500}),
        ("before_commit", "status", {"status": 400}),
    ):
        psp.rule(point, how, action=action)
        answers.append(service.pay(f"{point}-{how}", card=_CARD))
        psp.heal()
    postgres.sql(database_name, "alter table payments rename to hidden")
    answers.append(service.pay("broken", card=_CARD))
    postgres.sql(database_name, "alter table hidden rename to payments")
    assert answers[-1].status_code == 500

    wait(lambda: service.in_flight()["outbox"] == 0)
    places = {
        "log": service.node.log(),
        "database": postgres.dump(database_name),
        "answers": "\n".join(answer.text + str(answer.headers) for answer in answers),
        "metrics": service.call("GET", "/metrics").text,
    }
    for place, text in places.items():
        for secret in (_CARD["number"], "4111118888888883", _CARD["cvc"], *_SECRETS):
            assert secret not in text, place
