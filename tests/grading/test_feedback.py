"""Feedback pages: nbgrader's, harmless, and as silent on hidden tests as the instructor wants."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.exporters import HTMLExporter
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.server_extensions.formgrader.handlers import template_path
from traitlets.config import Config

from tests.browser.chromium import browser_path, launched
from tests.grading.graded_by_hand import graded
from tests.grading.hostile_outputs import HTML, PIXEL, display, hostile_outputs, hostile_submission
from tests.grading.small_course import LESSON, cell_of, changed, class_of, student_notebook
from tito.course import Course, CourseError
from tito.grading import gradebook, nbgrader_options
from tito.grading.class_folders import ClassFolders
from tito.grading.hidden_tests import REMARK, Shown
from tito.grading.safe_outputs import make_safe, safe_output, safe_text
from tito.lessons import notebook as nb

WRONG = "def pairs(size: int) -> int:\n    return 6 if size == 4 else 0"  # only a hidden test sees
HIDDEN = "integers"  # of the hidden test's code


@pytest.fixture
def folders(course: Course) -> ClassFolders:
    return class_of(course)


def stored(folders: ClassFolders, notebook: nb.Notebook, student: str = "ada") -> None:
    gradebook.store(folders, LESSON, student, notebook, "2026-03-01 12:00:00 UTC")


def page_of(folders: ClassFolders, student: str = "ada", shown: Shown | None = None) -> str:
    gradebook.make_feedback(folders, LESSON, [student], shown)
    return folders.feedback(student, LESSON).read_text(encoding="utf-8")


def hostile(folders: ClassFolders) -> str:
    notebook = graded(hostile_submission())
    cell_of(notebook, "test_pairs__ordered")["outputs"] += hostile_outputs()
    stored(folders, notebook)
    return page_of(folders)


class Elements(HTMLParser):
    """The elements of a page, with what they would load or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_marks_and_comments_are_on_the_page(folders: ClassFolders) -> None:
    stored(folders, graded(changed("question_why", "One *wild* sample.")))
    with gradebook.opened(folders) as book:
        gradebook.give_mark(book, LESSON, "ada", "question_why", 7, "What **else**?")
    page = page_of(folders)
    assert "(Score: 97.0 / 100.0)" in page
    assert "One <em>wild</em> sample." in page
    assert "What <strong>else</strong>?" in page
    assert "isolation: process" in page
    beside = folders.feedback("ada", LESSON).parent
    assert sorted(each.name for each in beside.iterdir()) == ["profiling.html", "timestamp.txt"]


def test_one_process_makes_many(folders: ClassFolders) -> None:
    for student in ("ada", "bob"):
        stored(folders, graded(student_notebook()), student)
    gradebook.make_feedback(folders, LESSON, ["ada", "bob"])
    assert folders.feedback("bob", LESSON).is_file()
    with pytest.raises(CourseError, match="'grace' is not graded"):
        gradebook.make_feedback(folders, LESSON, ["grace"])


@pytest.mark.parametrize(
    ("shown", "code", "message"),
    [(Shown.CODE, True, True), (Shown.MESSAGES, False, True), (Shown.NOTHING, False, False)],
)
def test_the_instructor_chooses_what_is_shown_of_hidden_tests(
    folders: ClassFolders, shown: Shown, code: bool, message: bool
) -> None:
    notebook = graded(changed("pairs", WRONG))
    failure = next(
        output["evalue"]
        for output in cell_of(notebook, "test_pairs")["outputs"]
        if output["output_type"] == "error"
    )
    stored(folders, notebook)
    page = page_of(folders, shown=shown)
    assert (HIDDEN in page) is code
    assert (REMARK in page) is not code
    assert (failure.split("\n")[0] in page) is message
    assert "Score: 0.0 / 25.0" in page


def test_nbgrader_config_says_what_is_shown(folders: ClassFolders) -> None:
    stored(folders, graded(changed("pairs", WRONG)))
    config = folders.course.root / "nbgrader_config.py"
    assert HIDDEN not in page_of(folders)
    config.write_text('c = get_config()\nc.HideTests.shown = "code"\n', encoding="utf-8")
    assert HIDDEN in page_of(folders)
    config.write_text('c = get_config()\nc.HideTests.shown = "all"\n', encoding="utf-8")
    with pytest.raises(CourseError, match="'all' in nbgrader_config"):
        page_of(folders)


