"""The TUF repository as python-tuf's own client sees it, and as crashes, races and intruders leave it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root
from tuf.ngclient import Updater

from assets.compression.documents import ChosenModel
from assets.records.line_store import LineStore, bind
from assets.release.keys import load_key, make_key
from assets.release.manifest import build_manifest
from assets.release.metadata import DEMO_FIELD, Expiries
from assets.release.repository import (
    current_deployment,
    deploy,
    ensure_repository,
    publish,
    refresh_timestamp,
    renewal_notes,
    uses_demo_keys,
)
from assets.storage.store import Store
from edge.contracts import Deployment, ReleaseManifest, from_bytes
from edge.errors import RejectedError, TransientError, VerificationError
from platform_defs.web.serve import Server, device_app
from tests.assets.release.release_parts import land_heads, toy_line


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "state"))


def release(store: Store, position: int = 1, name: str = "toy") -> tuple[ReleaseManifest, dict[str, bytes]]:
    line = toy_line(name=name)
    engines = land_heads(bind(store, line), position)
    chosen = store.newest(name, ChosenModel)
    dataset = LineStore(store, name).dataset(engines.dataset)
    manifest, files = build_manifest(store, engines, chosen, dataset, demo_keys=True)
    return manifest, dict(files)


def updater(url: str, store: Store, folder: Path) -> Updater:
    """python-tuf's stock client, as its manual shows it."""
    (folder / "targets").mkdir(parents=True, exist_ok=True)
    (folder / "metadata").mkdir(exist_ok=True)
    return Updater(
        str(folder / "metadata"),
        f"{url}/metadata/",
        str(folder / "targets"),
        f"{url}/targets/",
        bootstrap=store.read("tuf/metadata/1.root.json"),
    )


def fetch(client: Updater, path: str) -> bytes:
    target = client.get_targetinfo(path)
    assert target is not None, path
    return Path(client.download_target(target)).read_bytes()


@pytest.fixture
def url(store: Store) -> Iterator[str]:
    with Server(device_app(store)) as server:
        yield server.url


def test_stock_client_verifies_everything(store: Store, url: str, tmp_path: Path) -> None:
    for line in ("toy", "other-line"):
        manifest, files = release(store, 3, line)
        record = publish(LineStore(store, line), manifest, files)
        for group in ("canary", "wide", "north-2"):
            deploy(LineStore(store, line), group, record)
        client = updater(url, store, tmp_path / line)
        for group in ("canary", "wide", "north-2"):
            deployment = from_bytes(Deployment, fetch(client, f"deploy/{line}/{group}.json"))
            assert (deployment.release, deployment.serial) == (record.release, 1)
        data = fetch(client, deployment.manifest)
        assert hashlib.sha256(data).hexdigest() == record.release
        assert from_bytes(ReleaseManifest, data) == manifest
        for artifact in manifest.artifacts:
            path = f"releases/{line}/{record.release}/{artifact.file.uri}"
            assert hashlib.sha256(fetch(client, path)).hexdigest() == artifact.file.sha256
        assert client.get_targetinfo(f"releases/{line}/{record.release}/other") is None


def test_publish_is_idempotent_and_mends(store: Store, url: str, tmp_path: Path) -> None:
    manifest, files = release(store)
    record = publish(LineStore(store, "toy"), manifest, files)
    before = store.read("tuf/metadata/timestamp.json")
    (damaged,) = Path(store.path(f"tuf/targets/releases/toy/{record.release}")).glob("*.rtx-sm86.plan")
    damaged.write_bytes(b"rotten")
    assert publish(LineStore(store, "toy"), manifest, files) == record
    assert store.read("tuf/metadata/timestamp.json") == before
    path = f"releases/toy/{record.release}/rtx-sm86.plan"
    assert fetch(updater(url, store, tmp_path / "c"), path) == files["rtx-sm86.plan"]


