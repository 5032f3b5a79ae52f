from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from workzone.config import from_mapping, merged, overrides, read_yaml, to_yaml
from workzone.errors import UsageError
from workzone.views import ViewLayout


@dataclass(frozen=True)
class Optimizer:
    name: Literal["adamw", "lion"] = "adamw"
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class Window:
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise UsageError(f"last is at least first, not {self.last} < {self.first}")


@dataclass(frozen=True)
class Job:
    epochs: int
    title: str = "none"
    shuffle: bool = True
    stop: int | None = None
    level: Literal[1, 2] = 1
    optimizer: Optimizer = field(default_factory=Optimizer)
    windows: tuple[Window, ...] = ()
    derived: int = field(default=0, init=False)


def mistakes(value, kind=Job):
    with pytest.raises(UsageError) as caught:
        from_mapping(kind, value, where="job.yaml")
    return str(caught.value)


def test_every_kind_of_field_is_read():
    assert from_mapping(
        Job,
        {
            "epochs": 3,
            "title": "a",
            "shuffle": False,
            "stop": 7,
            "level": 2,
            "optimizer": {"name": "lion", "rate": 1, "betas": [0.5, 0.25]},
            "windows": [{"first": 1, "last": 2}, {"first": 3, "last": 3}],
        },
        where="here",
    ) == Job(3, "a", False, 7, 2, Optimizer("lion", 1.0, (0.5, 0.25)), (Window(1, 2), Window(3, 3)))


def test_absent_fields_keep_their_defaults():
    assert from_mapping(Job, {"epochs": 1}, where="here") == Job(1)


def test_none_is_taken_where_it_is_allowed_only():
    assert from_mapping(Job, {"epochs": 1, "stop": None}, where="here").stop is None
    assert mistakes({"epochs": None}) == "job.yaml: epochs: expected int, got None"


def test_a_whole_number_becomes_a_float_of_that_type():
    rate = from_mapping(Optimizer, {"rate": 2}, where="here").rate
    assert (rate, type(rate)) == (2.0, float)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"epochs": "3"}, "epochs: expected int, got '3'"),
        ({"epochs": 3.5}, "epochs: expected int, got 3.5"),
        ({"epochs": True}, "epochs: expected int, got True"),
        ({"epochs": 3, "shuffle": 1}, "shuffle: expected bool, got 1"),
        ({"epochs": 3, "stop": "x"}, "stop: expected int, got 'x'"),
        ({"epochs": 3, "title": 5}, "title: expected str, got 5"),
        ({"epochs": 3, "level": 3}, "level: 3 is not known; allowed: 1, 2"),
        ({}, "epochs: missing"),
        ({"epochs": 3, "epoch": 4}, "epoch: unknown key; did you mean 'epochs'?"),
        ({"epochs": 3, "derived": 4}, "derived: unknown key"),
        ({"epochs": 3, 5: 4}, "5: unknown key"),
        ({"epochs": 3, "optimizer": {"name": "adam"}}, "did you mean 'adamw'? allowed: adamw, li"),
        ({"epochs": 3, "optimizer": {"name": ["lion"]}}, "optimizer.name: ['lion'] is not known"),
        ({"epochs": 3, "optimizer": {"rate": "high"}}, "optimizer.rate: expected float, got 'hi"),
        ({"epochs": 3, "optimizer": {"rate": True}}, "optimizer.rate: expected float, got True"),
        ({"epochs": 3, "optimizer": {"betas": [1]}}, "optimizer.betas: expected 2 values, got 1"),
        ({"epochs": 3, "optimizer": {"betas": 0.9}}, "optimizer.betas: expected a list, got 0.9"),
        ({"epochs": 3, "optimizer": {"betas": [1, "x"]}}, "optimizer.betas[1]: expected float"),
        ({"epochs": 3, "optimizer": "adamw"}, "optimizer: expected keys and values, got 'adamw'"),
        ({"epochs": 3, "windows": [{"first": 1}]}, "windows[0].last: missing"),
        (
            {"epochs": 3, "windows": [{"first": 1, "last": 2}, {"first": 3, "last": 2}]},
            "windows[1]: last is at least first, not 2 < 3",
        ),
    ],
)
def test_a_mistake_is_named_by_dotted_key_with_its_value(value, message):
    text = mistakes(value)
    assert text.startswith("job.yaml: ")
    assert message in text
    assert "\n" not in text


