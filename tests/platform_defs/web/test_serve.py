"""What the two servers give out, and above all what they do not."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assets.errors import RejectedError
from assets.feedback.intake import MAX_BODY_BYTES
from assets.release.repository import ensure_repository
from assets.storage.store import Store
from edge.agent.identity import public_hex
from edge.contracts import DeviceProfile, to_bytes
from edge.contracts.envelope import PROFILE_TYPE, sign
from platform_defs.web.serve import Server, device_app, report_app


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("state")))
    ensure_repository(store, ("toy",))
    store.write("tuf/targets/deploy/toy/abc.canary.json", b"{}")
    store.write("tuf/targets/.hidden", b"secret")
    store.write("reports/toy/b1/index.html", b"<h1>report</h1>")
    store.write("reports/toy/b1/data.json", b"{}")
    store.write("reports/toy/b1/raw.parquet", b"secret")
    store.write("reports/index.html", b"<h1>every line</h1>")
    for folder in ("tuf/targets", "reports/toy"):
        Path(store.path(f"{folder}/link.html")).symlink_to(store.path("keys/root.pem"))
        Path(store.path(f"{folder}/out")).symlink_to(store.path("keys"))
    return store


@pytest.fixture(scope="module")
def devices(store: Store) -> Iterator[str]:
    with Server(device_app(store)) as server:
        yield server.url


@pytest.fixture(scope="module")
def reports(store: Store) -> Iterator[str]:
    with Server(report_app(store)) as server:
        yield server.url


def ask(url: str, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    """One request with the path exactly as given: no client-side tidying."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_repository_files(store: Store, devices: str) -> None:
    status, headers, body = ask(devices, "GET", "/metadata/1.root.json")
    assert (status, body) == (200, store.read("tuf/metadata/1.root.json"))
    assert headers["cache-control"] == "no-cache"
    status, headers, body = ask(devices, "HEAD", "/metadata/timestamp.json")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) == len(store.read("tuf/metadata/timestamp.json"))
    status, headers, _ = ask(devices, "GET", "/targets/deploy/toy/abc.canary.json")
    assert status == 200
    assert "immutable" in headers["cache-control"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metadata/",
        "/metadata",
        "/targets/deploy",
        "/targets/deploy/",
        "/keys/root.pem",
        "/metadata/../../keys/root.pem",
        "/metadata/..%2f..%2fkeys%2froot.pem",
        "/metadata/%2e%2e/%2e%2e/keys/root.pem",
        "/targets/..%5c..%5ckeys%5croot.pem",
        "/targets//etc/passwd",
        "/targets/%2fetc%2fpasswd",
        "/targets/.hidden",
        "/metadata/../.lock",
        "/targets/link.html",
        "/targets/out/root.pem",
        "/targets/%00",
        "/targets/" + "a" * 300,
        "/targets/" + "a/" * 2000 + "b",
        "/targets/caf%c3%a9",
        "/reports",
    ],
)
def test_nothing_else_is_given_out(devices: str, path: str) -> None:
    status, _, body = ask(devices, "GET", path)
    assert status in {404, 405, 307}
    assert b"PRIVATE" not in body
    assert b"secret" not in body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
def test_files_are_read_only(devices: str, method: str) -> None:
    assert ask(devices, method, "/metadata/timestamp.json", b"")[0] == 405


def test_enrolment_and_its_refusals(devices: str, store: Store) -> None:
    key = Ed25519PrivateKey.generate()
    profile = DeviceProfile("gate-7", "toy", "canary", "x86_64", public_hex(key))
    body = to_bytes(sign(key, "gate-7", PROFILE_TYPE, to_bytes(profile)))
    assert [ask(devices, "POST", "/enroll", body)[0] for _ in range(2)] == [201, 200]
    status, headers, answer = ask(devices, "POST", "/reports", b"{}")
    assert (status, headers["content-type"]) == (400, "application/json")
    assert "envelope" in json.loads(answer)["reason"]


def test_long_body_is_refused_before_it_is_read(devices: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(devices).netloc, timeout=120)
    connection.putrequest("POST", "/reports")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    answer = connection.getresponse()  # answered although nothing was sent
    assert answer.status == 413
    connection.close()


def test_endless_body_is_refused_while_it_streams(devices: str) -> None:
    host, port = urlsplit(devices).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=120) as link:
        link.sendall(b"POST /reports HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        block = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        sent, answer = 0, b""
        link.settimeout(0.2)
        deadline = time.monotonic() + 280
        while not answer and time.monotonic() < deadline:
            try:
                link.sendall(block)
                sent += len(block)
                answer = link.recv(4096)
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert b"413" in answer.split(b"\r\n")[0]
    assert sent < 20 * MAX_BODY_BYTES


def test_slow_body_is_given_up(devices: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform_defs.web.serve.BODY_SECONDS", 0.2)
    connection = http.client.HTTPConnection(urlsplit(devices).netloc, timeout=120)
    connection.putrequest("POST", "/enroll")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"{")
    assert connection.getresponse().status == 408
    connection.close()


def test_report_pages(reports: str) -> None:
    status, headers, body = ask(reports, "GET", "/toy/b1/index.html")
    assert (status, body) == (200, b"<h1>report</h1>")
    assert headers["content-type"].startswith("text/html")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert ask(reports, "GET", "/toy/b1/")[2] == b"<h1>report</h1>"
    assert ask(reports, "GET", "/toy/b1/data.json")[1]["content-type"] == "application/json"
    status, headers, body = ask(reports, "GET", "/")
    assert (status, headers["cache-control"]) == (200, "no-store")
    assert body == b"<h1>every line</h1>"
    assert "content-security-policy" in headers


def test_front_page_before_any_report(tmp_path: Path) -> None:
    with Server(report_app(Store(str(tmp_path)))) as server:
        for method in ("GET", "HEAD"):
            status, headers, body = ask(server.url, method, "/")
            assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert "content-security-policy" in headers
            assert (b"No batch was judged yet" in body) is (method == "GET")


@pytest.mark.parametrize(
    "path",
    [
        "/toy/b1/raw.parquet",
        "/toy/b1",
        "/toy/link.html",
        "/toy/out/root.pem",
        "/../keys/root.pem",
        "/..%2fkeys%2froot.pem",
        "/../tuf/metadata/timestamp.json",
        "/toy/none.html",
    ],
)
def test_reports_give_out_pages_only(reports: str, path: str) -> None:
    status, _, body = ask(reports, "GET", path)
    assert status == 404
    assert b"PRIVATE" not in body
    assert b"secret" not in body


def test_port_that_is_taken_is_a_clear_error(devices: str, store: Store) -> None:
    port = urlsplit(devices).port
    assert port is not None
    with pytest.raises(RejectedError, match="choose another port"):
        Server(device_app(store), port=port)
    with pytest.raises(RejectedError, match="choose another port"):
        Server(device_app(store), port=70_000)