def test_publish_refuses_files_that_are_not_the_manifests(store: Store) -> None:
    manifest, files = release(store)
    with pytest.raises(VerificationError, match=r"cpu-x86\.onnx"):
        publish(LineStore(store, "toy"), manifest, {**files, "cpu-x86.onnx": b"other"})
    with pytest.raises(RejectedError, match="names"):
        publish(LineStore(store, "toy"), manifest, {**files, "extra": b""})
    with pytest.raises(RejectedError, match="line"):
        publish(LineStore(store, "other"), manifest, files)
    golden = replace(manifest.golden, uri="sub/golden.json")
    with pytest.raises(RejectedError, match="plain name"):
        moved = {**files, "sub/golden.json": files["golden.json"]}
        del moved["golden.json"]
        publish(LineStore(store, "toy"), replace(manifest, golden=golden), moved)


class Crash(BaseException):
    """The process ended here."""


def test_crash_before_every_write_leaves_a_repository_that_verifies(tmp_path: Path, monkeypatch: Any) -> None:
    """Publish and deploy with a crash before each write in turn: clients see all of it or nothing, then it heals."""
    monkeypatch.setenv("EDGELOOP_KEYS", str(tmp_path / "keys"))  # a store in memory is quick: no disk to wait for
    real = Store.write
    step = 0
    while True:
        step += 1
        store = Store(f"memory://crash/{step}")
        manifest, files = release(store)
        calls = 0

        def write(self: Store, key: str, data: bytes, limit: int = step) -> None:
            nonlocal calls
            if key.startswith("tuf/"):
                calls += 1
                if calls == limit:
                    raise Crash
            real(self, key, data)

        monkeypatch.setattr(Store, "write", write)
        try:
            deploy(LineStore(store, "toy"), "canary", publish(LineStore(store, "toy"), manifest, files))
            finished = True
        except Crash:
            finished = False
        monkeypatch.setattr(Store, "write", real)
        if store.exists("tuf/metadata/timestamp.json"):
            current_deployment(LineStore(store, "toy"), "canary")  # verifies root to deploy file
        record = publish(LineStore(store, "toy"), manifest, files)
        assert deploy(LineStore(store, "toy"), "canary", record).serial == 1
        if finished or step % 7 == 1:
            with Server(device_app(store)) as server:
                client = updater(server.url, store, tmp_path / f"client-{step}")
                assert fetch(client, "deploy/toy/canary.json")
        if finished:
            break
    assert step > 20


def test_publishes_at_once_are_all_there(store: Store, url: str, tmp_path: Path) -> None:
    ensure_repository(store, ())
    script = (
        "import sys\n"
        "from tests.assets.release.test_repository import release\n"
        "from assets.records.line_store import LineStore\n"
        "from assets.storage.store import Store\n"
        "from assets.release.repository import deploy, publish\n"
        "name = sys.argv[2]\n"
        "for position in (1, 2, 3):\n"
        "    record = publish(LineStore(Store(sys.argv[1]), name), *release(Store(sys.argv[1]), position, name))\n"
        "    deploy(LineStore(Store(sys.argv[1]), name), 'canary', record)\n"
        "    print(record.release)\n"
    )
    names = ("toy", "other")
    runs = [
        subprocess.Popen([sys.executable, "-c", script, store.root, name], stdout=subprocess.PIPE, text=True)
        for name in names
    ]
    said = [run.communicate(timeout=1500)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    client = updater(url, store, tmp_path / "client")
    for name, ids in zip(names, said, strict=True):
        for identity in ids:
            assert client.get_targetinfo(f"releases/{name}/{identity}/manifest.json") is not None
        deployment = from_bytes(Deployment, fetch(client, f"deploy/{name}/canary.json"))
        assert (deployment.release, deployment.serial) == (ids[-1], 3)


def test_intruders_metadata_is_not_signed_again(store: Store, tmp_path: Path) -> None:
    manifest, files = release(store)
    publish(LineStore(store, "toy"), manifest, files)
    stranger = Store(str(tmp_path / "stranger"))
    publish(LineStore(stranger, "toy"), manifest, files)
    for name in ("timestamp.json", "2.release-toy.json", "1.deploy-bin-0.json"):
        mine = store.read(f"tuf/metadata/{name}")
        store.write(f"tuf/metadata/{name}", stranger.read(f"tuf/metadata/{name}"))
        with pytest.raises(VerificationError, match="not signed by the key"):
            ensure_repository(store, ("toy",))
        store.write(f"tuf/metadata/{name}", mine)
    ensure_repository(store, ("toy",))


def test_refresh_signs_only_near_expiry(store: Store) -> None:
    assert refresh_timestamp(store) is False
    short = replace(Expiries(), timestamp=timedelta(minutes=10))
    ensure_repository(store, ("toy",), short)
    assert refresh_timestamp(store, short) is False
    assert refresh_timestamp(store) is True  # ten minutes are less than half a day
    assert refresh_timestamp(store) is False
    longer = replace(Expiries(), snapshot=timedelta(days=300))
    before = store.names("tuf/metadata")
    assert refresh_timestamp(store, longer) is True
    assert len(store.names("tuf/metadata")) == len(before) + 1


def test_root_and_delegations_are_renewed(store: Store, url: str, tmp_path: Path) -> None:
    manifest, files = release(store)
    soon = Expiries(root=timedelta(hours=1), targets=timedelta(hours=1))
    record = publish(LineStore(store, "toy"), manifest, files, soon)
    client = updater(url, store, tmp_path / "c")
    client.refresh()
    ensure_repository(store, ("toy",))
    assert "2.root.json" in store.names("tuf/metadata")
    assert fetch(updater(url, store, tmp_path / "c"), record.manifest_path)


def test_keys_are_private_and_marked(store: Store) -> None:
    ensure_repository(store, ("toy",))
    keys = Path(store.path("keys"))
    assert keys.stat().st_mode & 0o777 == 0o700
    names = {"root", "targets", "snapshot", "timestamp", "deploy", "release-toy"}
    assert {path.stem for path in keys.iterdir()} == names
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in keys.iterdir())
    assert len({load_key(keys, name).public_key.keyid for name in names}) == len(names)
    root = Metadata[Root].from_bytes(store.read("tuf/metadata/1.root.json"))
    assert root.signed.unrecognized_fields[DEMO_FIELD] is True
    assert uses_demo_keys(store)
    before = (keys / "root.pem").read_bytes()
    make_key(keys, "root")
    assert (keys / "root.pem").read_bytes() == before


