"""The profiler dashboard without a browser: what it measures, says, keeps and saves."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from tinytorch import dashboards
from tinytorch.dashboards import static
from tinytorch.dashboards.advice import change_words, next_words
from tinytorch.dashboards.settings import Setting

from .test_dashboards_figures import POINTS, REGIONS, TIMELINE, FakeCeilings, FakeRegion


@dataclass(frozen=True)
class FakeResult:
    latency_ns: float = 1e6
    latency_interval_ns: tuple[float, float] = (0.9e6, 1.1e6)
    regions: list[FakeRegion] = field(default_factory=lambda: list(REGIONS))
    memory: dict[str, int] = field(default_factory=lambda: {"parameters": 1024, "peak": 4096})
    timeline: list[tuple[int, int, str]] = field(default_factory=lambda: list(TIMELINE))
    ceilings: FakeCeilings = field(default_factory=FakeCeilings)
    roofline_points: list[Any] = field(default_factory=lambda: list(POINTS))


class Laboratory:
    """Counts what it is asked to measure; time grows with the sequence."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def __call__(self, model: str, batch_size: int, sequence_length: int) -> FakeResult:
        self.asked.append((model, batch_size, sequence_length))
        regions = [
            replace(region, exclusive_ns=region.exclusive_ns * sequence_length)
            for region in REGIONS
        ]
        time_ns = 1e6 * sequence_length
        return FakeResult(time_ns, (0.9 * time_ns, 1.1 * time_ns), regions)


def made(measure: Callable[..., Any]) -> dashboards.ProfilerDashboard:
    return dashboards.ProfilerDashboard(measure, ["gpt", "mlp"], [1, 4], [1, 2, 256])


def test_each_setting_is_measured_once() -> None:
    laboratory = Laboratory()
    dashboard = made(laboratory)
    for length in (2, 256, 2, 1):
        dashboard._length.value = length
    assert laboratory.asked == [("gpt", 1, 1), ("gpt", 1, 2), ("gpt", 1, 256)]


def test_measure_again_measures_again() -> None:
    laboratory = Laboratory()
    dashboard = made(laboratory)
    again = dashboard.children[0].children[3]
    again.click()
    assert laboratory.asked == [("gpt", 1, 1)] * 2


def test_the_baseline_stays_beside_now_on_the_same_axis() -> None:
    dashboard = made(Laboratory())
    dashboard._length.value = 256
    before, now = dashboard.figures()[0].data
    assert before.name == "baseline"
    assert now.x[0] == 256 * before.x[0]
    widest = dashboard.figures()[0].layout.xaxis
    dashboard._length.value = 2
    assert _in_ns(dashboard.figures()[0].layout.xaxis) == pytest.approx(_in_ns(widest))
    assert "2 times slower than the baseline (gpt, batch 1, length 1)" in dashboard.words()[0]


def _in_ns(axis: Any) -> float:
    unit = axis.title.text.removeprefix("time (").removesuffix(")")
    return float(axis.range[1]) * {"ns": 1, "µs": 1e3, "ms": 1e6}[unit]


def test_another_baseline_starts_the_comparison_anew() -> None:
    dashboard = made(Laboratory())
    dashboard._length.value = 256
    dashboard.children[0].children[4].click()
    assert "This is the baseline" in dashboard.words()[0]
    dashboard._length.value = 2
    assert "128 times faster than the baseline (gpt, batch 1, length 256)" in dashboard.words()[0]


def test_overlapping_intervals_are_no_change() -> None:
    before = FakeResult(100.0, (90.0, 110.0))
    assert "no measurable change" in change_words(before, FakeResult(104.0, (95, 113)), "b")
    assert "1.5 times slower" in change_words(before, FakeResult(150.0, (140, 160)), "b")


def test_advice_follows_the_bound_of_the_longest_operation() -> None:
    slow_add = [replace(POINTS[1], seconds=5.0), POINTS[0]]
    assert "fewer bytes" in next_words(FakeResult(roofline_points=slow_add))
    near = [replace(POINTS[0], gflops=80.0)]
    assert "remove work" in next_words(FakeResult(roofline_points=near))
    far = [replace(POINTS[0], gflops=5.0)]
    assert "faster kernel" in next_words(FakeResult(roofline_points=far))


def test_an_error_is_shown_and_the_next_setting_still_works() -> None:
    def measure(model: str, batch_size: int, sequence_length: int) -> FakeResult:
        if sequence_length == 1:
            raise ValueError("shapes <1> & <2> differ")
        return FakeResult()

    dashboard = made(measure)
    assert isinstance(dashboard.error, ValueError)
    assert "raised ValueError in measure" in dashboard.words()[0]
    assert "shapes &lt;1&gt; &amp; &lt;2&gt; differ" in dashboard._words.value
    assert "ValueError" in dashboard._repr_mimebundle_()["text/plain"]
    assert dashboard.figures() == []
    dashboard._length.value = 2
    assert dashboard.error is None
    assert len(dashboard.figures()) == 4


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "NoneType without latency_ns, regions"),
        (FakeResult(regions=[FakeRegion(("a",), None)]), "TypeError"),  # type: ignore[arg-type]
    ],
)
def test_a_result_that_is_no_profile_is_explained(returned: Any, said: str) -> None:
    dashboard = made(lambda *setting: returned)
    assert said in " ".join(dashboard.words())


