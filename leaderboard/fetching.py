"""Brings a feed's content here: over HTTP with limits, from allowed folders, and out of archives.

Nothing is believed of the other side: sizes are counted and not read from headers, time is one
budget for everything from the first connection to the last byte, and an address is checked at the
moment it is connected to, so that a name cannot point elsewhere after the check.
"""

import gzip
import hashlib
import ipaddress
import os
import re
import socket
import ssl
import stat
import struct
import tarfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final
from urllib.parse import urljoin, urlsplit

import httpcore2

CHUNK: Final = 64 * 1024
READ_SECONDS: Final = 15.0
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# Of a site alone, though not marked so in Python's table: IPv4-compatible addresses, a site's own
# NAT64 (RFC 8215), and site-local addresses (RFC 3879).
OF_A_SITE: Final = tuple(map(ipaddress.ip_network, ("::/96", "64:ff9b:1::/48", "fec0::/10")))
# More than the headers of any honest archive entry need at once.
MAX_ARCHIVE_READ: Final = 1024 * 1024
MAX_DIRECTORY_BYTES_PER_ENTRY: Final = 1024

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class FetchFailed(Exception):
    """The content could not be had, or must not be taken; the message says why."""


class AddressInside(FetchFailed):
    """A host stands for an address inside this server's own network."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} is an address inside this server's own network."
            " If that is meant, allow it in the feed's settings."
        )
        self.host = host


@dataclass(frozen=True)
class FetchLimits:
    """What one fetch may cost: bytes of the body, seconds in all, redirects followed."""

    max_bytes: int = 200 * 1024 * 1024
    seconds: float = 60.0
    redirects: int = 3


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may become. The ratio counts from `ratio_from_bytes` on."""

    max_bytes: int = 1024 * 1024 * 1024
    max_entries: int = 50_000
    max_ratio: int = 200
    ratio_from_bytes: int = 32 * 1024 * 1024


FETCH_LIMITS: Final = FetchLimits()
ARCHIVE_LIMITS: Final = ArchiveLimits()


@dataclass(frozen=True)
class Content:
    """What a feed's location holds now. `path` is None when the server says: as before.

    `content_hash` is the SHA-256 of a body, or of the names, sizes and times of local files.
    """

    path: Path | None
    content_hash: str
    etag: str = ""
    last_modified: str = ""


# ------------------------------------------------------------------------------------ local files


def is_url(location: str) -> bool:
    """Tell an address from a path."""
    return location.lower().startswith(("http://", "https://"))


def local_path(location: str, allowed: Iterable[str]) -> Path:
    """Return the path with its links resolved. Raises FetchFailed outside the allowed folders."""
    if not location.startswith("/") or "\x00" in location:
        raise FetchFailed("Give an absolute path on the server, or an http:// or https:// address.")
    path = Path(location).resolve()
    if not any(path.is_relative_to(Path(folder).resolve()) for folder in allowed):
        raise FetchFailed(f"{location} is not below a folder that FEED_DIRS allows.")
    return path


def read_local(path: Path) -> Content:
    """Return what lies at a path. Raises FetchFailed when nothing does."""
    digest = hashlib.sha256()
    try:
        for file in sorted(files_below(path)):
            facts = file.stat(follow_symlinks=False)
            name = str(file.relative_to(path))
            digest.update(repr((name, facts.st_size, facts.st_mtime_ns)).encode())
    except OSError as error:
        raise FetchFailed(f"{path} cannot be read: {error.strerror}.") from error
    return Content(path, digest.hexdigest())


def files_below(path: Path) -> Iterator[Path]:
    """Yield the path itself when it is a file, else every file below it. Raises OSError."""
    if not stat.S_ISDIR(path.stat().st_mode):
        yield path
        return
    for folder, _, names in os.walk(path):
        for name in names:
            yield Path(folder, name)


# ------------------------------------------------------------------------------------------- HTTP


