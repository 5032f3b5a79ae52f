"""The package's shape: imports point one way along the spine, and `docs/architecture.md` is true.

The page's tree, its picture of the rooms and its table of commands are compared with the code; its
walk of one image is compared with what a prediction calls.
"""

import ast
import re
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from made_images import blob_image
from workzone.cli import app

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "workzone"
PAGE = ROOT / "docs" / "architecture.md"

LAYERS = (
    ("types", "errors", "cores"),
    ("config", "files", "progress", "parallel", "ray_import"),
    ("data",),
    ("views", "scenes"),
    ("backbones",),
    ("features",),
    ("model",),
    ("decide",),
    ("engine",),
    ("train", "teach"),
    ("report",),
    ("run",),
    ("serve",),
    ("subnet", "geo"),
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


def tree_in(page: str) -> dict[str, str]:
    """Paths of the page's tree, with the few words beside them."""
    block = re.search(r"```\nsrc/workzone/\n(.*?)```", page, re.DOTALL)
    assert block, "the page has no tree"
    entries, folders = {}, {}
    for line in block.group(1).splitlines():
        match = re.fullmatch(r"( +)(\S+)(?: +(\S.*))?", line)
        assert match, line
        depth = len(match.group(1)) // 2
        folders[depth] = match.group(2)
        entries["".join(folders[d] for d in range(1, depth + 1))] = match.group(3) or ""
    return entries


def test_the_tree_is_true():
    entries = tree_in(PAGE.read_text())
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


def picture_in(page: str) -> tuple[dict[str, frozenset[str]], set[tuple[str, str]], set[str]]:
    """Boxes of the page's picture with the rooms in each, its arrows, and the boxes in bold."""
    block = re.search(r"```mermaid\nflowchart TD\n(.*?)```", page, re.DOTALL)
    assert block, "the page has no picture"
    boxes, arrows, bold = {}, set(), set()
    for line in filter(None, map(str.strip, block.group(1).splitlines())):
        if box := re.fullmatch(r'(\w+)\["<b>([^<]+)</b><br/>[^"<]+"\]', line):
            boxes[box[1]] = frozenset(box[2].split(", "))
        elif arrow := re.fullmatch(r"(\w+) --> (\w+)", line):
            arrows.add((arrow[1], arrow[2]))
        elif walk := re.fullmatch(r"class ([\w,]+) walk", line):
            bold |= set(walk[1].split(","))
        else:
            assert line.startswith("classDef walk "), f"not understood: {line}"
    return boxes, arrows, bold


def needed(graph: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """The fewest arrows that lead from each node to all it imports, directly or through others."""

    def reached(node: str) -> set[str]:
        return graph[node].union(*map(reached, graph[node])) if graph[node] else set()

    return {
        (node, other)
        for node, others in graph.items()
        for other in others
        if not any(other in reached(third) for third in others)
    }


def test_the_picture_shows_the_rooms_and_who_imports_whom():
    boxes, arrows, _ = picture_in(PAGE.read_text())
    rooms = {room: box for box, rooms in boxes.items() for room in rooms}
    assert sum(map(len, boxes.values())) == len(rooms)
    assert set(rooms) == set(LEVEL) - {"__main__"}
    for together in boxes.values():
        assert len({LEVEL[room] for room in together}) == 1, f"{together} are on several floors"
    for start, end in arrows:
        above, below = (min(LEVEL[room] for room in boxes[box]) for box in (start, end))
        assert above > below, f"{start} --> {end} points up"
    imports = {box: set() for box in boxes}
    for path in modules():
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part in rooms:
            others = {rooms[other] for other in imported_parts(path.read_text())}
            imports[rooms[part]] |= others - {rooms[part]}
    shown, true = arrows, needed(imports)
    assert (shown - true, true - shown) == (set(), set()), "wrong arrows, and missing ones"


def test_the_floors_are_told():
    told = re.search(r"^    (types, .+ <- .+)$", PAGE.read_text(), re.MULTILINE)
    assert told
    floors = [tuple(floor.split(", ")) for floor in told[1].split(" <- ")]
    assert floors == list(LAYERS[:-1])  # but for __main__


def test_arrows_that_others_stand_for_are_left_out():
    graph = {"cli": {"run", "data"}, "run": {"data", "views"}, "views": {"data"}, "data": set()}
    assert needed(graph) == {("cli", "run"), ("run", "views"), ("views", "data")}


def functions_of(source: str) -> set[str]:
    """Functions and methods that some source defines, as `load` and `Predictor.score`."""
    tree = ast.parse(source)
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            methods = (part for part in node.body if isinstance(part, ast.FunctionDef))
            found |= {f"{node.name}.{method.name}" for method in methods}
    return found


NAMED = r"`([\w/]+\.py)` `([\w.]+)`"


def test_files_and_functions_that_the_page_names_exist():
    named = re.findall(NAMED, PAGE.read_text())
    assert len(named) > 25
    missing = [
        f"{file} {function}"
        for file, function in named
        if not (PACKAGE / file).is_file()
        or function not in functions_of((PACKAGE / file).read_text())
    ]
    assert missing == []


def walk_in(page: str) -> list[tuple[int, str, str, str]]:
    """Number, file, function and the words of each step of the page's walk."""
    steps = re.findall(rf"^(\d+)\. {NAMED} (.+)$", page, re.MULTILINE)
    return [(int(number), file, function, words) for number, file, function, words in steps]


def test_the_walk_passes_each_room_once_down_and_up():
    page = PAGE.read_text()
    steps = walk_in(page)
    assert [number for number, *_ in steps] == list(range(1, len(steps) + 1))
    assert len(steps) == len(re.findall(r"^\d+\. ", page, re.MULTILINE)) > 8
    assert len({(file, function) for _, file, function, _ in steps}) == len(steps)
    rooms = [file.split("/")[0].removesuffix(".py") for _, file, _, _ in steps]
    bottom = rooms.index("decide") + 1  # where there is an answer
    for way in (rooms[:bottom], rooms[bottom:]):
        passed = [room for room, _ in groupby(way)]
        assert len(passed) == len(set(passed)), f"a room is passed twice: {passed}"
    assert picture_in(page)[2] == set(rooms)


def test_the_walk_is_what_a_prediction_calls(tmp_path: Path):
    steps = walk_in(PAGE.read_text())
    wanted = {(str(PACKAGE / file), function): number for number, file, function, _ in steps}
    called: dict[FrameType, int] = {}  # a generator that goes on keeps its frame

    def note(frame: FrameType, event: str, _: object) -> None:
        step = wanted.get((frame.f_code.co_filename, frame.f_code.co_qualname))
        if event == "call" and step is not None:
            called.setdefault(frame, step)

    blob_image(1, 1).save(tmp_path / "street.jpg", quality=95)
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        result = CliRunner().invoke(
            app, ["predict", str(tmp_path / "street.jpg"), "--engine", "onnx"]
        )
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert result.exit_code == 0, result.output
    assert "street.jpg: " in result.stdout
    calls = list(called.values())
    assert list(dict.fromkeys(calls)) == [number for number, *_ in steps]
    repeated = {step for step in calls if calls.count(step) > 1}
    assert repeated == {number for number, *_, words in steps if "called for each" in words}


def commands_in(page: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """By command: its file, and the functions it calls with theirs."""
    rows = re.findall(r"^\| `workzone ([\w -]+)` \| `([\w/]+\.py)` \| (.+) \|$", page, re.MULTILINE)
    return {name: (file, re.findall(NAMED, calls)) for name, file, calls in rows}


def commands_of(part: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with what it runs."""
    for below, command in part.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{name}{below} ")
        else:
            yield f"{name}{below}", command.callback


def names_imported(source: str) -> set[tuple[str, str]]:
    """Modules and names of all ``from ... import ...``, wherever in some source."""
    return {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def test_the_commands_call_what_the_page_says():
    table = commands_in(PAGE.read_text())
    present = dict(commands_of(typer.main.get_command(app)))
    assert sorted(table) == sorted(present)
    for name, (file, calls) in table.items():
        assert present[name].__module__ == f"workzone.{file[:-3].replace('/', '.')}", name
        imported = names_imported((PACKAGE / file).read_text())
        assert calls, name
        for home, function in calls:
            module = f"workzone.{home[:-3].replace('/', '.')}"
            names = {(module, function.split(".")[0])}
            names.add((module.rpartition(".")[0], function.split(".")[0]))  # of the room itself
            assert names & imported, f"{file} does not import {function} of {home}"


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