@pytest.mark.parametrize("empty", range(3))
def test_no_choice_is_refused(empty: int) -> None:
    choices: list[list[Any]] = [["gpt"], [1], [16]]
    choices[empty] = []
    with pytest.raises(ValueError, match="name at least one"):
        dashboards.ProfilerDashboard(Laboratory(), *choices)


def test_the_dashboard_brings_plotly_once_and_keeps_messages_small() -> None:
    dashboard = made(Laboratory())
    carried = [chart.get_state() for chart in dashboard._charts]
    assert max(len(str(state["figure_json"])) for state in carried) < 20_000
    assert all("packed" not in state for state in carried)
    assert all(len(state["description_text"]) > 20 for state in carried)


def test_save_html_is_one_page_without_network(tmp_path: Path) -> None:
    page = tmp_path / "profile.html"
    made(Laboratory()).save_html(page)
    text = page.read_text(encoding="utf-8")
    assert text.count("Plotly.newPlot(") == 4
    assert 4_000_000 < len(text) < 7_000_000  # plotly.js once, not four times
    assert 'src="http' not in text
    assert "cdn.plot.ly" not in text.split("plotly.js v")[0]
    assert text.count("<table>") == 4
    assert [file.name for file in tmp_path.iterdir()] == ["profile.html"]


def test_save_csv_has_a_row_for_each_region_of_each_setting(tmp_path: Path) -> None:
    dashboard = made(Laboratory())
    dashboard._length.value = 2
    dashboard.save_csv(tmp_path / "profile.csv")
    with (tmp_path / "profile.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(REGIONS)
    assert rows[1]["path"] == "gpt/blocks.0/attention"
    assert [row["exclusive_ns"] for row in rows if row["name"] == "norm"] == ["400", "800"]


def test_png_without_kaleido_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="pip install kaleido"):
        made(Laboratory()).save_png(tmp_path / "pictures")
    assert not (tmp_path / "pictures").exists()


def test_png_is_made_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def calc_fig_sync(figure: dict[str, Any], **options: Any) -> bytes:
        asked.append(options)
        return b"picture"

    stand_in = SimpleNamespace(calc_fig_sync=calc_fig_sync)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "kaleido", stand_in)
    paths = made(Laboratory()).save_png(tmp_path / "pictures")
    assert [path.name for path in paths] == [
        "time_by_operation.png",
        "time_by_nesting.png",
        "live_memory_over_time.png",
        "roofline_10_gb_s_100_gflop_s.png",
    ]
    assert all(options["kopts"] == {"mathjax": False} for options in asked)


@pytest.fixture(scope="module")
def executed() -> Any:
    """A notebook with a dashboard and its static form, run by nbclient in a real kernel."""
    cells = [
        "from tests.tinytorch.test_dashboards_profiler import Laboratory, made\n"
        "dashboard = made(Laboratory())\n"
        "dashboard",
        "dashboard._length.value = 256",  # the record of the first cell follows
        "dashboard.static()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = NotebookClient(notebook, kernel_name="python3", store_widget_state=False, timeout=120)
    client.execute(cwd=str(Path(__file__).parents[2]))
    return notebook


@pytest.mark.parametrize("template", ["lab", "classic"])
def test_a_saved_notebook_shows_words_and_tables_and_pulls_no_script(
    executed: Any, template: str
) -> None:
    """What nbconvert and feedback pages show of a dashboard and of static figures."""
    exporter = HTMLExporter(template_name=template)
    page, _ = exporter.from_notebook_node(executed)
    bare = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("dashboard")])
    without, _ = exporter.from_notebook_node(bare)
    assert page.count("<table>") == 4 + 4
    assert page.count("<caption>Roofline") == 2
    assert "256 times slower than the baseline" in page
    assert page.count("<script") == without.count("<script")
    assert page.count("https://") == without.count("https://")


def test_an_executed_notebook_stays_small(executed: Any) -> None:
    assert len(nbformat.writes(executed)) < 150_000


def test_show_keeps_picture_words_and_table(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(static, "display", lambda data, raw: shown.append(data))
    figure = dashboards.histogram({"w": [1.0, 2.0]}, x_title="weight")
    dashboards.show(figure, "Two <weights>.", [{"n": 2, "mean": 1.5}])
    picture, words = shown
    drawn = picture["application/vnd.plotly.v1+json"]
    assert drawn["config"]["showSendToCloud"] is False
    assert "meta" not in drawn["layout"]
    assert "<td>1.5</td>" in picture["text/html"]
    assert words == {"text/plain": "Two <weights>.", "text/html": "<p>Two &lt;weights&gt;.</p>"}


def test_a_ragged_table_is_refused() -> None:
    figure = dashboards.histogram({"w": [1.0]}, x_title="weight")
    with pytest.raises(ValueError, match=r"row 1 of the table .* has the columns"):
        dashboards.show(figure, "words", [{"a": 1}, {"b": 2}])


def test_the_framework_does_not_import_plotly() -> None:
    program = (
        "import sys, tinytorch; sys.exit('plotly' in sys.modules or 'ipywidgets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_setting_reads_as_words() -> None:
    assert Setting("gpt", 4, 64).in_words() == "gpt, batch 4, length 64"
