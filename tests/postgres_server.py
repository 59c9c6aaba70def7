"""A PostgreSQL server for tests; where there is none, they skip with the reason."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres_server(password: str) -> Iterator[str]:
    """The address of a PostgreSQL server of its own, on a free port; its user `me` has the password."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (str(programs[-1]) if programs else None)
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    programs = Path(found).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="winpredict-postgres-"))
    as_user = []
    if os.getuid() == 0:  # the server refuses to be run by root
        if not shutil.which("setpriv"):
            pytest.skip("PostgreSQL does not run as root, and setpriv is not there")
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        shutil.chown(folder, "nobody", "nogroup")
    (folder / "password").write_text(password)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(program: str, *options: str) -> None:
        told = subprocess.run(
            [*as_user, programs / program, "-D", folder / "data", *options], cwd=folder, capture_output=True, text=True
        )
        assert told.returncode == 0, told.stdout + told.stderr

    try:
        (folder / "password").chmod(0o644)
        call(
            "initdb", "-U", "me", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "-E", "UTF8", "--no-locale"
        )
        server = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        call("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", server)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            call("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
