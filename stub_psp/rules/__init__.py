"""Faults by rule: which requests, at which point of their life, and what becomes of them."""

from stub_psp.rules.book import RuleBook
from stub_psp.rules.spec import Action, Point, Rule, RuleError

__all__ = ["Action", "Point", "Rule", "RuleBook", "RuleError"]
