"""Fetching against a real server that misbehaves, and archives that mean harm."""

import contextlib
import gzip
import io
import ssl
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest

from leaderboard import fetching
from leaderboard.fetching import (
    ArchiveLimits,
    Content,
    FetchFailed,
    FetchLimits,
    checked_url,
    fetch,
    is_public,
    local_path,
    read_local,
    unpacked,
)

LOCALHOST = Path(__file__).parent / "data" / "localhost.pem"
BODY = b'{"results": []}'
Answer = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A server on this machine whose every path answers as a test says."""

    def __init__(self) -> None:
        site = self
        self.answers: dict[str, Answer] = {}
        self.seen: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.seen.append(dict(self.headers))
                self.close_connection = True
                # The other side may have had enough.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    site.answers[self.path.partition("?")[0]](self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    """A server that serves the body at /feed.json."""
    site = Site()
    site.answers["/feed.json"] = body(BODY)
    yield site
    site.server.shutdown()
    site.server.server_close()


def body(content: bytes, status: int = 200, **headers: str) -> Answer:
    """Return an answer; header names are given with ``_`` for ``-``."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def redirect(location: str) -> Answer:
    """Return an answer that points elsewhere."""
    return body(b"", 302, Location=location)


def get(site: Site, folder: Path, path: str = "/feed.json", **limits: float) -> Content:
    """Fetch from the site, which is allowed although it is on this machine."""
    return fetch(site.url + path, folder, allow_private=True, limits=FetchLimits(**limits))  # type: ignore[arg-type]


def test_a_body_lands_in_a_file_named_like_the_address(site: Site, tmp_path: Path) -> None:
    site.answers["/feed.json"] = body(BODY, ETag='"1"', Last_Modified="yesterday")
    content = get(site, tmp_path, "/feed.json?token=1")
    assert content.path == tmp_path / "feed.json"
    assert content.path.read_bytes() == BODY
    assert (content.etag, content.last_modified) == ('"1"', "yesterday")
    assert get(site, tmp_path).content_hash == content.content_hash


def test_a_name_from_the_address_cannot_leave_the_folder(site: Site, tmp_path: Path) -> None:
    site.answers["/a/..%2f..%2fetc"] = body(BODY)
    content = get(site, tmp_path, "/a/..%2f..%2fetc")
    assert content.path is not None
    assert content.path.parent == tmp_path


def test_what_has_not_changed_is_not_sent_again(site: Site, tmp_path: Path) -> None:
    site.answers["/feed.json"] = body(b"", 304)
    content = fetch(
        f"{site.url}/feed.json",
        tmp_path,
        etag='"1"',
        last_modified="yesterday",
        allow_private=True,
    )
    assert content.path is None
    assert site.seen[0]["If-None-Match"] == '"1"'
    assert site.seen[0]["If-Modified-Since"] == "yesterday"


