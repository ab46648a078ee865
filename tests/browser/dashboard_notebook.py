"""Notebooks for the browser: real NumPy work, timed, on the dashboard; and three broken ones."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

MEASURE = (Path(__file__).parent / "timed_numpy.py").read_text(encoding="utf-8")

DASHBOARD = """\
from tinytorch import dashboards
dashboard = dashboards.ProfilerDashboard(
    measure, models=["small", "wide"], batch_sizes=[1, 4], sequence_lengths=[32, 64, 128, 256])
"""

STATIC = """\
result = measure("small", 1, 64)
dashboards.show(dashboards.op_time_bars(result.regions))
dashboards.show(dashboards.icicle(result.regions))
dashboards.show(dashboards.memory_timeline(result.timeline))
dashboards.show(dashboards.memory_breakdown(result.memory))
dashboards.show(dashboards.roofline(result.ceilings, result.roofline_points))
dashboards.show(dashboards.distribution(
    {"length 64": latencies(64), "length 128": latencies(128)}, x_title="milliseconds a run"))
dashboards.show(dashboards.scaling_curve(
    {name: [(n, measure(name, 1, n).latency_ns / 1e6) for n in (32, 64, 128, 256)]
     for name in ("small", "wide")},
    x_title="sequence length", y_title="milliseconds", log=True))
rng = np.random.default_rng(0)
drawn = {"normal": rng.normal(size=20_000), "uniform": rng.uniform(-2, 2, 20_000)}
dashboards.show(dashboards.histogram(drawn, x_title="weight"))

from types import SimpleNamespace
frames = [SimpleNamespace(step=n, phase="decode" if n else "prefill", label=f"{n + 8} tokens",
                          written=[n + 7] if n else range(8), read=range(max(0, n - 200), n + 8),
                          capacity=300) for n in range(280)]
dashboards.show(dashboards.cache_fill(frames))
weights = rng.standard_t(3, size=20_000)
dashboards.show(dashboards.quantization_histogram(weights, np.linspace(-6, 6, 15)))

def noise(values, bits):
    step = np.abs(values).max() / (2 ** (bits - 1) - 1)
    error = values - step * np.rint(values / step)
    return 10 * np.log10((values**2).mean() / (error**2).mean())

names = [f"blocks.{n}.{part}" for n in range(4) for part in ("attention.qkv", "feed_forward.fc1")]
bits = [8, 6, 4, 2]
rows = [[noise(rng.standard_t(3, size=999), b) for b in bits] for _ in names]
dashboards.show(dashboards.layer_sensitivity(
    [SimpleNamespace(name=n, bits=bits, sqnr_db=r, metric=r) for n, r in zip(names, rows)]))"""

_UNWIRED = """\
for control in (dashboard._model, dashboard._batch, dashboard._length):
    control.unobserve_all()
dashboard"""

_FAULTY = """\
from IPython.display import HTML, display
display(HTML('<img src="https://cdn.plot.ly/pixel.png">'), dashboard)
for chart in dashboard._charts:
    chart.description_text = ""
raise RuntimeError("meant to fail")"""

_LAST_LINE = {"good": "dashboard", "unwired": _UNWIRED, "faulty": _FAULTY}


def write_dashboard_notebook(path: Path, kind: str = "good") -> Path:
    """Write the notebook: "good", "unwired" (dead controls) or "faulty" (three other mistakes)."""
    cell = DASHBOARD + _LAST_LINE[kind]
    return write_notebook(path, "# A profile you can turn", [MEASURE, cell], folded=2)


_RAISING = """\
def measure_one(model, batch_size, sequence_length):
    if sequence_length == 32:
        return 1 / 0
    return measure(model, batch_size, sequence_length)

from tinytorch import dashboards
dashboards.ProfilerDashboard(measure_one, ["small"], [1, 4], [32, 64])"""


def write_error_notebook(path: Path) -> Path:
    """Write a notebook whose first setting cannot be measured, while the second can."""
    return write_notebook(path, "# Measured code that raises", [MEASURE, _RAISING], folded=2)


def write_static_notebook(path: Path) -> Path:
    """Write the notebook with one static figure of each sort."""
    cells = [MEASURE + "\nfrom tinytorch import dashboards", STATIC]
    return write_notebook(path, "# Figures that stay", cells, folded=2)


def write_notebook(path: Path, title: str, sources: list[str], folded: int = 0) -> Path:
    """Write code cells under a title; the first `folded` cells show their output alone."""
    cells = [new_markdown_cell(title, id="title")]
    for number, source in enumerate(sources):
        cell = new_code_cell(source, id=f"cell-{number}")
        if number < folded:
            cell.metadata["jupyter"] = {"source_hidden": True}  # the reader sees the figures first
        cells.append(cell)
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    return path