def test_all_mistakes_come_at_once():
    text = mistakes(
        {
            "epochs": "x",
            "titel": "a",
            "optimizer": {"nam": "lion", "betas": [1, "x"]},
            "windows": [{"first": 2, "last": 1}],
        }
    )
    lines = text.split("\n  ")
    assert lines[0] == "job.yaml:"
    assert {line.split(":")[0] for line in lines[1:]} == {
        "titel",
        "epochs",
        "optimizer.nam",
        "optimizer.betas[1]",
        "windows[0]",
    }
    assert "did you mean 'title'?" in text
    assert "did you mean 'name'?" in text


def test_yaml_is_read(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("epochs: 4\noptimizer:\n  rate: 1e-4  # a string to YAML 1.1\n")
    assert read_yaml(Job, path) == Job(4, optimizer=Optimizer(rate=1e-4))


def test_an_empty_file_is_all_defaults(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing\n")
    assert read_yaml(Optimizer, path) == Optimizer()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epochs: [1, 2", r"cannot read the configuration (?s:.*)job\.yaml: (?s:.*)line 1"),
        (b"epochs: \xff\xfe", r"cannot read the configuration .*job\.yaml"),
        (b"- epochs", r"job\.yaml: the whole: expected keys and values, got \['epochs'\]"),
        (b"epochs: x", r"job\.yaml: epochs: expected int, got 'x'"),
        (b"!!python/object/apply:os.getpid []", r"cannot read the configuration"),
    ],
)
def test_files_that_are_no_configuration_are_named(tmp_path, content, message):
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_yaml(Job, path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the configuration .*none\.yaml: .*No such"):
        read_yaml(Job, tmp_path / "none.yaml")


def test_a_key_given_twice_is_named(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("size: 32\ntiles: 2\nsize: 64\n")
    with pytest.raises(UsageError, match="given twice: size"):
        read_yaml(ViewLayout, path)


def test_settings_of_the_command_line_become_a_tree() -> None:
    tree = overrides(["a=1", "b.c=0.5", "b.d=[1, x]", "b.e={f: null}", "g=", "b.e.h=yes=no"])
    assert tree == {
        "a": 1,
        "b": {"c": 0.5, "d": [1, "x"], "e": {"f": None, "h": "yes=no"}},
        "g": None,
    }


@pytest.mark.parametrize("setting", ["epochs", "=3", "a..b=1", ".a=1"])
def test_what_is_no_setting_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=f"{re.escape(repr(setting))} is no setting; write KEY=V"):
        overrides([setting])
    with pytest.raises(UsageError, match=r"'a=\[1': the value is not YAML"):
        overrides(["a=[1"])


def test_of_two_trees_the_upper_wins_leaf_by_leaf() -> None:
    under = {"a": 1, "b": {"c": 2, "d": 3}, "e": {"f": 4}, "g": None}
    over = {"a": 5, "b": {"d": 6}, "e": None, "g": {"h": 7}}
    assert merged(under, over) == {"a": 5, "b": {"c": 2, "d": 6}, "e": None, "g": {"h": 7}}
    assert under["b"] == {"c": 2, "d": 3}


@dataclass(frozen=True)
class Named:
    weights: Mapping[str, float] = field(default_factory=dict)


def test_a_mapping_has_names_of_its_own(tmp_path):
    given = {"weights": {"a": 1, "b": 0.5}}
    made = from_mapping(Named, given, where="x")
    assert made == Named({"a": 1.0, "b": 0.5})
    (tmp_path / "named.yaml").write_text(to_yaml(made))
    assert read_yaml(Named, tmp_path / "named.yaml") == made
    with pytest.raises(UsageError, match=r"x: weights\.a: expected float, got 'much'"):
        from_mapping(Named, {"weights": {"a": "much"}}, where="x")
    with pytest.raises(UsageError, match="x: weights: expected keys and values, got 3"):
        from_mapping(Named, {"weights": 3}, where="x")
