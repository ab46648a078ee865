"""Reading which module imports which, without importing any of them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One imported name; `at_start` says whether it happens when the module is loaded."""

    target: str
    at_start: bool
    line: int


def module_name(path: Path, root: Path) -> str:
    """The dotted name of a file: `tinytorch/nn/__init__.py` is `tinytorch.nn`."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root: Path, package: str) -> dict[str, Path]:
    """All modules of a package by dotted name."""
    return {module_name(path, root): path for path in sorted((root / package).rglob("*.py"))}


def imports_of(path: Path, root: Path) -> list[Import]:
    """Every import of a file, wherever in it; relative ones resolved."""
    package = module_name(path, root)
    if path.name != "__init__.py":
        package = package.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return list(_walk(tree, package, at_start=True))


def _walk(node: ast.AST, package: str, at_start: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, at_start, child.lineno)
        elif isinstance(child, ast.ImportFrom):
            origin = _origin(child, package)
            for alias in child.names:
                yield Import(f"{origin}.{alias.name}", at_start, child.lineno)
        elif _is_late(child):
            yield from _walk(child, package, at_start=False)
        else:
            yield from _walk(child, package, at_start)


def _is_late(node: ast.AST) -> bool:
    """Whether what is inside runs later than at loading, or never."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def _origin(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    base = package.split(".")[: len(package.split(".")) - (node.level - 1)]
    return ".".join([*base, node.module] if node.module else base)


def start_graph(root: Path, package: str) -> dict[str, set[str]]:
    """Which modules of the package each module needs in order to load."""
    known = modules(root, package)
    graph: dict[str, set[str]] = {name: set() for name in known}
    for name, path in known.items():
        for imported in imports_of(path, root):
            target = _known_module(imported.target, known)
            if imported.at_start and target and target != name:
                graph[name].add(target)
    return graph


def _known_module(target: str, known: dict[str, Path]) -> str | None:
    """`tinytorch.nn.Linear` is found in the module `tinytorch.nn`."""
    while target and target not in known:
        target = target.rpartition(".")[0]
    return target or None


def cycle(graph: dict[str, set[str]]) -> list[str] | None:
    """One chain of modules that ends where it began, or None."""
    finished: set[str] = set()

    def visit(name: str, chain: list[str]) -> list[str] | None:
        if name in chain:
            return [*chain[chain.index(name) :], name]
        if name in finished:
            return None
        for target in sorted(graph[name]):
            found = visit(target, [*chain, name])
            if found:
                return found
        finished.add(name)
        return None

    for start in sorted(graph):
        found = visit(start, [])
        if found:
            return found
    return None
