"""Checkers: one claim about a run each."""
