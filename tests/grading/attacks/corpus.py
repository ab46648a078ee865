"""All cases."""

from __future__ import annotations

from tests.grading.attacks.case import Case
from tests.grading.attacks.families import (
    bombs,
    clocks,
    html,
    kernel_games,
    killers,
    lying,
    network,
    patching,
    reading,
    replies,
    tags,
    twins,
    writing,
)

FAMILIES = (
    tags,
    patching,
    lying,
    twins,
    replies,
    reading,
    writing,
    clocks,
    bombs,
    killers,
    network,
    kernel_games,
    html,
)
CASES: list[Case] = [case for family in FAMILIES for case in family.CASES]
