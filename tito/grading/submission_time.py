"""When a submission was handed in: timestamp.txt, read as nbgrader reads it."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

LONGEST = 100
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")


def parsed_timestamp(text: str) -> datetime | None:
    """The moment in UTC, without a time zone; None for an empty text.

    A zone's name or offset may follow date and time: `2026-03-01 23:59:00 UTC`.

    Raises:
        ValueError: The text is no date.
    """
    from dateutil import parser, tz

    words = text.strip()
    if not words:
        return None
    if len(words) > LONGEST:
        raise ValueError("it is too long for a date")
    parts = words.split(" ")
    try:
        if len(parts) == 3:
            zone: int | tzinfo | None = None
            if _is_number(parts[2]):
                zone = int(parts[2])
            elif _ZONE.fullmatch(parts[2]):  # dateutil would open any other path it is given
                zone = tz.gettz(parts[2])
            moment = parser.parse(" ".join([*parts[:2], "TZ"]), tzinfos={"TZ": zone})
        else:
            moment = parser.parse(words)
        offset = moment.utcoffset()
        naive: datetime = (moment if offset is None else moment - offset).replace(tzinfo=None)
    except (OverflowError, TypeError) as error:  # dateutil, of odd texts
        raise ValueError(str(error)) from error
    return naive


def _is_number(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True
