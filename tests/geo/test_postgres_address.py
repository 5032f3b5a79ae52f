"""Addresses of PostgreSQL databases; what they mean is written from libpq's documentation."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from workzone.geo.postgres_address import connection_arguments, without_password

OURS = {"timezone": "UTC", "datestyle": "ISO"}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("PGOPTIONS", "PGSERVICE", "PGAPPNAME", "PGCONNECT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)


def read(address: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(connection_arguments(address)["dsn"])
    assert parts.path == parts.fragment == ""
    return parts.netloc, dict(parse_qsl(parts.query, strict_parsing=True))


@pytest.mark.parametrize(
    ("address", "hosts", "parts"),
    [
        ("postgresql://", "", {}),
        ("postgres:///zones", "", {"dbname": "zones"}),
        ("postgresql://host:5433/", "host:5433", {}),
        ("postgresql://me@[::1]/zones", "[::1]", {"user": "me", "dbname": "zones"}),
        ("postgresql://a:1,b:2/z", "a:1,b:2", {"dbname": "z"}),
        (
            "postgresql://me:p%40s#?+s@h/z",
            "h",
            {"user": "me", "password": "p@s#?+s", "dbname": "z"},
        ),
        ("postgresql://%2Frun%2Fpg/z", "%2Frun%2Fpg", {"dbname": "z"}),
        (
            "postgresql://no/a?host=/run&dbname=b&user=c",
            "",
            {"host": "/run", "dbname": "b", "user": "c"},
        ),
        ("postgresql:///?options=-csearch_path%3Da%2Cb", "", {"options": "-csearch_path=a,b"}),
        ("postgresql:///?application_name=a+b%20c", "", {"application_name": "a+b c"}),
        ("postgresql://h?sslmode=require&timezone=CET", "h", {"sslmode": "require"}),
    ],
)
def test_they_are_read_as_libpq_reads_them(address, hosts, parts):
    assert read(address) == (hosts, parts | OURS)


def test_the_environment_fills_what_they_leave_out(monkeypatch):
    monkeypatch.setenv("PGOPTIONS", "-cwork_mem=64MB")
    monkeypatch.setenv("PGSERVICE", "zones")
    assert read("postgresql:///?service=mine")[1] == (
        {"options": "-cwork_mem=64MB", "service": "mine"} | OURS
    )


def test_how_long_a_server_is_waited_for(monkeypatch):
    assert connection_arguments("postgresql://h")["timeout"] == 10
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")
    assert connection_arguments("postgresql://h")["timeout"] == 3
    assert connection_arguments("postgresql://h?connect_timeout=5")["timeout"] == 5
    assert connection_arguments("postgresql://h?connect_timeout=0")["timeout"] is None


@pytest.mark.parametrize("address", ["postgresql:zones", "postgresql:///z?a", "mysql://h/z"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError):
        connection_arguments(address)


def test_passwords_are_not_shown():
    for plain in ("postgresql://me@host/zones", "postgresql:///zones"):
        assert without_password(plain) == plain
    assert without_password("postgresql://me:a%40b@host:5432/z?x=1") == (
        "postgresql://me:***@host:5432/z?x=1"
    )
    assert without_password("postgresql:///z?password=secret&user=me") == (
        "postgresql:///z?password=***&user=me"
    )
    assert "ecret" not in without_password(
        "postgresql://me:se/c@re?secret@host/z?sslpassword=secret"
    )
