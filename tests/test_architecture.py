"""The package's shape: imports point one way along the spine, and the README's tree is true."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "workzone"

LAYERS = (
    ("types", "errors"),
    ("config", "files", "progress", "parallel"),
    ("data", "views"),
    ("backbones", "features"),
    ("model",),
    ("train", "decide"),
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
    higher = {other for other in imported_parts(path.read_text()) if LEVEL[other] > LEVEL[part]}
    assert not higher, f"{path.relative_to(ROOT)} imports {higher}, which come later in the spine"


def test_an_upward_import_is_seen():
    assert imported_parts("def f():\n    from workzone.run.bulk import x") == {"run"}
    assert imported_parts("import workzone.cli.data") == {"cli"}
    assert imported_parts("from workzone import progress") == {"progress"}


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