def test_an_address_inside_is_refused_unless_allowed(site: Site, tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0", "2130706433"):
        with pytest.raises(FetchFailed, match=r"own network|not known"):
            fetch(f"http://{host}:{site.server.server_port}/feed.json", tmp_path)
    assert site.seen == []
    assert get(site, tmp_path).path


def test_a_redirect_is_checked_like_an_address(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = site.server.server_port
    site.answers["/"] = redirect(f"http://127.0.0.2:{port}/feed.json")
    judge = fetching.is_public
    # Only the first address passes for one on the Internet.
    monkeypatch.setattr(fetching, "is_public", lambda one: str(one) == "127.0.0.1" or judge(one))
    with pytest.raises(FetchFailed, match=r"127\.0\.0\.2 is an address inside"):
        fetch(f"{site.url}/", tmp_path)


def test_it_connects_to_the_address_that_was_checked(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([[ip_address("127.0.0.1")], [ip_address("10.0.0.1")]])
    monkeypatch.setattr(fetching, "resolve", lambda _host, _port: next(answers))
    monkeypatch.setattr(fetching, "is_public", lambda one: str(one) == "127.0.0.1")
    content = fetch(f"http://rebound.example:{site.server.server_port}/feed.json", tmp_path)
    assert content.path
    assert site.seen[0]["Host"].startswith("rebound.example:")


def test_a_name_with_one_address_inside_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [ip_address("1.1.1.1"), ip_address("127.0.0.1")]
    monkeypatch.setattr(fetching, "resolve", lambda _host, _port: both)
    with pytest.raises(FetchFailed, match="own network"):
        fetch(f"http://mixed.example:{site.server.server_port}/feed.json", tmp_path)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("::ffff:1.1.1.1", True),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::7f00:1", False),
        ("::127.0.0.1", False),
        ("fec0::1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_what_counts_as_public(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


def test_redirects_are_followed_and_counted(site: Site, tmp_path: Path) -> None:
    for step in range(4):
        site.answers[f"/{step}"] = redirect(f"/{step + 1}")
    site.answers["/4"] = body(BODY)
    assert get(site, tmp_path, "/1").path
    with pytest.raises(FetchFailed, match="more than 3 times"):
        get(site, tmp_path, "/0")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://x/", "http://u:p@127.0.0.1/"])
def test_a_redirect_to_something_else_is_refused(site: Site, tmp_path: Path, target: str) -> None:
    site.answers["/"] = redirect(target)
    with pytest.raises(FetchFailed):
        get(site, tmp_path, "/")


def test_an_error_is_named(site: Site, tmp_path: Path) -> None:
    site.answers["/gone"] = body(b"no", 404)
    with pytest.raises(FetchFailed, match="answered 404"):
        get(site, tmp_path, "/gone")
    with pytest.raises(FetchFailed, match="not known"):
        fetch("http://nowhere.invalid/", tmp_path)


def test_dripping_ends_at_the_deadline(site: Site, tmp_path: Path) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(100):
            handler.wfile.write(b"a")
            handler.wfile.flush()
            time.sleep(0.05)

    site.answers["/"] = drip
    begun = time.monotonic()
    with pytest.raises(FetchFailed, match="too long"):
        get(site, tmp_path, "/", seconds=0.4)
    assert time.monotonic() - begun < 3


def test_an_endless_body_ends_at_the_limit(site: Site, tmp_path: Path) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    site.answers["/"] = endless
    with pytest.raises(FetchFailed, match=r"larger than 1,000,000 bytes"):
        get(site, tmp_path, "/", max_bytes=1_000_000)


def test_a_length_is_not_believed(site: Site, tmp_path: Path) -> None:
    site.answers["/short"] = body(BODY, Content_Length="1000")
    site.answers["/huge"] = body(BODY, Content_Length="99999999999")
    with pytest.raises(FetchFailed, match="connection failed"):
        get(site, tmp_path, "/short")
    with pytest.raises(FetchFailed, match="larger than"):
        get(site, tmp_path, "/huge")


def test_a_compressed_body_is_refused(site: Site, tmp_path: Path) -> None:
    site.answers["/"] = body(gzip.compress(BODY), Content_Encoding="gzip")
    with pytest.raises(FetchFailed, match="compressed"):
        get(site, tmp_path, "/")


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "https://u:p@example.org/",
        "http://example.org:99999/",
        "http://a b/",
        "http://é/",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(FetchFailed):
        checked_url(url)


def test_certificates_are_checked_against_the_name(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(LOCALHOST)
    site.server.socket = context.wrap_socket(site.server.socket, server_side=True)
    url = f"https://localhost:{site.server.server_port}/feed.json"
    with pytest.raises(FetchFailed, match="certificate"):
        fetch(url, tmp_path, allow_private=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(LOCALHOST))
    content = fetch(url, tmp_path, allow_private=True)
    assert content.path
    assert content.path.read_bytes() == BODY
    with pytest.raises(FetchFailed, match="certificate"):
        fetch(url.replace("localhost", "127.0.0.1"), tmp_path, allow_private=True)
    site.answers["/down"] = redirect(f"http://localhost:{site.server.server_port}/feed.json")
    with pytest.raises(FetchFailed, match="unencrypted"):
        fetch(url.replace("feed.json", "down"), tmp_path, allow_private=True)


# Local files


def test_a_path_must_lie_in_an_allowed_folder(tmp_path: Path) -> None:
    inside = tmp_path / "feeds"
    inside.mkdir()
    (inside / "way-out").symlink_to("/etc")
    assert local_path(str(inside), [str(inside)]) == inside
    for location in ("/etc", f"{inside}/../other", f"{inside}/way-out/passwd", "relative"):
        with pytest.raises(FetchFailed):
            local_path(location, [str(inside)])
    with pytest.raises(FetchFailed):
        local_path(str(inside), [])


def test_a_folder_that_changed_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(BODY)
    before = read_local(tmp_path).content_hash
    assert read_local(tmp_path).content_hash == before
    (tmp_path / "b.json").write_bytes(BODY)
    assert read_local(tmp_path).content_hash != before
    with pytest.raises(FetchFailed, match="cannot be read"):
        read_local(tmp_path / "nowhere")


# Archives


def make_zip(path: Path, entries: dict[str, bytes]) -> Path:
    """Write a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    """Write a .tar.gz."""
    with tarfile.open(path, "w:gz") as archive:
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return the head of a tar entry."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_archives_are_unpacked_and_other_files_left_alone(tmp_path: Path) -> None:
    zipped = make_zip(tmp_path / "a.zip", {"top/results/a.json": BODY, "top/b.json": b""})
    tarred = make_tar(tmp_path / "a.tgz", (member("a.json"), BODY), (member("b/c.json"), BODY))
    plain = tmp_path / "plain.json"
    plain.write_bytes(BODY)

    top = unpacked(zipped, tmp_path / "1")
    assert top == tmp_path / "1" / "top"
    assert (top / "results" / "a.json").read_bytes() == BODY
    folder = unpacked(tarred, tmp_path / "2")
    assert (folder / "b" / "c.json").read_bytes() == BODY
    assert unpacked(plain, tmp_path / "3") == plain


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/out", "..\\out", "C:\\out"])
def test_a_path_out_of_an_archive_is_refused(tmp_path: Path, name: str) -> None:
    for number, path in enumerate(
        (
            make_zip(tmp_path / "a.zip", {name: BODY}),
            make_tar(tmp_path / "a.tar.gz", (member(name), BODY)),
        )
    ):
        with pytest.raises(FetchFailed, match="leads outside"):
            unpacked(path, tmp_path / "inner" / str(number))
    assert not list(tmp_path.rglob("*out*"))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = make_tar(tmp_path / "a.tar.gz", (member("x", kind, "/etc/passwd"), b""))
    with pytest.raises(FetchFailed, match="not a plain file"):
        unpacked(path, tmp_path / "out")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(FetchFailed, match="not a plain file"):
        unpacked(tmp_path / "a.zip", tmp_path / "out")


def test_bombs_are_refused(tmp_path: Path) -> None:
    zeros = {"a": bytes(3_000_000)}
    bombs = (
        make_zip(tmp_path / "b.zip", zeros),
        make_tar(tmp_path / "b.tgz", (member("a"), zeros["a"])),
    )
    for number, bomb in enumerate(bombs):
        size = ArchiveLimits(max_bytes=1_000_000)
        with pytest.raises(FetchFailed, match="more than 1,000,000 bytes"):
            unpacked(bomb, tmp_path / f"size-{number}", limits=size)
        ratio = ArchiveLimits(max_ratio=100, ratio_from_bytes=1_000_000)
        with pytest.raises(FetchFailed, match="100 times its size"):
            unpacked(bomb, tmp_path / f"ratio-{number}", limits=ratio)
    many = make_zip(tmp_path / "m.zip", {str(n): b"" for n in range(11)})
    with pytest.raises(FetchFailed, match="more than 10 entries"):
        unpacked(many, tmp_path / "many", limits=ArchiveLimits(max_entries=10))


def test_a_list_of_entries_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a": BODY})
    start, end = path.read_bytes()[:-22], path.read_bytes()[-22:]
    path.write_bytes(start + end[:12] + b"\xff\xff\xff\x7f" + end[16:])
    with pytest.raises(FetchFailed, match="entries"):
        unpacked(path, tmp_path / "out")
    path.write_bytes(start + b"PK\x06\x07" + bytes(16) + end)
    with pytest.raises(FetchFailed, match="zip64"):
        unpacked(path, tmp_path / "out")


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    head = member("x", tarfile.XHDTYPE)
    head.size = 500_000_000
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(head.tobuf() + bytes(100_000)))
    with pytest.raises(FetchFailed, match="header"):
        unpacked(tmp_path / "a.tar.gz", tmp_path / "out")


def test_two_entries_with_one_name_are_refused(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar.gz", (member("a"), b"1"), (member("a"), b"2"))
    with pytest.raises(FetchFailed, match="two entries named"):
        unpacked(path, tmp_path / "out")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    for name, whole in (
        ("a.zip", make_zip(tmp_path / "z", {"a": BODY * 100}).read_bytes()),
        ("a.tar.gz", make_tar(tmp_path / "t", (member("a"), BODY * 100)).read_bytes()),
        ("b.json.gz", gzip.compress(BODY)),
    ):
        for cut in (len(whole) // 2, len(whole) - 5, len(whole)):
            if cut == len(whole) and name != "b.json.gz":
                continue
            (tmp_path / name).write_bytes(whole[:cut])
            with pytest.raises(FetchFailed):
                unpacked(tmp_path / name, tmp_path / f"out-{name}-{cut}")
