"""Sources on other machines: HTTP, S3 and memory; each file once, bounded; errors of the network sorted."""

from __future__ import annotations

import http.server
import io
import socket
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from assets.errors import LandingError, TransientError
from assets.ingest.landing import land, load_manifest
from assets.ingest.sources import remote
from assets.ingest.sources.remote import is_url, network_error, shown_url
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def folder_served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments: Any) -> None:
            return

    with serving(Quiet) as url:
        yield url


@contextmanager
def answered(answers: dict[str, Answer]) -> Iterator[str]:
    class Scripted(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers[self.path](self)

        def log_message(self, *arguments: Any) -> None:
            return

    with serving(Scripted) as url:
        yield url


def body(data: bytes, kind: str = "application/octet-stream", status: int = 200, claimed: int | None = None) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(data) if claimed is None else claimed))
        request.end_headers()
        request.wfile.write(data)

    return answer


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def paths(store: Store, drop: str) -> list[str]:
    return [file.path for file in load_manifest(LineStore(store, "pets"), drop).files]


def test_a_listing_lands_as_the_same_batch_as_its_folder(tmp_path: Path, store: Store, pictures: Line) -> None:
    source = fill(tmp_path / "in", {"train/cat/1.png": b"one", "train/dog/ü 2#.png": b"two", "train/.DS_Store": b"x"})
    (source / "t.tar").write_bytes(b"")
    (source / "t.tar").unlink()
    with tarfile.open(source / "test.tar", "w") as archive:
        archive.add(source / "train/cat/1.png", "cat/9.png")
    with folder_served(tmp_path) as url:
        landed = land(bind(store, pictures), f"{url}/in/")
        assert paths(store, landed.drop) == ["test/cat/9.png", "train/cat/1.png", "train/dog/ü 2#.png"]
        assert (
            land(bind(store, pictures), f"{url}/in").batch == landed.batch
        )  # without the slash, by the server's redirect
    assert land(bind(store, pictures), source).batch == landed.batch
    assert list((tmp_path / "home/scratch").iterdir()) == []


def test_one_file_lands_under_its_own_name(tmp_path: Path, store: Store, pictures: Line) -> None:
    answers = {
        "/a%20b.csv?sig=secret": body(b"x,y\n1,2\n", "text/csv"),
        "/pets.zip": body(zipped({"cat/1.png": b"one", "../evil": b"evil"})),
    }
    with answered(answers) as url:
        landed = land(bind(store, pictures), f"{url}/a%20b.csv?sig=secret")
        assert paths(store, landed.drop) == ["a b.csv"]
        landed = land(bind(store, pictures), f"{url}/pets.zip")
        assert paths(store, landed.drop) == ["cat/1.png"]
        assert [thing.path for thing in load_manifest(LineStore(store, "pets"), landed.drop).left_out] == [
            "pets.zip/../evil"
        ]


def test_a_hostile_listing_leads_nowhere(tmp_path: Path, store: Store, pictures: Line) -> None:
    fetched: list[str] = []
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    page = f"""<a href="file://{secret}">a</a><a href="/other/x.png">b</a><a href="//evil.example/d/x.png">c</a>
    <a href="../up.png">d</a><a href="%2e%2e/%2e%2e/up.png">e</a><a href="..%2f..%2fup.png">f</a><a href="?C=N;O=D">
    <a href="javascript:x">h</a><a href="http://[bad/">i</a><a href="zip://x::file:///etc/passwd">j</a>
    <a href="a%00b.png">k</a><a href="cat/1.png">l</a><a href="cat/1.png#again">m</a><a href="page.png">n</a>"""

    def noted(answer: Answer) -> Answer:
        def call(request: http.server.BaseHTTPRequestHandler) -> None:
            fetched.append(request.path)
            answer(request)

        return call

    answers = {
        "/d/": noted(body(page.encode(), "text/html; charset=utf-8")),
        "/d/cat/1.png": noted(body(b"one", "image/png")),
        "/d/page.png": noted(body(b"<html>log in</html>", "text/html")),
        "/d/zip://x::file:///etc/passwd": noted(body(b"", "text/plain", 404)),
    }
    with answered(answers) as url:
        landed = land(bind(store, pictures), f"{url}/d/")
    assert paths(store, landed.drop) == ["cat/1.png"]
    assert set(fetched) <= set(answers)
    reasons = {thing.path: thing.reason for thing in load_manifest(LineStore(store, "pets"), landed.drop).left_out}
    assert "web page instead" in reasons["page.png"]
    assert "control character" in reasons["a\0b.png"]
    assert all("secret" not in path for path in reasons)


