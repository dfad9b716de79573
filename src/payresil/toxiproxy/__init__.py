"""A Toxiproxy-compatible TCP proxy: ``python -m payresil.toxiproxy``.

Same HTTP API and the same toxics as Shopify's Toxiproxy 2.12, in one process on one event loop.
It knows nothing of the rest of the project and is reached over the network only.

Where it differs from the original on purpose:

* Nothing a client sends stops it. Attributes have ranges (no negative numbers, a slicer needs an
  ``average_size``), toxicity is within 0..1, and an unknown attribute or an upstream that is not
  ``host:port`` is a 400. A refused update changes nothing.
* Dialling the upstream never holds up other clients or the API, and gives up after
  ``dial.TIMEOUT_S``.
* Toxicity is drawn once per (connection, toxic) from a hash of the seed, so it is sticky over
  updates and the same ``--seed`` draws the same lots.
* ``reset_peer`` resets connections that were open before it came as well, and it leaves the
  connections alone that its toxicity spares.
* Half-close is preserved: a client that shut down its sending side still gets its answer.
* ``POST /reset`` goes on past a proxy that cannot start, then reports every one that did not.
* ``listen`` left out means ``127.0.0.1:0``: loopback, not every interface.
* The ``Logger`` member is left out of proxies; ``/metrics`` is not served.
* A ``--config`` file with an error ends the process with status 2 instead of being ignored.

Own endpoints: ``GET /stats``, and ``POST``, ``GET`` and ``DELETE /lease`` (see ``lease``).
"""
