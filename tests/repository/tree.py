"""What must not lie in the repository, whatever put it there."""

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc)(_|$)")
# A grader's kernel sees its one folder under the name of no real person.
PERSONAL_FOLDER = re.compile(r"/(?:home|Users)/(?!student\b)\w+/|/root/\w")
GENERATED = ("source", "release")
PRIVATE = ("submitted", "autograded", "feedback", "gradebook", "demo")


def project_files(root: Path) -> list[Path]:
    """Files that are in git or would be added to it, relative to `root`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    names = (name for name in answer.stdout.split("\0") if name)
    return sorted({Path(name) for name in names if (root / name).is_file()})


def says_nothing(files: Iterable[Path]) -> list[str]:
    """Paths with a name that tells no idea: utils, helpers, common, manager."""
    return [
        str(path)
        for path in files
        if any(EMPTY_NAMES.search(Path(part).stem.lower()) for part in path.parts)
    ]


def code_beside_notebooks(files: Iterable[Path]) -> list[str]:
    """Python in the folders that nbgrader copies to students, answers and all."""
    return [str(path) for path in files if path.parts[0] in GENERATED and path.suffix == ".py"]


def private_files(files: Iterable[Path]) -> list[str]:
    """Student work, marks and databases; of the folders that hold them only the README travels."""
    return [
        str(path)
        for path in files
        if path.suffix in (".db", ".sqlite")
        or (path.parts[0] in PRIVATE and path.name != "README.md")
    ]


def notebooks_with_outputs(root: Path, files: Iterable[Path]) -> list[str]:
    """Notebooks that keep an output, an execution count or widget state."""
    found = []
    for path in files:
        if path.suffix != ".ipynb":
            continue
        notebook = json.loads((root / path).read_text(encoding="utf-8"))
        ran = any(cell.get("outputs") or cell.get("execution_count") for cell in notebook["cells"])
        if ran or "widgets" in notebook.get("metadata", {}):
            found.append(str(path))
    return found


def paths_of_a_machine(root: Path, files: Iterable[Path]) -> list[str]:
    """Lines that name a folder which only one machine has."""
    found = []
    here = re.compile(re.escape(str(root)) + r"(?![\w-])") if len(root.parts) > 2 else None
    for path in files:
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image or an array
        for number, line in enumerate(text.splitlines(), 1):
            if PERSONAL_FOLDER.search(line) or (here and here.search(line)):
                found.append(f"{path}:{number}: {line.strip()[:80]}")
    return found
