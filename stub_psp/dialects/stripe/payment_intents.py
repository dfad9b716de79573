"""Payment intents: the steps of a payment."""

from __future__ import annotations

from msgspec.structs import replace

from stub_psp.dialects.stripe import payment_intent_parameters as parameters
from stub_psp.dialects.stripe import payment_methods, search
from stub_psp.dialects.stripe.errors import declined
from stub_psp.dialects.stripe.lists import expand_each, listed, page, show
from stub_psp.dialects.stripe.objects import method_object
from stub_psp.dialects.stripe.operations import Operation, Values, path_subject
from stub_psp.engine import intents
from stub_psp.engine.values import Change, PaymentIntent, PaymentMethod, RefusedError
from stub_psp.exchange import Answer
from stub_psp.execution import Execution
from stub_psp.identifiers import mint


def create(reference_field: str) -> Operation:
    """Create; ``reference_field`` names the metadata that holds the merchant reference."""

    def run(execution: Execution, id_: str, values: Values) -> bytes | Answer:
        intent = _new(execution, values, reference_field)
        created = intents.create(intent)
        if not values.get("confirm"):
            execution.record(created)
            return show(execution, created.intent, values)
        confirmed = _confirm(execution, created.intent, None, values)
        execution.record(created, confirmed)
        return _outcome(execution, confirmed, values)

    return Operation(
        "payment_intents.create",
        "POST payment_intents",
        parameters.CREATE,
        run,
        check=parameters.check_create,
    )


def _new(execution: Execution, values: Values, reference_field: str) -> PaymentIntent:
    id_ = execution.store.new_id("intents")
    details = {name: values[name] for name in parameters.DETAILS if name in values}
    details["client_secret"] = f"{id_}_{mint('secret')}"
    if "confirmation_method" in values:
        details["confirmation_method"] = values["confirmation_method"]
    automatic = values.get("automatic_payment_methods", {})
    if automatic.get("enabled"):
        details["automatic_payment_methods"] = "true"
        details["allow_redirects"] = automatic.get("allow_redirects", "always")
    tags = _kept(values.get("metadata", {}))
    manual = values.get("capture_method") == "manual"
    return PaymentIntent(
        id=id_,
        account=execution.account,
        created=execution.now_s,
        amount=values["amount"],
        currency=values["currency"],
        capture_method="manual" if manual else "automatic",
        reference=tags.get(reference_field),
        method=payment_methods.given(execution, values),
        metadata=tags,
        details=details,
    )


def _confirm(
    execution: Execution, intent: PaymentIntent, method: PaymentMethod | None, values: Values
) -> Change:
    charge_id = execution.store.new_id("charges")
    change = intents.confirm(intent, method, charge_id, execution.now_s)
    waits = change.intent.status == "requires_action"
    if waits and (values.get("error_on_requires_action") or values.get("off_session")):
        # The payer cannot be asked: the issuer's demand is a decline (Stripe: 402).
        change = intents.authenticate(change.intent, False, charge_id, execution.now_s)
    return change


def _outcome(execution: Execution, change: Change, values: Values) -> bytes | Answer:
    """The intent, or the 402 of a decline. What was recorded stays in either case."""
    if change.decline is None:
        return show(execution, change.intent, values)
    method = change.intent.declined_method
    shown = method_object(method, execution.now_s) if method else None
    return declined(change.decline, execution.rendered(change.intent), shown).answer


def _run_confirm(execution: Execution, id_: str, values: Values) -> bytes | Answer:
    intent = execution.intent(id_)
    if "return_url" in values:
        intent = replace(intent, details={**intent.details, "return_url": values["return_url"]})
    method = payment_methods.given(execution, values, intent)
    change = _confirm(execution, intent, method, values)
    execution.record(change)
    return _outcome(execution, change, values)


def _run_capture(execution: Execution, id_: str, values: Values) -> bytes:
    intent = execution.intent(id_)
    if intent.latest_charge is None or intent.status != "requires_capture":
        action = "already_captured" if intent.status == "succeeded" else "unexpected_state"
        raise RefusedError(action, intent=intent, action="capture")
    charge = execution.charge(intent.latest_charge)
    tagged = _tagged(intent, values)
    change = intents.capture(tagged, charge, values.get("amount_to_capture"), execution.now_s)
    execution.record(change)
    return show(execution, change.intent, values)


def _run_cancel(execution: Execution, id_: str, values: Values) -> bytes:
    intent = execution.intent(id_)
    held = intent.latest_charge if intent.status == "requires_capture" else None
    charge = execution.charge(held) if held else None
    reason = values.get("cancellation_reason")
    change = intents.cancel(intent, charge, reason, execution.now_s)
    execution.record(change)
    return show(execution, change.intent, values)


def update(reference_field: str) -> Operation:
    """Change metadata and descriptions, in any state; it moves no money and tells nobody."""

    def run(execution: Execution, id_: str, values: Values) -> bytes:
        intent = _tagged(execution.intent(id_), values)
        details = {name: values[name] for name in parameters.DETAILS if name in values}
        intent = replace(
            intent,
            reference=intent.metadata.get(reference_field, intent.reference),
            details={**intent.details, **details},
        )
        execution.record(Change(intent))
        return show(execution, intent, values)

    return Operation(
        "payment_intents.update",
        "POST payment_intents/:id",
        parameters.UPDATE,
        run,
        subject=path_subject("intents"),
    )


def _run_retrieve(execution: Execution, id_: str, values: Values) -> bytes:
    return show(execution, execution.intent(id_), values)


def _run_list(execution: Execution, id_: str, values: Values) -> bytes:
    found = execution.store.objects.intents.page(execution.account, page(values))
    return listed(expand_each(execution, found, values), "payment_intents", values)


def _tagged(intent: PaymentIntent, values: Values) -> PaymentIntent:
    """Merge metadata; an empty value removes its key."""
    if "metadata" not in values:
        return intent
    return replace(intent, metadata=_kept({**intent.metadata, **values["metadata"]}))


def _kept(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if value != ""}


def operations(reference_field: str) -> list[Operation]:
    of_path = path_subject("intents")
    return [
        create(reference_field),
        update(reference_field),
        Operation(
            "payment_intents.confirm",
            "POST payment_intents/:id/confirm",
            parameters.CONFIRM,
            _run_confirm,
            of_path,
            parameters.check_method,
        ),
        Operation(
            "payment_intents.capture",
            "POST payment_intents/:id/capture",
            parameters.CAPTURE,
            _run_capture,
            of_path,
        ),
        Operation(
            "payment_intents.cancel",
            "POST payment_intents/:id/cancel",
            parameters.CANCEL,
            _run_cancel,
            of_path,
        ),
        Operation(
            "payment_intents.search",
            "GET payment_intents/search",
            search.SCHEMA,
            search.search(reference_field),
        ),
        Operation(
            "payment_intents.retrieve",
            "GET payment_intents/:id",
            parameters.RETRIEVE,
            _run_retrieve,
            of_path,
        ),
        Operation(
            "payment_intents.list",
            "GET payment_intents",
            parameters.LIST,
            _run_list,
        ),
    ]