def test_a_listing_without_end_ends(store: Store, pictures: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            deeper = "".join(f'<a href="{n}/">x</a>' for n in range(5))
            body(deeper.encode(), "text/html")(self)

        def log_message(self, *arguments: Any) -> None:
            return

    monkeypatch.setattr(remote, "MAX_PAGES", 50)
    with serving(Endless) as url, pytest.raises(LandingError, match="listing has no end"):
        land(bind(store, pictures), f"{url}/d/")


def test_errors_of_the_network_are_sorted(store: Store, pictures: Line, tmp_path: Path) -> None:
    def cut(request: http.server.BaseHTTPRequestHandler) -> None:
        body(b"half", claimed=100)(request)
        request.close_connection = True

    listing = b'<a href="cat/1.png">1</a><a href="gone.png">2</a>'
    answers = {
        "/page": body(b"<html><a href='https://elsewhere.example/'>x</a></html>", "text/html"),
        "/busy.zip": body(b"", status=503),
        "/limit.zip": body(b"", status=429),
        "/secret.zip": body(b"", status=403),
        "/gone.zip": body(b"", status=404),
        "/cut.zip": cut,
        "/d/": body(listing, "text/html"),
        "/d/cat/1.png": body(b"one"),
        "/d/gone.png": body(b"", status=404),
        "/e/": body(listing, "text/html"),
        "/e/cat/1.png": body(b"one"),
        "/e/gone.png": body(b"", status=500),
    }
    with answered(answers) as url:
        for path in ("busy.zip", "limit.zip", "cut.zip", "e/"):
            with pytest.raises(TransientError):
                land(bind(store, pictures), f"{url}/{path}")
        for path, said in (("secret.zip", "403"), ("gone.zip", "404"), ("page", "web page, not a file")):
            with pytest.raises(LandingError, match=said):
                land(bind(store, pictures), f"{url}/{path}")
        landed = land(bind(store, pictures), f"{url}/d/")
    assert paths(store, landed.drop) == ["cat/1.png"]
    assert [thing.path for thing in load_manifest(LineStore(store, "pets"), landed.drop).left_out] == ["gone.png"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(TransientError, match="cannot be reached now"):
        land(bind(store, pictures), f"http://user:pass@127.0.0.1:{port}/x.zip?sig=secret")
    assert list((tmp_path / "home/scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("zip::https://h/x.zip", "chained URLs are not read"),
        ("simplecache::s3://b/x", "chained URLs are not read"),
        ("filecache::file:///etc/passwd", "chained URLs are not read"),
        ("zip://a.csv::http://h/x.zip", "chained URLs are not read"),
        ("github://org:repo@main/data", "'github' is not read"),
        ("git://x", "'git' is not read"),
        ("reference://x", "'reference' is not read"),
        ("data:,x", "No such file"),
        ("ftp://h/x", "'ftp' is not read"),
        ("tar://x.tar", "'tar' is not read"),
        ("file://elsewhere/x", "names another machine"),
        ("http://", "cannot be read"),
        ("http://[bad", "cannot be read"),
        ("s3://", "cannot be read"),
        ("memory://nothing-here", "cannot be read"),
    ],
)
def test_strange_urls_are_refused_clearly(store: Store, pictures: Line, url: str, said: str) -> None:
    with pytest.raises(LandingError, match=said):
        land(bind(store, pictures), url)


def test_a_file_url_is_read_like_a_path(tmp_path: Path, store: Store, pictures: Line) -> None:
    source = fill(tmp_path / "in", {"cat/1.png": b"one"})
    (source / "link").symlink_to("/etc/passwd")
    landed = land(bind(store, pictures), f"file://{source}")
    assert paths(store, landed.drop) == ["cat/1.png"]
    assert "links are not followed" in landed.skipped[0].reason


def test_memory_gives_its_files(store: Store, pictures: Line) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe({"/mem/train/cat/1.png": b"one", "/mem/x.zip": zipped({"dog/2.png": b"two"}), "/mem/.git/x": b""})
    landed = land(bind(store, pictures), "memory://mem")
    assert paths(store, landed.drop) == ["train/cat/1.png", "x/dog/2.png"]
    landed = land(bind(store, pictures), "memory://mem/x.zip")
    assert paths(store, landed.drop) == ["dog/2.png"]


def test_secrets_of_a_url_are_not_shown() -> None:
    assert shown_url("https://user:pass@host:1/p/x.zip?X-Amz-Signature=abc#f") == "https://host:1/p/x.zip"
    error = network_error("s3://user:pw@b/x?token=abc", ConnectionError("http://h/x?sig=abc went away"))
    assert isinstance(error, TransientError)
    assert not any(secret in str(error) for secret in ("pw", "abc"))
    assert not is_url("plain/path") and not is_url("/a://b") and is_url("S3://b")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="pets")
    try:
        yield client
    finally:
        client.close()
        server.stop()


def test_a_bucket_lands(bucket: Any, store: Store, pictures: Line, tmp_path: Path) -> None:
    files = {"in/train/cat/1.png": b"one", "in/train/dog/2.png": b"two" * 1000, "in/empty/": b""}
    for key, data in {
        **files,
        "in/a//b.png": b"x",
        "in/../c.png": b"x",
        "in/test.zip": zipped({"cat/3": b"3"}),
    }.items():
        bucket.put_object(Bucket="pets", Key=key, Body=data)
    landed = land(bind(store, pictures), "s3://pets/in")
    assert paths(store, landed.drop) == ["test/cat/3", "train/cat/1.png", "train/dog/2.png"]
    left = {thing.path: thing.reason for thing in load_manifest(LineStore(store, "pets"), landed.drop).left_out}
    assert set(left) == {"a//b.png", "../c.png"}
    bucket.put_object(Bucket="pets", Key="in/train/cat/4.png", Body=b"four")
    assert land(bind(store, pictures), "s3://pets/in").batch != landed.batch  # no listing is taken from a cache
    landed = land(bind(store, pictures), "s3://pets/in/test.zip")
    assert paths(store, landed.drop) == ["cat/3"]
    for url in ("s3://pets/nothing", "s3://nobucket/in"):
        with pytest.raises(LandingError, match="cannot be read"):
            land(bind(store, pictures), url)


def test_a_bucket_without_credentials_is_refused(monkeypatch: pytest.MonkeyPatch, store: Store, pictures: Line) -> None:
    pytest.importorskip("s3fs")

    class NoCredentialsError(Exception):
        pass

    assert "no credentials" in str(network_error("s3://b/x", NoCredentialsError("x")))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(TransientError, match="cannot be reached now"):
        land(bind(store, pictures), "s3://b/x")
