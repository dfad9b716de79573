"""Quantities as people write them in YAML: ``10s``, ``30/s``, ``30%``, ``3x``, ``64KB``.

A bare number where a unit belongs is an error: ``10`` could be seconds or milliseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, Self

#: 400 digits hold every finite float; more would only serve to make reading slow.
_NUMBER = re.compile(r"([0-9]{1,400}(?:\.[0-9]{1,400})?)\s*(\S*)\Z")


class Quantity(float):
    """A non-negative number with a unit. Subclasses say which units, and what they hold."""

    #: unit → exact factor to the unit that the value is held in
    UNITS: ClassVar[Mapping[str, Fraction]] = {}
    #: the unit in which every value can be written exactly
    PLAIN: ClassVar[str] = ""
    EXAMPLES: ClassVar[str] = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a number with its unit; the result is the float nearest to what was written.

        Raises:
            ValueError: with what was expected, when `text` is anything else.
        """
        match = _NUMBER.match(text.strip())
        if match is None or match[2] not in cls.UNITS:
            raise ValueError(f"{cls.describe()} such as {cls.EXAMPLES}")
        try:
            value = float(Fraction(match[1]) * cls.UNITS[match[2]])
        except OverflowError:
            raise ValueError(f"a finite {cls.__name__.lower()}") from None
        return cls(cls._checked(value))

    @classmethod
    def describe(cls) -> str:
        """What this quantity is, in words for an error message."""
        return f"a {cls.__name__.lower()}"

    @classmethod
    def _checked(cls, value: float) -> float:
        return value

    def __str__(self) -> str:
        """The value as a person would write it; `parse` reads exactly it back."""
        value = float(self)
        if not math.isfinite(value):
            return f"{value}{self.PLAIN}"
        short = [text for unit in self.UNITS if (text := self._short(value, unit))]
        # 90s rather than 1.5m, 250ms rather than 0.25s, 2m rather than 120s
        return min(short, key=lambda text: ("." in text, len(text)), default=self._exact(value))

    def _short(self, value: float, unit: str) -> str | None:
        """The value in `unit`, where at most three decimals say all of it."""
        factor = self.UNITS[unit]
        rounded = round(Fraction(value) / factor, 3)
        if rounded < 1 and unit != self.PLAIN:
            return None
        if float(rounded * factor) != value:
            return None
        return _positional(rounded) + unit

    def _exact(self, value: float) -> str:
        # `repr` gives the shortest decimal that means this float
        return _positional(Fraction(repr(value)) / self.UNITS[self.PLAIN]) + self.PLAIN

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def _positional(number: Fraction) -> str:
    """A fraction that has a finite decimal form, in that form."""
    places = 0
    while number.denominator != 1:
        number *= 10
        places += 1
    return f"{Decimal(number.numerator).scaleb(-places):f}"


class Duration(Quantity):
    """A length of time, held in seconds."""

    UNITS: ClassVar[Mapping[str, Fraction]] = {
        "us": Fraction(1, 1_000_000),
        "ms": Fraction(1, 1000),
        "s": Fraction(1),
        "m": Fraction(60),
        "h": Fraction(3600),
        "d": Fraction(86400),
    }
    PLAIN = "s"
    EXAMPLES: ClassVar[str] = "250ms, 10s, 2m"

    @property
    def ns(self) -> int:
        """The same in whole nanoseconds."""
        return round(float(self) * 1e9)

    @property
    def ms(self) -> int:
        """The same in whole milliseconds."""
        return round(float(self) * 1e3)


class Rate(Quantity):
    """How often, held per second."""

    UNITS: ClassVar[Mapping[str, Fraction]] = {
        "/s": Fraction(1),
        "/m": Fraction(1, 60),
        "/h": Fraction(1, 3600),
    }
    PLAIN = "/s"
    EXAMPLES: ClassVar[str] = "30/s, 600/m"


class Share(Quantity):
    """A part of a whole, held as 0…1."""

    UNITS: ClassVar[Mapping[str, Fraction]] = {"%": Fraction(1, 100)}
    PLAIN = "%"
    EXAMPLES: ClassVar[str] = "30%, 99.9%"

    @classmethod
    def _checked(cls, value: float) -> float:
        if value > 1:
            raise ValueError("a share of at most 100%")
        return value


class Ratio(Quantity):
    """How many times as much or as often."""

    UNITS: ClassVar[Mapping[str, Fraction]] = {"x": Fraction(1)}
    PLAIN = "x"
    EXAMPLES: ClassVar[str] = "1.5x, 3x"


class Size(Quantity):
    """An amount of data, held in bytes; 1 KB is 1000 bytes, as in Toxiproxy."""

    UNITS: ClassVar[Mapping[str, Fraction]] = {
        "B": Fraction(1),
        "KB": Fraction(10**3),
        "MB": Fraction(10**6),
        "GB": Fraction(10**9),
    }
    PLAIN = "B"
    EXAMPLES: ClassVar[str] = "512B, 64KB"
