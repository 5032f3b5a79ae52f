"""XML built and written."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def add(above: Element, name: str, said: str) -> Element:
    """A new element that says something; characters that XML cannot hold become U+FFFD."""
    element = SubElement(above, name)
    element.text = _FORBIDDEN.sub("�", said)
    return element


def document(root: Element) -> bytes:
    """The whole as UTF-8, indented, with its declaration."""
    indent(root)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
