"""URLs of databases."""

from __future__ import annotations


def one_host_each(url: str) -> list[str]:
    """The URL for each of its hosts: ``h1:1,h2:2`` in it are two. Raises ValueError."""
    scheme, mark, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?") if at >= 0), default=len(rest))
    who, at_sign, hosts = rest[:end].rpartition("@")
    every = hosts.split(",")
    if not mark or not all(host and not host.startswith(":") for host in every):
        raise ValueError("a host is missing")
    return [f"{scheme}://{who}{at_sign}{host}{rest[end:]}" for host in every]