def fetch(
    url: str,
    folder: Path,
    *,
    etag: str = "",
    last_modified: str = "",
    allow_private: bool = False,
    limits: FetchLimits = FETCH_LIMITS,
) -> Content:
    """Get a URL into a file in `folder`, unless the server says that it is as `etag` or
    `last_modified` name it. Raises FetchFailed.
    """
    deadline = time.monotonic() + limits.seconds
    backend = GuardedBackend(deadline, allow_private=allow_private)
    headers: dict[bytes | str, bytes | str] = {
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "kilo-feeds/1",
    }
    if etag:
        headers["If-None-Match"] = etag
    if last_modified:
        headers["If-Modified-Since"] = last_modified
    name = re.sub(r"[^\w.-]", "_", urlsplit(url).path.rpartition("/")[2])[-100:].lstrip(".")
    target = folder / (name or "feed")
    try:
        with httpcore2.ConnectionPool(network_backend=backend) as pool:
            for _ in range(limits.redirects + 1):
                answer = get(pool, checked_url(url), headers, target, limits)
                if isinstance(answer, Content):
                    return answer
                url = redirected(url, answer)
    except httpcore2.TimeoutException as error:
        raise FetchFailed(
            f"It took too long: no answer within {READ_SECONDS:.0f} s,"
            f" or more than {limits.seconds:.0f} s in all."
        ) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise FetchFailed(f"The connection failed: {error}") from error
    raise FetchFailed(f"It redirects more than {limits.redirects} times.")


def get(
    pool: httpcore2.ConnectionPool,
    url: str,
    headers: Mapping[bytes | str, bytes | str],
    target: Path,
    limits: FetchLimits,
) -> Content | str:
    """Send one request; return what came, or where it redirects to. Raises FetchFailed."""
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), READ_SECONDS)
    sent = {"Host": urlsplit(url).netloc, **headers}
    with pool.stream("GET", url, headers=sent, extensions={"timeout": timeouts}) as answer:
        got = {name.decode().lower(): value.decode("latin-1") for name, value in answer.headers}
        etag, last_modified = got.get("etag", ""), got.get("last-modified", "")
        if answer.status in REDIRECTS and "location" in got:
            return got["location"]
        if answer.status == 304:
            return Content(None, "", etag, last_modified)
        if answer.status != 200:
            raise FetchFailed(f"The server answered {answer.status}.")
        if got.get("content-encoding", "identity") != "identity":
            raise FetchFailed("The server compressed the body although it was asked not to.")
        too_large = FetchFailed(f"It is larger than {limits.max_bytes:,} bytes.")
        length = got.get("content-length", "")
        if length.isdecimal() and int(length) > limits.max_bytes:
            raise too_large
        digest, size = hashlib.sha256(), 0
        with target.open("wb") as file:
            for chunk in answer.iter_stream():
                size += len(chunk)
                if size > limits.max_bytes:
                    raise too_large
                digest.update(chunk)
                file.write(chunk)
    # Longer marks than the database keeps are not sent back: then the hash decides.
    return Content(
        target,
        digest.hexdigest(),
        etag if len(etag) <= 200 else "",
        last_modified if len(last_modified) <= 60 else "",
    )


def redirected(url: str, location: str) -> str:
    """Return where a redirect leads. Raises FetchFailed when that would give up encryption."""
    target = urljoin(url, location)
    if url.startswith("https:") and not target.startswith("https:"):
        raise FetchFailed("It redirects from https to an unencrypted address.")
    return target


