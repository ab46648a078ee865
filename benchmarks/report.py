"""The table for the terminal and the file for the record."""

import json
from pathlib import Path
from typing import Any

from benchmarks.case import Case
from benchmarks.pairs import Comparison

Row = tuple[Case, list[Comparison]]  # the attempts; the last one counts


def is_met(case: Case, attempts: list[Comparison]) -> bool:
    """Whether the last attempt reached the goal; without a goal, whether there is one."""
    return bool(attempts) and (case.goal is None or attempts[-1].ratio >= case.goal)


def duration(seconds: float) -> str:
    """A time in the unit that reads best."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def table(rows: list[Row], host: dict[str, Any]) -> str:
    """All comparisons as aligned text, under one line about the machine."""
    head = ("case", "ours", "peer", "", "ratio", "p10-p90", "goal", "result")
    body = [table_row(case, attempts) for case, attempts in rows]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [head, *body]
    ]
    return "\n".join([host_line(host), "", *lines])


def table_row(case: Case, attempts: list[Comparison]) -> tuple[str, ...]:
    comparison = attempts[-1]
    low, high = comparison.spread
    goal = "-" if case.goal is None else f">= {case.goal:g}"
    verdict = "-" if case.goal is None else ("pass" if is_met(case, attempts) else "FAIL")
    if len(attempts) > 1:
        verdict += f" (attempt {len(attempts)})"
    return (
        case.name,
        duration(sorted(comparison.ours_s)[len(comparison.ours_s) // 2]),
        duration(sorted(comparison.peer_s)[len(comparison.peer_s) // 2]),
        case.peer_name,
        f"{comparison.ratio:.2f}",
        f"{low:.2f}-{high:.2f}",
        goal,
        verdict,
    )


def host_line(host: dict[str, Any]) -> str:
    pools = "; ".join(
        f"{pool['library']} {pool['architecture'] or ''} x{pool['threads']}".replace("  ", " ")
        for pool in host["thread_pools"]
    )
    return (
        f"{host['processor']}, numpy {host['numpy']}, torch {host['torch']} "
        f"x{host['torch_threads']}\nthreads: {pools}; "
        f"OPENBLAS_CORETYPE={host['openblas_coretype'] or '(not set)'}"
    )


def write_record(path: Path, rows: list[Row], host: dict[str, Any]) -> None:
    """Write host data, goals and every raw sample as JSON."""
    record = {
        "clock": "CPU seconds of the process, per call",
        "host": host,
        "cases": [case_record(case, attempts) for case, attempts in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def case_record(case: Case, attempts: list[Comparison]) -> dict[str, Any]:
    return {
        "name": case.name,
        "peer": case.peer_name,
        "goal": case.goal,
        "met": is_met(case, attempts),
        "attempts": [attempt_record(attempt) for attempt in attempts],
    }


def attempt_record(comparison: Comparison) -> dict[str, Any]:
    low, high = comparison.spread
    return {
        "ratio": round(comparison.ratio, 4),
        "ratio_p10": round(low, 4),
        "ratio_p90": round(high, 4),
        "calls_per_batch": [comparison.ours_calls_per_batch, comparison.peer_calls_per_batch],
        "ours_s": [float(f"{value:.5g}") for value in comparison.ours_s],
        "peer_s": [float(f"{value:.5g}") for value in comparison.peer_s],
    }
