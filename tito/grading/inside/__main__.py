"""`python -I -S inside SETTINGS`: the zygote, from a folder that knows nothing else of the course.

The folder becomes a package named `inside`, under whatever path it lies.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys


def _become_a_package() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        "inside", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} cannot be imported as a package")
    package = importlib.util.module_from_spec(spec)
    sys.modules["inside"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    _become_a_package()
    importlib.import_module("inside.zygote").main(sys.argv[1])