def by_nbgrader(folders: ClassFolders, shown: Shown) -> str:
    config = Config()
    nbgrader_options.configure(config, folders)
    config.CourseDirectory.assignment_id = LESSON.folder
    config.GenerateFeedback.force = True
    config.HideTests.shown = shown.value
    GenerateFeedback(coursedir=CourseDirectory(config=config), config=config).start()
    return folders.feedback("ada", LESSON).read_text(encoding="utf-8")


@pytest.mark.parametrize("shown", list(Shown))
def test_nbgrader_makes_the_same_page(folders: ClassFolders, shown: Shown) -> None:
    notebook = graded(hostile_submission())
    cell_of(notebook, "test_pairs")["outputs"] += hostile_outputs()
    stored(folders, notebook)
    ours = page_of(folders, shown=shown)
    assert by_nbgrader(folders, shown) == ours


def test_nothing_on_a_page_acts_or_loads(folders: ClassFolders) -> None:
    page = hostile(folders)
    assert len(page) > 20_000
    forbidden = {"script", "iframe", "object", "embed", "form", "input", "link", "base", "svg"}
    for tag, attributes in Elements(page).found:
        assert tag not in forbidden, (tag, attributes)
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, attributes)
            assert name not in ("srcset", "srcdoc", "formaction", "background"), (tag, attributes)
            if name == "src":
                assert str(value).startswith("data:image/"), (tag, attributes)
            if name == "href":
                assert re.match(r"#|https?:|mailto:|[^:]*$", str(value)), (tag, attributes)
            if name == "style":
                assert tag == "span", (tag, attributes)  # colours of the terminal
                assert re.fullmatch(r"[a-z-]+: rgb\(\d+,\d+,\d+\);?", str(value)), attributes
            if name == "class":
                assert "navbar" not in str(value)
    assert f"data:image/png;base64,{PIXEL}" in page
    assert "Content-Security-Policy" in page
    assert "cdnjs" not in page.lower()


def test_pictures_and_tables_stay() -> None:
    table = "<table class='dataframe'><tr><td>1</td></tr></table>"
    for data in ({"image/png": PIXEL}, {"image/jpeg": PIXEL}, {"text/plain": "1"}):
        assert safe_output(display(data)) == display(data)
    kept = safe_output(display({"text/html": table, "text/plain": "1"}))
    assert kept is not None
    assert "<td>1</td>" in kept["data"]["text/html"]
    drawing = "<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0h1' stroke='red'/></svg>"
    assert safe_output(display({"image/svg+xml": drawing})) == display({"image/svg+xml": drawing})


def test_what_only_a_script_can_draw_gives_way_to_text() -> None:
    plot = {
        "application/vnd.plotly.v1+json": {"data": []},
        "text/html": "<div id=a></div><script>Plotly.newPlot('a')</script>",
        "text/plain": "Figure of two lines",
    }
    assert safe_output(display(plot)) == display({"text/plain": "Figure of two lines"})
    alone = safe_output(display({"application/vnd.plotly.v1+json": {}}))
    assert alone is not None
    assert "plotly" in alone["data"]["text/plain"]
    assert "not shown" in alone["data"]["text/plain"]


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=5,
)
KEYS = ["output_type", "name", "text", "data", "metadata", "ename", "evalue", "traceback"]
KINDS = st.sampled_from(["stream", "error", "display_data", "execute_result", "other"])


def test_half_a_character_is_no_end_of_a_page() -> None:
    halves = {"text/html": "<b>\ud800</b>", "text/markdown": "\udfff", "text/plain": "\ud800"}
    for kind, text in halves.items():
        safe = safe_output(display({kind: text}))
        assert safe is not None
        assert safe["data"][kind].encode()
    cell = nb.new_cell("markdown", "\ud800", "a", {})
    make_safe(notebook := nb.new_notebook([cell]))
    assert notebook["cells"][0]["source"].encode() == b"?"