def test_loose_missing_wrong_and_damaged_keys_are_refused(store: Store, tmp_path: Path) -> None:
    manifest, files = release(store)
    ensure_repository(store, ("toy",))
    keys = Path(store.path("keys"))
    key = keys / "release-toy.pem"
    mine = key.read_bytes()
    key.chmod(0o640)
    with pytest.raises(RejectedError, match="chmod 600"):
        publish(LineStore(store, "toy"), manifest, files)
    key.chmod(0o600)
    keys.chmod(0o755)
    with pytest.raises(RejectedError, match="chmod 700"):
        publish(LineStore(store, "toy"), manifest, files)
    keys.chmod(0o700)
    for data, reason in ((b"junk", "PEM"), ((keys / "deploy.pem").read_bytes(), "not the one that the repository")):
        key.write_bytes(data)
        with pytest.raises(RejectedError, match=reason):
            publish(LineStore(store, "toy"), manifest, files)
    key.unlink()
    with pytest.raises(RejectedError, match=r"release-toy\.pem: the private key of role 'release-toy' is missing"):
        publish(LineStore(store, "toy"), manifest, files)
    key.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(mine)
    with pytest.raises(RejectedError, match="symbolic link"):
        publish(LineStore(store, "toy"), manifest, files)


def real_keys(folder: Path, *roles: str) -> None:
    """Keys as an operator brings them: without the demo's mark."""
    from securesystemslib.signer import CryptoSigner

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for role in roles:
        path = folder / f"{role}.pem"
        path.touch(mode=0o600)
        path.write_bytes(CryptoSigner.generate_ed25519().private_bytes)


ONLINE = ("snapshot", "timestamp", "deploy", "release-toy")


@pytest.mark.parametrize("missing", ["deploy", "timestamp", "root"])
def test_real_repository_never_gets_a_demo_key(store: Store, missing: str) -> None:
    keys = Path(store.path("keys"))
    real_keys(keys, *({"root", "targets", *ONLINE} - {missing}))
    with pytest.raises(RejectedError, match=rf"{missing}\.pem: the private key .* is missing"):
        ensure_repository(store, ("toy",))
    assert not (keys / f"{missing}.pem").exists()
    assert not store.names("tuf/metadata")
    real_keys(keys, missing)
    ensure_repository(store, ("toy",))
    assert not uses_demo_keys(store)
    with pytest.raises(RejectedError, match=r"release-other\.pem"):
        ensure_repository(store, ("toy", "other"))
    assert uses_demo_keys(store) is False


