"""A certificate authority of the run's own, and one certificate for its ingress."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

#: The certificate is for this name and for the loopback address.
SERVER_NAME = "localhost"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM."""

    ca_file: Path
    chain_file: Path
    key_file: Path

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts the run's authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.ca_file))


def make_certificates(folder: Path, *names: str) -> Certificates:
    """Make an authority and a certificate, for `names` too; closed to other users."""
    import trustme  # not at the top: it takes a tenth of a second, in which nodes can start

    folder.mkdir(mode=0o700)
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", SERVER_NAME, *names)
    made = Certificates(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(str(made.ca_file))
    for part in server.cert_chain_pems:
        part.write_to_path(str(made.chain_file), append=True)
    server.private_key_pem.write_to_path(str(made.key_file))
    return made
