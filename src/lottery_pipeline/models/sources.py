"""The source of a user's network: what the factory and its layers use, in all modules of the user.

The modules of the standard library, of installed packages and of this package are left out, but those of the
factory's own package are read wherever they lie. Of a module those definitions count whose names are used,
and all statements that define nothing. Comments, docstrings and layout do not count.
"""

import ast
import hashlib
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

_OWN = "lottery_pipeline"
_INSTALLED = tuple(
    Path(folder).resolve()
    for folder in {
        *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
        site.getusersitepackages(),
    }
)


def digest_sources(factory: str, classes: Iterable[type]) -> str:
    """Return the SHA-256 of the source of a user's network, as it is on the disk now.

    Args:
        factory: as ``package.module:factory``; imported already.
        classes: of the network's modules; those of others than the user do no harm.
    """
    start, _, name = factory.partition(":")
    used, waiting = {name}, [start]
    for layer in classes:
        used.add(layer.__qualname__.partition(".")[0])
        waiting.append(layer.__module__)
    statements = {module: list(tree.body) for module, tree in _read_modules(waiting, start).items()}
    texts: list[tuple[str, int, str]] = []
    grown = True
    while grown:
        grown = False
        for module, body in statements.items():
            for place, node in enumerate(body):
                names = _defined_names(node)
                if isinstance(node, ast.Pass) or (names is not None and used.isdisjoint(names)):
                    continue
                texts.append((module, place, ast.unparse(node)))
                used |= _used_names(node)
                body[place] = ast.Pass()  # taken
                grown = True
    lines = [f"{module}\n{text}" for module, _, text in sorted(texts)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _read_modules(waiting: list[str], start: str) -> dict[str, ast.Module]:
    """Parse the user's modules that are imported from some modules, without docstrings."""
    package, seen = start.partition(".")[0], set[str]()
    trees = {}
    while waiting:
        name = waiting.pop()
        path = None if name in seen else _find_users_file(name, package)
        seen.add(name)
        if path is not None:
            trees[name] = _without_docstrings(ast.parse(path.read_bytes()))
            waiting += _list_imports(trees[name], sys.modules[name])
    return trees


def _defined_names(node: ast.stmt) -> set[str] | None:
    """Return the names that a statement defines; None if it does something else, which always counts."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        return None if "*" in names else names
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        parts = [part for target in targets for part in ast.walk(target)]
        if not any(isinstance(part, ast.Attribute | ast.Subscript) for part in parts):
            return {part.id for part in parts if isinstance(part, ast.Name)}
    if isinstance(node, ast.If) and "__name__" in _used_names(node.test):
        return set()  # what a module does as a program
    return None


def _used_names(node: ast.AST) -> set[str]:
    """Return all identifiers in a piece of code, also in texts, which getattr may look up."""
    names = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            names.add(part.id)
        elif isinstance(part, ast.Attribute):
            names.add(part.attr)
        elif isinstance(part, ast.alias):
            names |= set(part.name.split("."))
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            names.add(part.value)
    return names


def _find_users_file(name: str, package: str) -> Path | None:
    module = sys.modules.get(name)
    path = Path(getattr(module, "__file__", None) or ".")
    top = name.partition(".")[0]
    if path.suffix != ".py" or top == _OWN or not path.is_file():
        return None
    resolved = path.resolve()
    if top != package and any(resolved.is_relative_to(folder) for folder in _INSTALLED):
        return None
    return resolved


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _list_imports(tree: ast.Module, module: ModuleType) -> Iterator[str]:
    """Yield the names of all modules that the source may import, anywhere; some may be names of functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            start = importlib.util.resolve_name(start, module.__package__ or "") if node.level else start
            names = [start, *(f"{start}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: count + 1]) for count in range(len(parts)))
