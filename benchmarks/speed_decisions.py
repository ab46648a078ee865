"""`python -m benchmarks.speed_decisions`: how often does the speed verdict err?

Both sides run the same loop; only its length differs, so the true ratio is known. It lies 15 %
above or below the threshold. Half of the decisions are made on a quiet machine, half beside three
busy processes. Two equal programs (A/A) show the spread of the measured ratio. Stopped, it goes on
with `--resume`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from benchmarks.speed_worker import forked_program
from tito.grading.judge.speed import Contest, judged, opened
from tito.testing.speed import same
from tito.testing.speed_pairs import Task, measure
from tito.testing.speed_statistics import FIRST_LOOK

RESULTS = Path(__file__).parent / "results" / "speed_decisions.json"
DECISION_S = 60.0
SPREAD_GOAL = 0.06
# threshold: loop lengths of the baseline and of the candidate, 15 % above it and 15 % below it
LENGTHS = {
    1.25: ((23, 16), (17, 16)),
    1.5: ((69, 40), (51, 40)),
    2.0: ((23, 10), (17, 10)),
    4.0: ((46, 10), (34, 10)),
}
KERNELS = ("matmul", "tanh", "stream")
SCALES = (1, 10)  # of the loop's length: calls of some 0.2 ms to 1 ms, and of ten times that
MACHINES = ("quiet", "three busy processes")
BUSY = (
    "import numpy as np\na = np.random.rand(600, 600)\nwhile True: a @ a",
    "import numpy as np\na = np.ones(1 << 23)\nb = a.copy()\nwhile True: np.copyto(b, a)",
    "while True: sum(i * i for i in range(10000))",
)


@dataclass(frozen=True)
class Trial:
    """One measurement: a decision, or two equal programs when there is no threshold."""

    machine: str
    kernel: str
    scale: int
    threshold: float | None
    baseline: int  # loop lengths, to be multiplied by the scale
    candidate: int
    repeat: int

    @property
    def true_ratio(self) -> float:
        return self.baseline / self.candidate


@dataclass(frozen=True)
class Result:
    """What a trial measured; it is wrong when too slow a candidate passes, or a fast one fails."""

    trial: Trial
    ratio: float
    low: float
    high: float
    verdict: str
    pairs: int
    attempt: int
    seconds: float
    load: float  # the system's, of the last minute

    @property
    def wrong(self) -> bool:
        if self.trial.threshold is None:
            return False
        passed = self.verdict != "below"
        return passed != (self.trial.true_ratio > self.trial.threshold)


def planned(repeats: int) -> list[Trial]:
    """All trials; mixed by kind within each half, so that a part of them is like the whole."""
    plan: list[Trial] = []
    for machine in MACHINES:
        half: list[Trial] = []
        for repeat, kernel, scale in itertools.product(range(repeats), KERNELS, SCALES):
            for threshold, lengths in LENGTHS.items():
                half += [
                    Trial(machine, kernel, scale, threshold, *pair, repeat) for pair in lengths
                ]
            half += [
                Trial(machine, kernel, scale, None, 20, 20, 2 * repeat + again) for again in (0, 1)
            ]
        random.Random(machine).shuffle(half)
        plan += half
    return plan


def loop(kernel: str, length: int) -> Callable[[], Callable[..., Any]]:
    """Make the function of one side: `length` equal steps, then an output to check."""
    steps: dict[str, Callable[[Any, Any], Any]] = {
        "matmul": lambda x, _: np.tanh(x @ x.T * 0.01),
        "tanh": lambda x, _: [np.tanh(x, out=x) for _ in range(5)][-1],
        "stream": lambda _, table: np.add(table, 1.0, out=table),
    }
    step = steps[kernel]

    def make() -> Callable[..., Any]:
        table = np.ones(1 << 17 if kernel == "stream" else 1)  # 1 MB

        def run(x: Any) -> Any:
            y = x.copy()
            for _ in range(length):
                y = step(y if kernel != "matmul" else x, table)
            return x * 2.0

        return run

    return make


def tried(trial: Trial) -> Result:
    """Carry out one trial."""
    contest = Contest(
        candidate=lambda: forked_program(loop(trial.kernel, trial.candidate * trial.scale)),
        baseline=lambda: forked_program(loop(trial.kernel, trial.baseline * trial.scale)),
        candidate_name="candidate",
        baseline_name="baseline",
        isolation="none",
    )
    task = Task(
        lambda rng: (rng.standard_normal((40, 40)),),
        trial.threshold or 1.25,
        same,
        until=time.monotonic() + DECISION_S,
    )
    began_s = time.perf_counter()
    if trial.threshold is None:
        with opened(contest) as sides:
            finding, attempt = measure(sides, replace(task, most_pairs=FIRST_LOOK)), 1
    else:
        speed = judged(contest, task)
        finding, attempt = speed.finding, speed.attempt
    return Result(
        trial,
        round(finding.ratio, 4),
        round(finding.low, 4),
        round(finding.high, 4),
        finding.verdict.value,
        finding.pairs,
        attempt,
        round(time.perf_counter() - began_s, 2),
        round(os.getloadavg()[0], 1),
    )


@contextmanager
def beside(machine: str) -> Iterator[None]:
    """Keep the machine busy, or not."""
    programs = BUSY if machine == MACHINES[1] else ()
    running = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def summary(results: list[Result], machine: str) -> dict[str, Any]:
    """The figures of one half."""
    half = [result for result in results if result.trial.machine == machine]
    decisions = [result for result in half if result.trial.threshold is not None]
    offsets = sorted(abs(each.ratio - 1) for each in half if each.trial.threshold is None)
    return {
        "decisions": len(decisions),
        "wrong": sum(result.wrong for result in decisions),
        "undecided": sum(result.verdict == "undecided" for result in decisions),
        "pairs_median": _middle([result.pairs for result in decisions]),
        "pairs_most": max((result.pairs for result in decisions), default=0),
        "attempts_most": max((result.attempt for result in decisions), default=0),
        "seconds_median": _middle([result.seconds for result in decisions]),
        "seconds_most": max((result.seconds for result in decisions), default=0.0),
        "load_median": _middle([result.load for result in half]),
        "a_a_runs": len(offsets),
        "a_a_spread_p95": offsets[int(0.95 * len(offsets))] if offsets else None,
    }


def _middle(values: list[Any]) -> float:
    return float(statistics.median(values)) if values else 0.0


def host() -> dict[str, Any]:
    """What has to be known about the machine."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    pools = threadpoolctl.threadpool_info()
    return {
        "processor": names[0] if names else platform.machine(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE") or None,
        "thread_pools": [
            {
                key: pool.get(key)
                for key in ("internal_api", "version", "architecture", "num_threads")
            }
            for pool in pools
        ],
    }


def write(path: Path, results: list[Result], started_on: dict[str, Any]) -> None:
    """Write all that is known so far, whole."""
    record = {
        "what": "speed verdicts with a true ratio 15 % off the threshold; A/A without one",
        "host": started_on,
        "summary": {machine: summary(results, machine) for machine in MACHINES},
        "results": [asdict(result) for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def read(path: Path) -> list[Result]:
    """The results of a run that was stopped."""
    if not path.is_file():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))["results"]
    return [Result(**{**row, "trial": Trial(**row["trial"])}) for row in rows]


def report(results: list[Result]) -> bool:
    """Print both halves; whether the goals are met."""
    met = True
    for machine in MACHINES:
        figures = summary(results, machine)
        spread = figures["a_a_spread_p95"]
        print(f"{machine}:")
        for name, value in figures.items():
            print(f"  {name.replace('_', ' '):16s} {value}")
        met = met and figures["wrong"] == 0 and spread is not None and spread <= SPREAD_GOAL
    for result in results:
        if result.wrong:
            print(f"  WRONG: {result}")
    print(f"goals (none wrong, A/A spread <= {SPREAD_GOAL:.0%}): {'met' if met else 'MISSED'}")
    return met


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed_decisions")
    parser.add_argument("--repeats", type=int, default=5, help="48 decisions a half and repeat")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the results file")
    arguments = parser.parse_args(words)
    started_on = host()
    if any(pool["num_threads"] != 1 for pool in started_on["thread_pools"]):
        raise SystemExit("start with OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # ends what it started
    results = read(arguments.out) if arguments.resume else []
    done = {result.trial for result in results}
    plan = [trial for trial in planned(arguments.repeats) if trial not in done]
    for machine in MACHINES:
        with beside(machine):
            for trial in (each for each in plan if each.machine == machine):
                results.append(tried(trial))
                if len(results) % 10 == 0:
                    write(arguments.out, results, started_on)
                    wrong = sum(result.wrong for result in results)
                    print(f"{len(results)} trials, {wrong} wrong", file=sys.stderr, flush=True)
    write(arguments.out, results, started_on)
    return 0 if report(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