@given(output=st.dictionaries(st.sampled_from(KEYS), JSON), kind=KINDS, data=JSON)
def test_any_output_becomes_one_that_nbformat_accepts(
    output: dict[str, Any], kind: str, data: Any
) -> None:
    given_cell = nb.new_cell("code", "", "a", {})
    odd = {**output, "output_type": kind, "data": {"text/html": data, "image/png": data}}
    given_cell["outputs"] = [odd, output]
    given_cell["execution_count"] = data
    notebook = nb.new_notebook([given_cell])
    make_safe(notebook)
    nbformat.validate(nbformat.from_dict(notebook))  # type: ignore[no-untyped-call]


@given(text=st.text(alphabet=st.sampled_from("\x1b[]0;18mHJ\x07\\a\n\t\r\x08\x9b\u202e<")))
def test_of_all_controls_only_colours_stay(text: str) -> None:
    left = re.sub(r"\x1b\[[0-9;]*m", "", safe_text(text))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", left)
    assert safe_text(safe_text(text)) == safe_text(text)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = browser_path()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on PATH and no BROWSER_PATH")
        pytest.skip("no Chromium on PATH and no BROWSER_PATH")
    with launched(path) as browser:
        yield browser


def opened(chromium: Any, path: Path) -> tuple[str, list[str], list[str]]:
    """A page's title after a moment, the addresses it asked for, and what scripts said."""
    asked: list[str] = []
    said: list[str] = []
    page = chromium.new_page()
    try:
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        page.wait_for_timeout(300)
        return page.title(), [url for url in asked if not url.startswith(("data:", "file:"))], said
    finally:
        page.close()


def test_in_a_browser_no_script_runs_and_no_request_leaves(
    folders: ClassFolders, chromium: Any, tmp_path: Path
) -> None:
    hostile(folders)
    page = folders.feedback("ada", LESSON)
    assert opened(chromium, page) == ("profiling", [], [])
    # without the policy in its head, the page itself is still harmless
    bare = re.sub(r"<meta[^>]*Content-Security-Policy[^>]*>", "", page.read_text(encoding="utf-8"))
    (tmp_path / "bare.html").write_text(bare, encoding="utf-8")
    assert opened(chromium, tmp_path / "bare.html") == ("profiling", [], [])
    # and the browser does see what such a page could do
    (tmp_path / "raw.html").write_text(f"<title>x</title>{HTML[0]}{HTML[4]}", encoding="utf-8")
    title, asked, _ = opened(chromium, tmp_path / "raw.html")
    assert title == "stolen"
    assert len(asked) == 2


def test_the_formgrader_shows_graded_notebooks_cleaned(folders: ClassFolders) -> None:
    """Its page has scripts of its own; of the notebook's words and outputs, none act."""
    notebook = graded(hostile_submission())
    cell_of(notebook, "test_pairs__ordered")["outputs"] += hostile_outputs()
    stored(folders, notebook)
    config = Config()
    nbgrader_options.configure(config, folders)
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [template_path]
    about = {"base_url": "", "index": 0, "total": 1, "submission_id": "1", "student": "ada"}
    about |= {"notebook_id": LESSON.name, "assignment_id": LESSON.folder, "notebook_path": ""}
    place = str(folders.autograded("ada", LESSON))
    page, _ = HTMLExporter(config=config).from_filename(place, resources=about)
    assert f"data:image/png;base64,{PIXEL}" in page
    own, hostile_elements = 0, []
    for tag, attributes in Elements(page).found:
        words = " ".join(f"{name}={value}" for name, value in attributes.items())
        own_button = str(attributes.get("onclick", "")).startswith("toggle_name(")
        acts = any(name.startswith("on") or name in ("srcdoc", "srcset") for name in attributes)
        loads = "evil.example" in str(attributes.get("src"))
        if loads or (acts and not own_button) or "javascript:" in words:
            hostile_elements.append((tag, attributes))
        own += tag == "script"
    assert hostile_elements == []
    assert "stolen" not in "".join(re.findall(r"<script.*?</script>", page, re.S))
    assert own
