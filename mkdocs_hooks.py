"""What the site holds beside docs/: README and the like, notebooks, and the files that pages link to.

Links are written for the files of the project, so that they work on a code host. Here they lead to the page
that the site has for that file: ``../conf/base/parameters`` in docs/ becomes ``conf/base/parameters.md``.
"""

import ast
import json
import os.path
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent
LINK = re.compile(r"(?<=\]\()[^)\s#]+")
_sources: dict[str, str] = {}  # path in the project by place on the site


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that a page links to, directly or by way of others."""
    pages = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    found = ["README.md", "CHANGELOG.md", *pages]
    for path in found:  # which grows
        content = write_page(ROOT / path)
        _sources[place(path)] = path
        if path not in pages:
            files.append(File.generated(config, place(path), content=content))
        linked = {target for link in LINK.findall(content) if (target := follow(path, link))}
        found += sorted(target for target in linked - {*found} if not target.startswith("docs/"))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Lead the links of a page to the places that their targets have on the site."""
    here = page.file.src_uri

    def lead(link: re.Match[str]) -> str:
        target = follow(_sources[here], link[0])
        return os.path.relpath(place(target), Path(here).parent) if target else link[0]

    return LINK.sub(lead, markdown)


def follow(path: str, link: str) -> str | None:
    """Return the file or folder of the project that a link in a file leads to; None if it is none."""
    target = ((ROOT / path).parent / link).resolve()
    return target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) and target.exists() else None


def place(path: str) -> str:
    """Return where on the site a file of the project is."""
    if path == "README.md":
        return "index.md"
    path = path.removeprefix("docs/")
    return path if path.startswith("images/") else Path(path).with_suffix(".md").as_posix()


def write_page(path: Path) -> str:
    """Return the page of a file or folder, as Markdown."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return write_notebook(path)
    if path.is_dir():
        members = sorted(member for suffix in ("*.yml", "*.py") for member in path.rglob(suffix))
        return "\n".join([f"# {path.relative_to(ROOT)}", *(write_member(member, path) for member in members)])
    return f"# {path.relative_to(ROOT)}\n\n{fence(path)}"


def write_notebook(path: Path) -> str:
    """Return the cells of a notebook, one below the other."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for kind, text in texts)


def write_member(path: Path, folder: Path) -> str:
    """Return a file of a folder below its name: a configuration as it is, the head of a script."""
    name = path.relative_to(folder)
    if path.suffix != ".py":
        return f"\n## {name}\n\n{fence(path)}"
    head = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return f"\n## {name}\n\n```text\n{head}\n```" if head and "python -m" in head else ""


def fence(path: Path) -> str:
    """Return a file as a block of code."""
    language = {".yml": "yaml", ".py": "python"}.get(path.suffix, "text")
    return f"```{language}\n{path.read_text(encoding='utf-8').rstrip()}\n```"
