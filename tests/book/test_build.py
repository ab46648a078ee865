"""The book's pages come from prose and released lessons, and from nowhere else."""

import json
import re
import sys
from pathlib import Path

import pytest

from book.build import build, gather

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = re.compile(r"^\s*(?:- file|root): (\S+)$", re.MULTILINE)


def checkout(folder: Path, source: str) -> Path:
    """A small course whose one released lesson has this text."""
    for name in ("book/chapters", "docs", "release/14_profiling", "source/14_profiling"):
        (folder / name).mkdir(parents=True)
    for name in ("book/_config.yml", "book/_toc.yml", "book/chapters/intro.md", "docs/students.md"):
        (folder / name).write_text("here\n", encoding="utf-8")
    for name in ("release", "source"):
        path = folder / name / "14_profiling" / "profiling.ipynb"
        path.write_text(json.dumps({"cells": [{"source": f"{source} ({name})"}]}), encoding="utf-8")
    return folder


def test_a_lesson_comes_from_its_release(tmp_path: Path) -> None:
    root = checkout(tmp_path / "course", "x = 1")
    pages = gather(root, tmp_path / "pages")
    assert {str(page) for page in pages} == {
        "_config.yml",
        "_toc.yml",
        "chapters/intro.md",
        "docs/students.md",
        "lessons/14_profiling.ipynb",
    }
    lesson = (tmp_path / "pages" / "lessons" / "14_profiling.ipynb").read_text(encoding="utf-8")
    assert "(release)" in lesson


def test_what_an_earlier_build_left_goes(tmp_path: Path) -> None:
    root = checkout(tmp_path / "course", "x = 1")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "old.md").write_text("old", encoding="utf-8")
    gather(root, tmp_path / "pages")
    assert not (tmp_path / "pages" / "old.md").exists()


@pytest.mark.parametrize("marker", ["### BEGIN SOLUTION", "### END HIDDEN TESTS"])
def test_a_release_with_answers_is_refused(tmp_path: Path, marker: str) -> None:
    root = checkout(tmp_path / "course", marker)
    with pytest.raises(SystemExit, match="holds answers"):
        gather(root, tmp_path / "pages")


def test_no_release_is_said_clearly(tmp_path: Path) -> None:
    root = checkout(tmp_path / "course", "x = 1")
    (root / "release" / "14_profiling" / "profiling.ipynb").unlink()
    with pytest.raises(SystemExit, match="tito release"):
        gather(root, tmp_path / "pages")


def jupyter_book(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program in place of jupyter-book; its second argument is the folder of pages."""
    folder.mkdir()
    (folder / "jupyter-book").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "jupyter-book").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))


def test_the_site_is_put_where_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = 'mkdir -p "$2/_build/html" && echo hello > "$2/_build/html/index.html"'
    jupyter_book(tmp_path / "bin", monkeypatch, writes)
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "old.html").write_text("old", encoding="utf-8")
    index = build(tmp_path / "pages", tmp_path / "html")
    assert index.read_text(encoding="utf-8") == "hello\n"
    assert not (tmp_path / "html" / "old.html").exists()


@pytest.mark.parametrize("script", ["echo a page is broken; exit 3", "exit 0"])
def test_a_book_without_a_first_page_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    jupyter_book(tmp_path / "bin", monkeypatch, script)
    with pytest.raises(SystemExit, match="The book was not built"):
        build(tmp_path / "pages", tmp_path / "html")


def test_every_page_of_the_contents_exists_and_every_lesson_is_in_it(tmp_path: Path) -> None:
    pages = {page.with_suffix("").as_posix() for page in gather(ROOT, tmp_path / "pages")}
    listed = set(DOCUMENT.findall((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")))
    assert listed <= pages
    assert {page for page in pages if page.startswith("lessons/")} <= listed


def test_links_between_chapters_lead_somewhere(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    known = {(pages / page).with_suffix("") for page in gather(ROOT, pages)}
    for chapter in sorted((pages / "chapters").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", chapter.read_text(encoding="utf-8")):
            linked = (chapter.parent / target).resolve()
            assert linked.with_suffix("") in known, f"{chapter.name} links to {target}"
