"""A PostgreSQL server of one's own, from Debian's packages, without a network."""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg


def programs() -> Path | None:
    """The folder of the newest server's programs that PostGIS is installed for."""
    found = sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin/pg_ctl"), key=_version)
    with_postgis = (one.parent for one in reversed(found) if _postgis(one).exists())
    return next(with_postgis, None)


def _version(program: Path) -> int:
    return int(program.parts[-3])


def _postgis(program: Path) -> Path:
    return Path(f"/usr/share/postgresql/{_version(program)}/extension/postgis.control")


class Server:
    """A running server; every address that it gives is of a schema of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, itertools.count()

    def address(self, schema: str = "public") -> str:
        return (
            f"postgresql://zones:secret@/postgres?host={self._folder}"
            f"&options=-csearch_path%3D{schema},public"
        )

    def new(self) -> str:
        """An address where nothing is."""
        name = f"map_{next(self._numbers)}"
        self.query(f"CREATE SCHEMA {name}")
        return self.address(name)

    def query(self, sql: str, address: str | None = None) -> list[tuple[Any, ...]]:
        async def ask() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(address or self.address())
            try:
                return [tuple(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()

        return asyncio.run(ask())


@contextmanager
def running(bin_: Path) -> Iterator[Server]:
    """A server that only this machine's sockets reach; it refuses to be root's."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

    def run(*command: str) -> None:
        subprocess.run(
            command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=60
        )

    data = str(folder / "data")
    settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    run(str(bin_ / "initdb"), "-D", data, "-U", "zones", "-A", "trust", "-E", "UTF8", "-N")
    try:
        run(str(bin_ / "pg_ctl"), "-D", data, "-o", settings, "-l", f"{data}/log", "-w", "start")
        server = Server(folder)
        server.query("CREATE EXTENSION postgis")
        yield server
    finally:
        run(str(bin_ / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)
