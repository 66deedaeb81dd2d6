"""One measured figure a row. (Row, row)"""

from __future__ import annotations

import operator

from kisslab.records import Result, record

COMPARE = {
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


@record
class Row(Result):
    """A figure, what it should be, and whether it is."""

    name: str
    value: float
    unit: str
    bound: str  # "<= 0.05"; empty for a figure that is only reported
    holds: bool
    cases: int  # how many things were measured


def row(name: str, value: float, unit: str = "", bound: str = "", cases: int = 1) -> Row:
    """A row that judges itself: row("gap", 0.02, bound="<= 0.05").holds is True."""
    holds = True
    if bound:
        sign, limit = bound.split()
        holds = bool(COMPARE[sign](value, float(limit)))
    return Row(name, float(value), unit, bound, holds, cases)
