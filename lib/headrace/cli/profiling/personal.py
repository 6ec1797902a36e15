"""Columns that look as if they told who somebody is: to be declared `sensitive`."""

from __future__ import annotations

import re

from headrace.cli.profiling.facts import ColumnFacts

_NAMES = {
    "e-mail address": r"e?_?mail(_?(address|adr|id))?",
    "telephone number": r"(tele)?phone(_?(number|no))?|mobile(_?(number|no|phone))?|fax",
    "social security or tax number": r"ssn|nino|tax_?id|social_security(_number)?|national_id",
    "bank or card number": r"iban|bic|account_number|(credit_?)?card_?(number|no)|cvv",
    "passport or licence number": r"passport(_?(number|no))?|driving_licen[cs]e|licen[cs]e_number",
    "name of a person": r"(first|last|given|family|middle|full|sur|maiden|holder)_?name|surname|cardholder",
    "postal address": r"(street|home|postal|billing|shipping)_?address|street|address(_?line)?_?\d?",
    "date of birth": r"dob|birth_?(date|day)|date_of_birth",
    "network address": r"ip_?(address|addr)?|mac_?address|device_id",
}
_PREFIXED = r"(?:.*_)?(?:{})"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")


def personal(column: ColumnFacts) -> str | None:
    """What a column seems to hold of a person, by its name, or its values if they are e-mail addresses; else None."""
    if column.examples and all(_EMAIL.fullmatch(value.strip()) for value in column.examples):
        return "e-mail address"
    return next(
        (kind for kind, pattern in _NAMES.items() if re.fullmatch(_PREFIXED.format(pattern), column.name)), None
    )
