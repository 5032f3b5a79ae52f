"""XML without trust, by local names: each version of DATEX II has namespaces of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from workzone.errors import FeedError

_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def read_xml(content: bytes) -> Element:
    """The root of an XML document.

    Raises:
        FeedError: it is damaged, or has a DOCTYPE, which could make it grow without bounds.
    """
    parser = XMLParser(target=_WithoutDoctype())  # noqa: S314 - entities need a DOCTYPE
    try:
        parser.feed(content)
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError) as error:  # encodings that there are not
        raise FeedError(f"damaged XML: {error}. Name a feed as its publisher sends it.") from error
    return root


class _WithoutDoctype(TreeBuilder):
    def doctype(self, *_: str | None) -> NoReturn:
        raise FeedError("has a DOCTYPE, which no feed needs; take it out")


def local(element: Element) -> str:
    """Name without its namespace."""
    return element.tag.rpartition("}")[2]


def type_of(element: Element) -> str:
    """The xsi:type without its prefix; empty without one."""
    return element.get(_TYPE, "").rpartition(":")[2]


def find(element: Element, *names: str) -> Element | None:
    """The first element down a path of local names."""
    for name in names:
        below = next((child for child in element if local(child) == name), None)
        if below is None:
            return None
        element = below
    return element


def find_all(element: Element, name: str) -> Iterator[Element]:
    """All elements of a local name, however deep, in the order of the document."""
    return (below for below in element.iter() if local(below) == name)


def text(element: Element | None) -> str:
    """What an element says, without white space around it; empty if it is not there."""
    return (element.text or "").strip() if element is not None else ""