@pytest.mark.parametrize("role", ["deploy", "release-toy", "snapshot"])
def test_one_demo_key_marks_the_repository(store: Store, role: str) -> None:
    keys = Path(store.path("keys"))
    real_keys(keys, *({"root", "targets", *ONLINE} - {role}))
    make_key(keys, role)
    ensure_repository(store, ("toy",))
    assert uses_demo_keys(store)


def test_offline_keys_may_stay_away_until_they_are_needed(store: Store, tmp_path: Path) -> None:
    keys, safe = Path(store.path("keys")), tmp_path / "safe"
    safe.mkdir()
    real_keys(keys, "root", "targets", *ONLINE)
    soon = Expiries(root=timedelta(days=30), targets=timedelta(days=30))  # less than half of the usual year
    ensure_repository(store, ("toy",), soon)
    assert renewal_notes(store, soon) == ()
    for role in ("root", "targets"):
        (keys / f"{role}.pem").rename(safe / f"{role}.pem")
    record = publish(LineStore(store, "toy"), *release(store))
    assert deploy(LineStore(store, "toy"), "canary", record).serial == 1
    notes = renewal_notes(store)
    assert [note.split()[0] for note in notes] == ["root", "targets"]
    assert "1.root.json" in store.names("tuf/metadata")
    assert "2.root.json" not in store.names("tuf/metadata")
    for role in ("root", "targets"):
        (safe / f"{role}.pem").rename(keys / f"{role}.pem")
    ensure_repository(store, ("toy",))
    assert "2.root.json" in store.names("tuf/metadata")
    assert renewal_notes(store) == ()


@pytest.mark.parametrize("role", ["root", "targets"])
def test_expired_offline_role_is_refused_by_name(store: Store, role: str) -> None:
    keys = Path(store.path("keys"))
    ended = replace(Expiries(), **{role: timedelta(seconds=-1)})
    ensure_repository(store, ("toy",), ended)
    aside = keys / "aside"
    (keys / f"{role}.pem").rename(aside)
    with pytest.raises(RejectedError, match=rf"{role} expired on .* put its key at .*{role}\.pem"):
        publish(LineStore(store, "toy"), *release(store))
    aside.rename(keys / f"{role}.pem")
    publish(LineStore(store, "toy"), *release(store))


def test_deploy_that_was_overtaken_is_refused(store: Store) -> None:
    first, second = (publish(LineStore(store, "toy"), *release(store, position)) for position in (1, 2))
    assert deploy(LineStore(store, "toy"), "canary", first, expected_serial=0).serial == 1
    with pytest.raises(TransientError, match="meanwhile"):
        deploy(LineStore(store, "toy"), "canary", second, expected_serial=0)
    current = current_deployment(LineStore(store, "toy"), "canary")
    assert current is not None
    assert current.release == first.release
    assert deploy(LineStore(store, "toy"), "canary", second, expected_serial=1).serial == 2


def test_keys_never_lie_in_a_shared_store() -> None:
    with pytest.raises(RejectedError, match="EDGELOOP_KEYS"):
        ensure_repository(Store("memory://nokeys"), ())


def test_repository_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_KEYS", str(tmp_path / "keys"))
    store = Store("memory://bucket")
    record = publish(LineStore(store, "toy"), *release(store))
    assert deploy(LineStore(store, "toy"), "canary", record).serial == 1
    with Server(device_app(store)) as server:
        assert fetch(updater(server.url, store, tmp_path / "client"), record.manifest_path)


def test_lock_is_given_up_in_time(store: Store) -> None:
    from assets.release.metadata import locked

    with locked(store), pytest.raises(TransientError, match="another run"), locked(store, 0.1):
        pass


def test_timestamp_lost_from_a_used_repository_is_not_made_anew(store: Store) -> None:
    publish(LineStore(store, "toy"), *release(store))
    Path(store.path("tuf/metadata/timestamp.json")).unlink()
    with pytest.raises(RejectedError, match="backup"):
        ensure_repository(store, ("toy",))