def checked_url(url: str) -> str:
    """Return the URL when it is one that can be fetched. Raises FetchFailed."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise FetchFailed(f"The address is not valid: {error}.") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise FetchFailed("The address must begin with http:// or https:// and name a host.")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise FetchFailed("Write the address with plain characters, others percent-encoded.")
    if parts.username is not None:
        raise FetchFailed("The address must not hold a user name or a password.")
    return parts._replace(fragment="").geturl()


class GuardedBackend(httpcore2.NetworkBackend):
    """Connects to checked addresses only, and lets nothing go on beyond the deadline."""

    def __init__(self, deadline: float, *, allow_private: bool) -> None:
        self.inner = httpcore2.SyncBackend()
        self.deadline, self.allow_private = deadline, allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Resolve the name, refuse it for any address inside, and connect to what was checked."""
        addresses = resolve(host, port)
        if not self.allow_private and not all(is_public(address) for address in addresses):
            raise AddressInside(host)
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = self.inner.connect_tcp(
                    str(address), port, left(self.deadline, timeout), local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return GuardedStream(stream, self.deadline)
        raise failure or FetchFailed(f"{host} has no address.")


class GuardedStream(httpcore2.NetworkStream):
    """A connection whose every wait ends at the deadline, however slowly the bytes drip."""

    def __init__(self, inner: httpcore2.NetworkStream, deadline: float) -> None:
        self.inner, self.deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read, in what time is left."""
        return self.inner.read(max_bytes, left(self.deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, in what time is left."""
        self.inner.write(buffer, left(self.deadline, timeout))

    def close(self) -> None:
        """Close."""
        self.inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """Shake hands, in what time is left. The certificate is checked against the name."""
        stream = self.inner.start_tls(ssl_context, server_hostname, left(self.deadline, timeout))
        return GuardedStream(stream, self.deadline)

    def get_extra_info(self, info: str) -> Any:
        """See the inner stream."""
        return self.inner.get_extra_info(info)


def left(deadline: float, timeout: float | None) -> float:
    """Return how many seconds a wait may take. Raises TimeoutException when none is left."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise httpcore2.ReadTimeout("The deadline has passed.")
    return seconds if timeout is None else min(seconds, timeout)


def resolve(host: str, port: int) -> list[Address]:
    """Return every address of a host. Raises FetchFailed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchFailed(f"The host {host} is not known.") from error
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def is_public(address: Address) -> bool:
    """Tell whether an address, or the IPv4 address that it carries, is out on the Internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if not all(is_public(one) for one in inner if one):
            return False
        if address.ipv4_mapped:
            return True
        if any(address in network for network in OF_A_SITE):
            return False
    return address.is_global and not address.is_multicast


# --------------------------------------------------------------------------------------- archives


def unpacked(path: Path, folder: Path, *, limits: ArchiveLimits = ARCHIVE_LIMITS) -> Path:
    """Return what a .zip or .tar.gz holds, unpacked below `folder`; anything else as it is.

    An archive with a single entry at its top stands for that entry. Raises FetchFailed, having
    left nothing but regular files inside `folder`.
    """
    if not path.is_file():
        return path
    with path.open("rb") as file:
        start = file.read(4)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if start in (b"PK\x03\x04", b"PK\x05\x06"):
            unpack_zip(path, Unpacking(folder, path.stat().st_size, limits))
        elif start[:2] == b"\x1f\x8b":
            unpack_tar(path, Unpacking(folder, path.stat().st_size, limits))
        else:
            return path
    except FetchFailed:
        raise
    # What zipfile and tarfile raise for an archive that is not sound has no end.
    except Exception as error:
        raise FetchFailed(f"The archive cannot be unpacked: {error}") from error
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 else folder


class Unpacking:
    """Writes the entries of one archive, and keeps count of what they come to."""

    def __init__(self, folder: Path, packed_bytes: int, limits: ArchiveLimits) -> None:
        self.folder, self.packed_bytes, self.limits = folder, packed_bytes, limits
        self.entries = self.size = 0

    def meet(self, name: str) -> Path:
        """Count an entry and return where it belongs. Raises FetchFailed for a name that leads
        anywhere but into the folder.
        """
        self.entries += 1
        if self.entries > self.limits.max_entries:
            raise FetchFailed(f"The archive has more than {self.limits.max_entries:,} entries.")
        plain = name.replace("\\", "/")
        parts = PurePosixPath(plain).parts
        if plain.startswith("/") or ".." in parts or "\x00" in name or re.match("[A-Za-z]:", name):
            raise FetchFailed(f"The archive has an entry that leads outside it: {name[:100]!r}.")
        return self.folder.joinpath(*parts)

    def write(self, name: str, content: IO[bytes]) -> None:
        """Write one file. Raises FetchFailed when the archive comes to too much."""
        target = self.meet(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = target.open("xb")
        except FileExistsError as error:
            raise FetchFailed(f"The archive has two entries named {name[:100]!r}.") from error
        with file:
            while chunk := content.read(CHUNK):
                self.size += len(chunk)
                if self.size > self.limits.max_bytes:
                    raise FetchFailed(
                        f"The archive unpacks to more than {self.limits.max_bytes:,} bytes."
                    )
                if (
                    self.size > self.limits.ratio_from_bytes
                    and self.size > self.limits.max_ratio * self.packed_bytes
                ):
                    raise FetchFailed(
                        f"The archive unpacks to more than {self.limits.max_ratio} times its size."
                    )
                file.write(chunk)


def unpack_zip(path: Path, unpacking: Unpacking) -> None:
    """Unpack a .zip. Raises FetchFailed."""
    most = unpacking.limits.max_entries * MAX_DIRECTORY_BYTES_PER_ENTRY
    if zip_directory_bytes(path) > most:
        raise FetchFailed(f"The archive has more than {unpacking.limits.max_entries:,} entries.")
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.is_dir():
                unpacking.meet(entry.filename)
            elif kind not in (0, stat.S_IFREG):
                raise FetchFailed(f"{entry.filename[:100]!r} in the archive is not a plain file.")
            elif entry.flag_bits & 1:
                raise FetchFailed("The archive is encrypted.")
            else:
                with archive.open(entry) as content:
                    unpacking.write(entry.filename, content)


def zip_directory_bytes(path: Path) -> int:
    """Return how large the list of entries says it is: it is read into memory as a whole."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 65_557))
        end = file.read()
    at = end.rfind(b"PK\x05\x06")
    if at < 0 or len(end) < at + 16:
        raise FetchFailed("The archive is cut off.")
    # Zip64 has a second, larger field for the same, which only archives beyond 4 GB need.
    if end[max(0, at - 20) : at].startswith(b"PK\x06\x07"):
        raise FetchFailed("The archive is a zip64, which is for archives beyond 4 GB.")
    return int(struct.unpack_from("<L", end, at + 12)[0])


def unpack_tar(path: Path, unpacking: Unpacking) -> None:
    """Unpack a .tar.gz. Raises FetchFailed."""
    with gzip.open(path, "rb") as plain:
        bounded = Bounded(plain, unpacking.limits.max_bytes)
        with tarfile.open(fileobj=bounded, mode="r:") as archive:  # type: ignore[call-overload]
            for entry in archive:
                if entry.isdir():
                    unpacking.meet(entry.name)
                elif not entry.isreg():
                    raise FetchFailed(f"{entry.name[:100]!r} in the archive is not a plain file.")
                elif content := archive.extractfile(entry):
                    unpacking.write(entry.name, content)
                # Else the whole list of entries would stay in memory.
                archive.members = []
        # The checksum is at the very end.
        while bounded.read(CHUNK):
            pass


class Bounded:
    """The content of a .tar.gz, of which nobody gets more than there may be, or much at once."""

    def __init__(self, plain: gzip.GzipFile, max_bytes: int) -> None:
        self.plain, self.max_bytes = plain, max_bytes

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes. Raises FetchFailed."""
        if size > MAX_ARCHIVE_READ:
            raise FetchFailed("The archive has an entry with far too long a header.")
        self.check(self.tell() + size - MAX_ARCHIVE_READ)
        return self.plain.read(size)

    def seek(self, offset: int) -> int:
        """Go on to a place. Raises FetchFailed beyond what there may be."""
        self.check(offset - MAX_ARCHIVE_READ)
        return self.plain.seek(offset)

    def tell(self) -> int:
        """Return the place."""
        return self.plain.tell()

    def check(self, offset: int) -> None:
        """Raise FetchFailed beyond what there may be, headers and padding aside."""
        if offset > self.max_bytes:
            raise FetchFailed(f"The archive unpacks to more than {self.max_bytes:,} bytes.")
