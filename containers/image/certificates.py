"""``certificates.py --ca DIR --server DIR NAME…``: an authority, and a certificate for the names.

What is there is left alone, so that restarting the stack does not change whom customers trust.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import trustme

CA, CHAIN, KEY = "ca.pem", "chain.pem", "key.pem"


def make(ca: Path, server: Path, names: list[str]) -> bool:
    """Make what is missing; False when nothing was. The authority comes last: it says all is well.

    Raises:
        OSError: when a folder cannot be written.
    """
    if (ca / CA).exists():
        return False
    authority = trustme.CA()
    certificate = authority.issue_cert(*names)
    for path in (server / CHAIN, server / KEY):
        path.unlink(missing_ok=True)  # of a start that was cut short
    (server / KEY).touch(mode=0o600)
    certificate.private_key_pem.write_to_path(str(server / KEY))
    for part in certificate.cert_chain_pems:
        part.write_to_path(str(server / CHAIN), append=True)
    draft = ca / f"{CA}.draft"
    authority.cert_pem.write_to_path(str(draft))
    draft.replace(ca / CA)
    return True


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="certificates", description=__doc__)
    parser.add_argument("--ca", type=Path, required=True, help="folder for the authority")
    parser.add_argument("--server", type=Path, required=True, help="folder for key and chain")
    parser.add_argument("names", nargs="+", help="host names and addresses to be valid for")
    given = parser.parse_args()
    try:
        made = make(given.ca, given.server, given.names)
    except OSError as error:
        print(f"certificates: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    print("certificates: made" if made else "certificates: there already")
    return 0


if __name__ == "__main__":
    sys.exit(main())
