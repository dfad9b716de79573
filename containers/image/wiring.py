"""``wiring.py``: sees to it that every link is open and that the PSP knows where webhooks go.

It may run again: a link that is open stays as it is, an endpoint that is known is not added.
Secrets come in the environment: PSP_API_KEY, WEBHOOK_SECRET, STUB_PSP_CONTROL_TOKEN.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_AGAIN_S = 0.25
_TIMEOUT_S = 5.0

#: No web proxy between containers.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class WiringError(Exception):
    """A part refuses, or does not answer in time; the message says which and what it said."""


def ask(url: str, token: str | None = None, body: object = None) -> Any:
    """The JSON answer of a GET, or of a POST where there is a body.

    Raises:
        WiringError: when it is refused.
        OSError: when nobody answers.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data)
    request.add_header("Content-Type", "application/json")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with _opener.open(request, timeout=_TIMEOUT_S) as answer:
            return json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:300]
        raise WiringError(f"{url} refuses: {error.code} {said.strip()}") from None


def open_links(toxiproxy: str, wanted: Sequence[Mapping[str, str]]) -> list[str]:
    """Open the links that are not open yet; their names.

    Raises:
        WiringError: when one is not open in the end. Toxiproxy's own start only logs that.
    """
    missing = _missing(wanted, ask(f"{toxiproxy}/proxies"))
    if missing:
        ask(f"{toxiproxy}/populate", body=missing)
    left = _missing(wanted, ask(f"{toxiproxy}/proxies"))
    if left:
        raise WiringError(f"not open: {', '.join(link['name'] for link in left)}")
    return [link["name"] for link in missing]


def _missing(
    wanted: Sequence[Mapping[str, str]], there: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, str]]:
    return [
        link for link in wanted if there.get(link["name"], {}).get("upstream") != link["upstream"]
    ]


def send_webhooks(psp: str, control: str, url: str, events: Sequence[str]) -> bool:
    """Have `events` sent to `url`; False when they are already.

    Raises:
        WiringError, OSError: as `ask` does.
    """
    key = os.environ["PSP_API_KEY"]
    account = ask(f"{psp}/v1/account", key)["id"]
    known = ask(f"{psp}/v1/webhook_endpoints?limit=100", key)["data"]
    if any(endpoint["url"] == url for endpoint in known):
        return False
    wanted = {"url": url, "enabled_events": list(events), "account": account,
              "secret": os.environ["WEBHOOK_SECRET"]}  # fmt: skip
    token = os.environ["STUB_PSP_CONTROL_TOKEN"]
    ask(f"{control}/_control/webhook_endpoints", token, wanted)
    return True


def await_answer(url: str, deadline_s: float) -> None:
    """Wait until somebody answers at `url`, whatever the answer."""
    while True:
        try:
            _opener.open(url, timeout=_TIMEOUT_S).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError as error:
            if time.monotonic() > deadline_s:
                raise WiringError(f"{url} does not answer: {error}") from None
            time.sleep(_AGAIN_S)


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="wiring", description=__doc__)
    parser.add_argument("--toxiproxy", required=True, metavar="URL")
    parser.add_argument("--links", required=True, type=Path, help="proxies, as Toxiproxy has them")
    parser.add_argument("--psp", required=True, metavar="URL")
    parser.add_argument("--control", required=True, metavar="URL", help="the PSP's control plane")
    parser.add_argument("--webhooks", required=True, metavar="URL", help="where they are sent")
    parser.add_argument("--events", required=True, nargs="+", metavar="TYPE")
    parser.add_argument("--within-s", type=float, default=60.0, help="(%(default)s)")
    given = parser.parse_args()
    deadline_s = time.monotonic() + given.within_s
    try:
        wanted = json.loads(given.links.read_text())
        await_answer(f"{given.toxiproxy}/version", deadline_s)
        opened = open_links(given.toxiproxy, wanted)
        print(f"wiring: {len(wanted)} links are open, {len(opened)} of them opened now")
        await_answer(f"{given.control}/metrics", deadline_s)
        added = send_webhooks(given.psp, given.control, given.webhooks, given.events)
        print(f"wiring: webhooks go to {given.webhooks}{'' if added else ', as before'}")
    except KeyError as error:
        print(f"wiring: set {error.args[0]}", file=sys.stderr)
        return 2
    except (WiringError, OSError, ValueError) as error:
        print(f"wiring: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
