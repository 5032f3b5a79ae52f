"""DATEX II held to an XML schema of the user's; here to small ones in its namespaces."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli_invoke import invoke
from made_events import NOW, PUBLISHER, published
from workzone.errors import FeedError, UsageError
from workzone.geo.out.datex import to_datex
from workzone.geo.validate import xsd
from workzone.geo.validate.feed import validate_feed

SPACE = "http://datex2.eu/schema/3"
PAYLOAD = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:sit="{SPACE}/situation"
  targetNamespace="{SPACE}/d2Payload" elementFormDefault="qualified">
  <xs:import namespace="{SPACE}/situation" schemaLocation="situation.xsd"/>
  <xs:element name="payload" type="sit:SituationPublication"/>
</xs:schema>"""
SITUATION = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="{SPACE}/situation"
  targetNamespace="{SPACE}/situation" elementFormDefault="qualified">
  <xs:complexType name="SituationPublication">
    <xs:sequence>
      <xs:any namespace="##other" processContents="skip" maxOccurs="unbounded"/>
      <xs:element name="situation" type="Situation" maxOccurs="unbounded"/>
    </xs:sequence>
    <xs:attribute name="lang" use="required"/>
    <xs:attribute name="modelBaseVersion" fixed="3"/>
  </xs:complexType>
  <xs:complexType name="Situation">
    <xs:sequence>
      <xs:element name="situationVersionTime" type="xs:dateTime"/>
      <xs:any processContents="skip" maxOccurs="unbounded"/>
    </xs:sequence>
    <xs:attribute name="id" use="required"/>
  </xs:complexType>
</xs:schema>"""


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    (tmp_path / "situation.xsd").write_text(SITUATION)
    (tmp_path / "payload.xsd").write_text(PAYLOAD)
    return tmp_path / "payload.xsd"


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    (tmp_path / "feed.xml").write_bytes(to_datex(published(3), PUBLISHER, published=NOW))
    return tmp_path / "feed.xml"


def test_what_a_schema_does_not_allow_is_told_beside_the_rest(feed: Path, schema: Path) -> None:
    assert not validate_feed(feed, schema=schema).findings
    text = feed.read_text().replace('modelBaseVersion="3"', 'modelBaseVersion="2"')
    parts = text.split("<sit:situation ")
    time = r"<sit:situationVersionTime>.*?</sit:situationVersionTime>"
    parts[2] = re.sub(time, "", parts[2])
    feed.write_text("<sit:situation ".join(parts))
    found = validate_feed(feed, schema=schema).findings
    assert found[-2].where == "payload" and "'3'" in found[-2].what
    assert found[-1].where == "situation[2]"
    assert "'situationVersionTime' expected" in found[-1].what
    said = invoke("map", "validate", feed, "--schema", schema, expect=1).stdout
    assert "situation[2] breaks the schema: Unexpected child" in said


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("payload.xsd", "situation.xsd", "nowhere.xsd"),
        ("payload.xsd", '"situation.xsd"', '"http://127.0.0.1:9/situation.xsd"'),
        ("payload.xsd", "xs:element ", "xs:elephant "),
        ("payload.xsd", "<xs:schema", '<?xml version="1.0" encoding="foo"?><xs:schema'),
        ("payload.xsd", "<xs:schema", "<xs:schema <"),
        ("payload.xsd", "<xs:schema", '<!DOCTYPE a [<!ENTITY b "c">]><xs:schema'),
        ("situation.xsd", '"SituationPublication"', '"Other"'),
    ],
)
def test_a_schema_that_cannot_be_read_is_named(
    feed: Path, schema: Path, name: str, old: str, new: str
) -> None:
    file = schema.with_name(name)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=r"payload\.xsd cannot be read as an XML schema: "):
        validate_feed(feed, schema=schema)


def test_another_root_is_a_fault_and_a_schema_of_other_documents_is_refused(
    feed: Path, schema: Path
) -> None:
    text = feed.read_text()
    feed.write_text(text.replace("d2:payload", "d2:playload"))
    (found,) = validate_feed(feed, schema=schema).findings
    assert (found.where, found.what) == ("playload", "is no begin of a document by the schema")
    feed.write_text(text)
    for other in (schema.with_name("situation.xsd"), feed):
        with pytest.raises(UsageError, match=rf"{other.name} (knows no|cannot be read)"):
            validate_feed(feed, schema=other)


def test_many_faults_are_not_all_told(
    feed: Path, schema: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xsd, "MOST", 2)
    feed.write_text(re.sub("<sit:situationVersionTime>.*?<", "<sit:situationVersionTime>x<",
                           feed.read_text()))  # fmt: skip
    found = [
        one.what for one in validate_feed(feed, schema=schema).findings if "breaks" in one.what
    ]
    assert len(found) == 3 and found[-1] == "breaks the schema more often than 2 times"


def test_a_document_that_is_too_deep_is_told(feed: Path, schema: Path) -> None:
    text = feed.read_text()
    deep = "<com:a>" * 3000 + "</com:a>" * 3000
    start = text.index("<com:publicationTime>")
    feed.write_text(f"{text[:start]}{deep}{text[start:]}")
    with pytest.raises(FeedError, match=r"feed\.xml: it cannot be held to .*payload\.xsd: "):
        validate_feed(feed, schema=schema)


def test_json_has_a_schema_within_the_package(tmp_path: Path, schema: Path) -> None:
    (tmp_path / "feed.json").write_text("{}")
    with pytest.raises(UsageError, match="leave --schema out"):
        validate_feed(tmp_path / "feed.json", schema=schema)
