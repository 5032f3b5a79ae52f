"""What a teacher is asked: phrases and thresholds by class, from a YAML file or by default."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workzone.config import read_yaml
from workzone.errors import UsageError
from workzone.types import OBJECT_CLASSES


@dataclass(frozen=True)
class ClassPrompt:
    """What a class is called, and how sure a teacher must be; without phrases it is not asked for.

    Raises:
        UsageError: a phrase that is empty or given twice, a threshold out of range.
    """

    phrases: tuple[str, ...] = ()
    threshold: float = 0.5  # 0..1; of an object's score
    mask_threshold: float = 0.5  # 0..1; of a pixel

    def __post_init__(self) -> None:
        if any(not phrase.strip() for phrase in self.phrases):
            raise UsageError("a phrase is empty; write what the objects look like, or leave it out")
        if len(set(self.phrases)) < len(self.phrases):
            raise UsageError("a phrase is given twice; leave one out")
        for name in ("threshold", "mask_threshold"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise UsageError(f"{name} is {value}; give a number from 0 up to, and below, 1")


@dataclass(frozen=True)
class Prompts:
    """What is asked of each class; a class that a file leaves out is asked for as by default.

    Raises:
        UsageError: no class is asked for.
    """

    cone: ClassPrompt = field(default=ClassPrompt(("orange traffic cone",)))
    barrier: ClassPrompt = field(
        default=ClassPrompt(("construction barrier with red and white stripes",))
    )
    sign: ClassPrompt = field(default=ClassPrompt(("road work sign",)))
    worker: ClassPrompt = field(default=ClassPrompt(("construction worker wearing a safety vest",)))
    vehicle: ClassPrompt = field(default=ClassPrompt(("excavator or other construction vehicle",)))
    equipment: ClassPrompt = field(default=ClassPrompt(("construction equipment and materials",)))

    def __post_init__(self) -> None:
        if not self.classes:
            raise UsageError("no class has phrases; nothing is asked for")

    @property
    def classes(self) -> tuple[str, ...]:
        """Those that are asked for, in the order of ``OBJECT_CLASSES``."""
        return tuple(name for name in OBJECT_CLASSES if self.of(name).phrases)

    @property
    def silent(self) -> tuple[str, ...]:
        """Those that have no phrases: exemplars alone can ask for them, image by image."""
        return tuple(name for name in OBJECT_CLASSES if not self.of(name).phrases)

    def of(self, name: str) -> ClassPrompt:
        """What is asked of a class."""
        prompt: ClassPrompt = getattr(self, name)
        return prompt

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Each class with each of its phrases."""
        for name in self.classes:
            for phrase in self.of(name).phrases:
                yield name, phrase


assert tuple(part.name for part in dataclasses.fields(Prompts)) == OBJECT_CLASSES


def read_prompts(path: Path | None) -> Prompts:
    """The prompts of a YAML file; None: those by default.

    Raises:
        UsageError: the file is missing or has mistakes, all of which are listed.
    """
    return Prompts() if path is None else read_yaml(Prompts, path)


def check_lengths(prompts: Prompts, count: Callable[[str], int], limit: int, teacher: str) -> None:
    """See that a teacher's text tower reads every phrase to its end.

    Args:
        prompts: what is asked.
        count: tokens of a phrase, those that mark its start and end among them.
        limit: the most that the text tower takes.
        teacher: its name, for the message.

    Raises:
        UsageError: phrases that are too long, all of them.
    """
    long = [
        f"{name}: {phrase!r} has {count(phrase)} tokens"
        for name, phrase in prompts.pairs()
        if count(phrase) > limit
    ]
    if long:
        gap = " " if len(long) == 1 else "\n  "
        raise UsageError(
            f"{teacher} reads at most {limit} tokens of a phrase; shorten:{gap}" + "\n  ".join(long)
        )
