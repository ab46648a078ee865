"""`python -m benchmarks`: run the comparisons, print the table, record it."""

import argparse
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.cases import CASES
from benchmarks.host import describe_host, require_one_thread
from benchmarks.pairs import compare

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    arguments = parse(sys.argv[1:])
    require_one_thread()
    host = describe_host()
    rows = []
    for make_case in CASES:
        case = make_case()
        if not all(word in case.name for word in arguments.only.split()):
            continue
        print(f"measuring {case.name} ...", file=sys.stderr, flush=True)
        rows.append((case, compare(case.ours, case.peer, pairs=arguments.pairs)))
    print(report.table(rows, host))
    if not arguments.only:
        path = RESULTS / f"{arguments.record}.json"
        report.write_record(path, rows, host)
        print(f"\nRecorded in benchmarks/results/{path.name}")
    return 0 if all(report.is_met(*row) for row in rows) else 1


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="run cases whose name holds these words")
    parser.add_argument("--pairs", type=int, default=31, help="pairs of batches a case")
    parser.add_argument("--record", default="torch_eager", help="name of the results file")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
