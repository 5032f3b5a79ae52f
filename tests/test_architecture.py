"""The package's shape: imports point one way along the spine, and the README's tree is true."""

import ast
import re
from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "workzone"

LAYERS = (
    ("types", "errors"),
    ("config", "files", "progress", "parallel"),
    ("data",),
    ("views", "scenes"),
    ("backbones",),
    ("features",),
    ("model",),
    ("decide",),
    ("engine",),
    ("train",),
    ("report",),
    ("run",),
    ("subnet",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def part_of(module: str) -> str | None:
    """The package's part that a dotted module name belongs to; None for the package itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == "workzone" and len(parts) > 1 else None


def imported_parts(source: str) -> set[str]:
    """Parts of the package that some source imports, at any depth of nesting."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "workzone":
                found |= {alias.name for alias in node.names}
            else:
                found.add(part_of(node.module))
        elif isinstance(node, ast.Import):
            found |= {part_of(alias.name) for alias in node.names}
    return {part for part in found if part in LEVEL}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down_the_spine(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part == "__init__":
        return  # the public names come from everywhere
    assert part in LEVEL, f"{part} has no place in the order of imports"
    others = imported_parts(path.read_text()) - {part}
    higher = {other for other in others if LEVEL[other] >= LEVEL[part]}
    assert not higher, f"{path.relative_to(ROOT)} imports {higher}, not earlier in the spine"


def test_an_upward_import_is_seen():
    assert imported_parts("def f():\n    from workzone.run.bulk import x") == {"run"}
    assert imported_parts("import workzone.cli.data") == {"cli"}
    assert imported_parts("from workzone import progress") == {"progress"}


def imported_modules(source: str, present: Collection[str]) -> set[str]:
    """Which of the files present some source imports, wherever in it, and be it for types alone.

    The package itself is none of them: its public names come from everywhere.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                found.add(module if module in present else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(present)


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """What each module imports, by dotted name."""
    return {module: imported_modules(source, sources) for module, source in sources.items()}


def between_folders(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same, with all files of a folder within a room as one, as `workzone.train.feed`."""
    joined: dict[str, set[str]] = {}
    for module, imported in graph.items():
        folder = ".".join(module.split(".")[:3])
        others = {".".join(other.split(".")[:3]) for other in imported} - {folder}
        joined.setdefault(folder, set()).update(others)
    return joined


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first once more at the end; [] if none do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def sources_of_the_package() -> dict[str, str]:
    names = {path: path.relative_to(PACKAGE.parent).with_suffix("").parts for path in modules()}
    dotted = {".".join(parts).removesuffix(".__init__"): path for path, parts in names.items()}
    return {name: path.read_text() for name, path in dotted.items() if name != "workzone"}


def test_no_files_and_no_folders_import_each_other_in_a_circle():
    graph = import_graph(sources_of_the_package())
    assert sum(map(len, graph.values())) > len(graph)  # it has been read at all
    assert circle(graph) == []
    assert circle(between_folders(graph)) == []


@pytest.mark.parametrize(
    "last",
    [
        "from workzone.model.a import A",
        "def f():\n    from workzone.model import a",
        "def f():\n    import workzone.model.a as other",
        "if TYPE_CHECKING:\n    from workzone.model.a import A",
    ],
)
def test_a_circle_is_seen(last):
    sources = {
        "workzone.model": "",
        "workzone.model.a": "import torch\nfrom workzone.model import b, constant",
        "workzone.model.b": "from workzone.model.deep.c import C",
        "workzone.model.deep.c": last,
    }
    found = circle(import_graph(sources))
    assert len(found) == 4 and set(found) == set(sources) - {"workzone.model"}
    assert "workzone.model.a workzone.model.b" in " ".join(found + found[1:])  # who imports whom
    sources["workzone.model.deep.c"] = "import workzone\nfrom workzone import __version__"
    assert circle(import_graph(sources)) == []


def test_a_circle_of_folders_is_seen():
    sources = {
        "workzone.train.feed.rows": "from workzone.train.settings import TrainConfig",
        "workzone.train.settings": "from workzone.train.feed.weights import WeightConfig",
        "workzone.train.feed.weights": "",
    }
    graph = import_graph(sources)
    assert circle(graph) == []
    assert set(circle(between_folders(graph))) == {"workzone.train.feed", "workzone.train.settings"}


def test_folders_say_what_belongs_in_them():
    for path in PACKAGE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path.relative_to(ROOT)} is silent"


def tree_in(readme: str) -> dict[str, str]:
    """Paths of the README's tree, with the few words beside them."""
    block = re.search(r"```\nsrc/workzone/\n(.*?)```", readme, re.DOTALL)
    assert block, "the README has no tree"
    entries, folders = {}, {}
    for line in block.group(1).splitlines():
        match = re.fullmatch(r"( +)(\S+)(?: +(\S.*))?", line)
        assert match, line
        depth = len(match.group(1)) // 2
        folders[depth] = match.group(2)
        entries["".join(folders[d] for d in range(1, depth + 1))] = match.group(3) or ""
    return entries


def test_the_tree_of_the_readme_is_true():
    entries = tree_in((ROOT / "README.md").read_text())
    listed = {path for path in entries if not path.endswith("/")}
    present = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not (path.name == "__init__.py" and path.parent != PACKAGE)
    }
    assert listed == present
    assert all(entries.values()), "every line of the tree says what the file is for"


def test_files_stay_short():
    longest = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()
    }
    assert {name: lines for name, lines in longest.items() if lines > 400} == {}


def test_the_public_names_exist():
    import workzone

    assert len(workzone.__all__) <= 15
    for name in workzone.__all__:
        assert getattr(workzone, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        workzone.nothing  # noqa: B018
