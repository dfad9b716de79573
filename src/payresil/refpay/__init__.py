"""The reference payment service: a well-behaved example that every flaw is compared with.

It is a program of its own, started with ``python -m payresil.refpay`` and reached over HTTP.
"""
