"""Build the course book: `make book`.

The book shows the lessons as students get them. So its pages are gathered from prose, from docs/
and from release/, never from modules/ or source/; a page that holds answers stops the build.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ANSWER = re.compile(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS)")


def gather(root: Path, pages: Path) -> list[Path]:
    """Copy everything the book shows into one folder.

    Args:
        root: The course's checkout.
        pages: The folder to fill; what was in it goes.

    Returns:
        The pages, relative to the folder.

    Raises:
        SystemExit: There is no release, or a released lesson still holds answers.
    """
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(root / "book" / "chapters", pages / "chapters")
    shutil.copytree(root / "docs", pages / "docs")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(root / "book" / name, pages / name)
    for notebook in released(root):
        if ANSWER.search(notebook.read_text(encoding="utf-8")):
            raise SystemExit(
                f"{notebook.relative_to(root)} holds answers. Make it again with: tito release"
            )
        target = pages / "lessons" / f"{notebook.parent.name}.ipynb"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(notebook, target)
    return sorted(page.relative_to(pages) for page in pages.rglob("*") if page.is_file())


def released(root: Path) -> list[Path]:
    """The notebooks students get, one a lesson."""
    notebooks = sorted((root / "release").glob("*_*/*.ipynb"))
    if not notebooks:
        raise SystemExit("release/ has no lesson. Make it with: tito build and tito release")
    return notebooks


def build(pages: Path, site: Path) -> Path:
    """Turn the gathered pages into HTML; return its first page.

    Raises:
        SystemExit: Jupyter Book failed, or ended well and wrote no first page.
    """
    jupyter_book = Path(sys.executable).parent / "jupyter-book"
    command = [str(jupyter_book), "build", str(pages), "--all", "--quiet"]
    command += ["--warningiserror", "--keep-going"]  # a link that leads nowhere, say
    # What it prints names the folder that is moved below; its warnings come by the other channel.
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    made = pages / "_build" / "html"
    if answer.returncode or not (made / "index.html").is_file():
        ending = f"jupyter-book ended with {answer.returncode}"
        raise SystemExit(f"{answer.stdout}\nThe book was not built: {ending}.")
    shutil.rmtree(site, ignore_errors=True)
    shutil.move(made, site)
    return site / "index.html"


def main() -> None:
    folder = ROOT / "book" / "_build"
    gather(ROOT, folder / "pages")
    index = build(folder / "pages", folder / "html")
    print(f"The book is ready: {index.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
