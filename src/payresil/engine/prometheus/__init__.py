"""Prometheus beside a run: found or started, asked what checks want to know, and written down."""
