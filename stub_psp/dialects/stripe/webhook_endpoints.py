"""Webhook endpoints: where events of an account go."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from stub_psp.dialects.stripe.errors import ApiError, missing
from stub_psp.dialects.stripe.lists import PAGING, listed
from stub_psp.dialects.stripe.objects import endpoint_object
from stub_psp.dialects.stripe.operations import Operation, Values
from stub_psp.dialects.stripe.parameters import Schema, metadata, text, texts
from stub_psp.execution import Execution
from stub_psp.identifiers import mint, secret
from stub_psp.store.events import Endpoint

_CREATE = Schema(
    {
        "url": text(),
        "enabled_events": texts,
        "description": text(),
        "api_version": text(),
        "metadata": metadata,
    },
    required=("url", "enabled_events"),
)


def _check(values: Values) -> None:
    if not is_url(values["url"]):
        raise ApiError(
            400, "Invalid URL: use http:// or https://.", code="url_invalid", param="url"
        )


def is_url(url: str) -> bool:
    """Whether it is one that events can be sent to."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket left open
        return False


def _create(execution: Execution, id_: str, values: Values) -> bytes:
    details: dict[str, str] = {
        name: values[name] for name in ("description", "api_version") if name in values
    }
    execution.wrote = True
    made = execution.store.events.add_endpoint(
        Endpoint(
            seq=0,
            id=mint("we"),
            account=execution.account,
            url=values["url"],
            secret=secret("whsec"),
            enabled_events=tuple(values["enabled_events"]),
            created=execution.now_s,
            details=details,
        )
    )
    return msgspec.json.encode(endpoint_object(made, secret=True))


def _own(execution: Execution, id_: str) -> Endpoint:
    for endpoint in execution.store.events.endpoints():
        if endpoint.id == id_ and endpoint.account == execution.account:
            return endpoint
    raise missing("webhook endpoint", id_)


def _retrieve(execution: Execution, id_: str, values: Values) -> bytes:
    return msgspec.json.encode(endpoint_object(_own(execution, id_)))


def _delete(execution: Execution, id_: str, values: Values) -> bytes:
    endpoint = _own(execution, id_)
    execution.wrote = True
    execution.store.events.remove_endpoint(endpoint.seq)
    return msgspec.json.encode({"id": id_, "object": "webhook_endpoint", "deleted": True})


def _list(execution: Execution, id_: str, values: Values) -> bytes:
    own = [e for e in execution.store.events.endpoints() if e.account == execution.account]
    ids = [endpoint.id for endpoint in own]
    for name, cut in (("starting_after", 1), ("ending_before", -1)):
        if name in values:
            if values[name] not in ids:
                return listed(None, "webhook_endpoints", values)
            at = ids.index(values[name])
            own = own[at + 1 :] if cut == 1 else own[:at]
    limit = values.get("limit", 10)
    shown = [endpoint_object(endpoint) for endpoint in own[:limit]]
    return listed((shown, len(own) > limit), "webhook_endpoints", values)


_LIST = Schema({name: reader for name, reader in PAGING.items() if name != "created"})
OPERATIONS = [
    Operation("webhook_endpoints.create", "POST webhook_endpoints", _CREATE, _create, check=_check),
    Operation(
        "webhook_endpoints.retrieve",
        "GET webhook_endpoints/:id",
        Schema({}),
        _retrieve,
    ),
    Operation("webhook_endpoints.delete", "DELETE webhook_endpoints/:id", Schema({}), _delete),
    Operation("webhook_endpoints.list", "GET webhook_endpoints", _LIST, _list),
]
