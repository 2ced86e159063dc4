"""A person in front of `edgeloop ui`: Chromium clicks through the real pages; and the command ends what it started."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
import yaml
from dagster._core.scheduler.instigation import InstigatorStatus
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Response, expect, sync_playwright

from assets.ingest.landing import land
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.release.published import releases
from platform_defs.local.instance import daemon_lock
from platform_defs.made.digits import load_digits
from tests.projects import BIN, ROOT, TINY, Project, make_project

AGAIN_SECONDS = 20
CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run --disable-quic"
)
PICTURES = 400
SCRIPT = "<img src=x onerror=\"document.title='owned'\">"
"""A class folder's name that a careless page would run."""
UNPARTITIONED = (
    "dataset",
    "trained_model",
    "candidates",
    "chosen_model",
    "engines",
    "release",
    "rollout",
    "fleet_health",
)
PORTS = ("--port", "--reports-port", "--devices-port")
START_SECONDS, STOP_SECONDS, RUN_SECONDS = 240, 120, 280
expect.set_options(timeout=120_000)
pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = make_project(tmp_path / "project")
    yield made
    shutil.rmtree(made.root, ignore_errors=True)


@dataclass
class House:
    """A running `edgeloop ui`.

    Attributes:
        ui, reports: URLs.
    """

    process: subprocess.Popen[bytes]
    log: Path
    ui: str
    reports: str

    def stop(self) -> int:
        """End it as Ctrl-C or `kill` would; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


@contextlib.contextmanager
def serving(project: Project, **environment: str) -> Iterator[House]:
    """Run `edgeloop ui` on free ports; entered once it says that it answers."""
    ports = _free_ports(3)
    log = project.root / "ui.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BIN / "edgeloop", "ui", *(text for pair in zip(PORTS, map(str, ports), strict=True) for text in pair)],
            cwd=project.root,
            env={**project.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(lambda: "Ctrl-C" in log.read_text() or process.poll() is not None, START_SECONDS, log)
        assert process.poll() is None, log.read_text()
        yield House(process, log, f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _wait(ready: Callable[[], bool], seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.1)


def _processes(project: Project) -> list[str]:
    """Command lines of the living processes that work on this project's state, whoever their parent is now."""
    mark = f"EDGELOOP_HOME={project.root / '.edgeloop'}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


@dataclass
class Visitor:
    """A browser that remembers every request, answer and error of all its pages."""

    context: BrowserContext
    requests: set[str] = field(default_factory=set)
    responses: dict[str, Response] = field(default_factory=dict)
    errors: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.on("request", lambda request: self.requests.add(request.url))
        self.context.on("response", lambda response: self.responses.update({response.url: response}))
        self.context.on("weberror", lambda error: self.errors.append((self._url(error.page), str(error.error))))
        self.context.on(
            "console",
            lambda message: (
                self.errors.append((self._url(message.page), message.text)) if message.type == "error" else None
            ),
        )

    @staticmethod
    def _url(page: Page | None) -> str:
        return page.url if page else ""

    def hosts(self) -> set[str | None]:
        """Where its requests went; data: and blob: URLs go nowhere."""
        return {urlsplit(url).hostname for url in self.requests if not url.startswith(("data:", "blob:"))}


@contextlib.contextmanager
def visiting(pictures: Path) -> Iterator[Visitor]:
    """Chromium. Should the block fail, what its pages show is saved below `pictures`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        # without a locale the Dagster UI stays blank
        context = browser.new_context(locale="en-US", viewport={"width": 1500, "height": 950})
        context.set_default_timeout(120_000)
        try:
            yield Visitor(context)
        except BaseException as error:
            for number, page in enumerate(context.pages):
                page.screenshot(path=pictures / f"page-{number}.png", full_page=True)
            error.add_note(f"what the pages showed: {pictures}/page-*.png")
            raise
        finally:
            browser.close()


def add_digits(project: Project) -> Line:
    """The line `digits` as it ships, only trained shorter, with fewer smaller models, and for two targets."""
    shipped = yaml.safe_load((ROOT / "platform_defs" / "lines" / "digits" / "defs.yaml").read_text())["attributes"]
    shipped["training"]["epochs"] = 5
    shipped["compress"] = TINY["compress"]
    shipped["budget"]["max_drop"] = 0.2  # a few dozen validation records, a teacher that hardly learned
    shipped["targets"] = ["cpu-x86", "rtx-sm86"]
    return project.add_line("digits", shipped)


def land_digits(project: Project, line: Line) -> str:
    """Land a batch of real pictures, one of them in a folder with a hostile name."""
    source, digits = project.root / "pictures", load_digits()
    for index in range(PICTURES):
        _save(source / str(digits.labels[index]) / f"{index}.png", Image.fromarray(digits.pixels[index]))
    _save(source / SCRIPT / "0.png", Image.fromarray(digits.pixels[PICTURES]))
    return land(bind(project.store, line), source).batch


def _save(path: Path, picture: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def _stop_automations(page: Page, house: House, project: Project) -> None:
    """Switch off sensors and schedules, so that what is materialized is materialized by hand.

    A tick that ends at this moment writes down that its sensor runs, so what still does is stopped again.
    """
    wanted = {f"digits_{name}" for name in ("new_batch_sensor", "reconcile_sensor", "nightly_retrain")}

    def all_stopped() -> bool:
        with dg.DagsterInstance.from_config(project.store.path("dagster")) as instance:
            states = instance.all_instigator_state()
        return wanted <= {state.name for state in states if state.status is InstigatorStatus.STOPPED}

    def stopped_by_hand() -> bool:
        page.goto(f"{house.ui}/automation")
        page.get_by_text("digits_new_batch_sensor").wait_for()
        page.get_by_text("Select all").click()
        page.get_by_role("button", name="Actions").click()
        page.get_by_role("menuitem").filter(has_text="Stop").click()
        page.get_by_role("button", name=re.compile(r"^Stop \d+ automation")).click()
        page.get_by_text(re.compile("stopped")).first.wait_for()
        until = time.monotonic() + AGAIN_SECONDS
        while not (done := all_stopped()) and time.monotonic() < until:
            time.sleep(0.5)  # the page speaks of the first that stopped
        return done

    _wait(stopped_by_hand, START_SECONDS, house.log)


def _open_line(page: Page, ui: str) -> None:
    """The line's asset graph shows all of its assets; then its list."""
    page.goto(f"{ui}/locations/edgeloop/asset-groups/digits")
    for asset in ("batch", *UNPARTITIONED):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()
    page.get_by_role("tab", name="List").click()


def _materialize_batch(page: Page, batch: str) -> None:
    page.get_by_role("link", name="digits / batch").click()
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Add a partition").click()
    page.get_by_role("dialog").last.get_by_role("textbox").fill(batch)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Launch 1 run").click()
    _see_success(page)


def _materialize_unpartitioned(page: Page) -> None:
    for asset in UNPARTITIONED:
        page.get_by_test_id(f"checkbox-digits/{asset}").locator("..").click()
    page.get_by_role("button", name=f"Materialize selected ({len(UNPARTITIONED)})").click()
    _see_success(page)


def _see_success(page: Page) -> None:
    """Follow the launched run to its page, which says in the end that it succeeded."""
    page.get_by_role("button", name="View", exact=True).or_(page.get_by_role("link", name="View", exact=True)).click()
    page.wait_for_url("**/runs/*")
    url = urlsplit(page.url)
    query = {"query": f'{{ runOrError(runId: "{Path(url.path).name}") {{ ... on Run {{ status }} }} }}'}
    page.goto("about:blank")  # the page of a run under way draws it at 60 frames a second, without a GPU
    deadline = time.monotonic() + RUN_SECONDS
    status = "QUEUED"
    while status in {"QUEUED", "NOT_STARTED", "STARTING", "STARTED"} and time.monotonic() < deadline:
        time.sleep(0.5)
        answer = page.request.post(f"{url.scheme}://{url.netloc}/graphql", data=query).json()
        status = answer["data"]["runOrError"]["status"]
    page.goto(url.geturl())
    expect(page.get_by_text(re.compile("^(Success|Failure|Canceled)$")).first).to_have_text("Success")


def _open_report(page: Page, ui: str) -> Page:
    """Follow the check's link to its report."""
    page.goto(f"{ui}/assets/digits/batch")
    page.get_by_role("tab", name="Checks").click()
    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="/index.html").click()
    opened.value.wait_for_load_state()
    return opened.value


def _open_from_model(page: Page, ui: str, name: str) -> Page:
    """Follow a link among the metadata of the trained model."""
    page.goto(f"{ui}/assets/digits/trained_model")
    with page.expect_popup() as opened:
        page.get_by_role("link", name=name).first.click()
    opened.value.wait_for_load_state()
    return opened.value


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_materialize_by_hand_and_read_the_report(project: Project, tmp_path: Path) -> None:
    line = add_digits(project)
    with contextlib.ExitStack() as stack:
        telemetry = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{telemetry.getsockname()[1]}/"
        house = stack.enter_context(serving(project, DAGSTER_TELEMETRY_URL=url))
        visitor = stack.enter_context(visiting(tmp_path))
        page = visitor.context.new_page()
        _stop_automations(page, house, project)
        batch = land_digits(project, line)
        _open_line(page, house.ui)
        _materialize_batch(page, batch)
        _open_line(page, house.ui)
        _materialize_unpartitioned(page)
        _open_line(page, house.ui)
        expect(page.get_by_text("Materialized", exact=True)).to_have_count(len(UNPARTITIONED))
        assert len(releases(LineStore(project.store, line.name))) == 1

        live = _open_from_model(page, house.ui, "/digits/training/")
        expect(live.get_by_role("heading", level=1)).to_have_text("digits was trained")
        live.get_by_role("link", name="Open the model card").click()
        expect(live.get_by_role("heading", name="What the answers rest on")).to_be_visible()
        card = _open_from_model(page, house.ui, "/digits/models/")
        assert card.url == live.url
        card.get_by_role("link", name=f"batch {batch[:8]}").click()
        expect(card.get_by_role("heading", level=1)).to_have_text("This batch was accepted")
        report = _open_report(page, house.ui)
        verdict = LineStore(project.store, line.name).verdict(batch)
        assert verdict is not None
        assert (verdict.seen, verdict.accepted, verdict.quarantined) == (PICTURES + 1, PICTURES, 1)
        assert report.url == f"{house.reports}/digits/{batch}/index.html"
        expect(report.get_by_role("heading", level=1)).to_have_text("This batch was accepted")
        for count, what in ((PICTURES + 1, "records seen"), (PICTURES, "accepted"), (1, "quarantined"), (0, "refused")):
            expect(report.get_by_text(re.compile(rf"^\s*{count}\s*{what}\s*$"))).to_be_visible()
        page.get_by_text("Show Markdown").click()
        for shown in (page, report):  # the label is shown as it was written, and does nothing
            expect(shown.get_by_text(f"{SCRIPT}/0.png")).to_be_visible()
            assert shown.locator("img[src=x]").count() == 0
            assert shown.title() != "owned"
        policy = visitor.responses[report.url].headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "script-src" not in policy
        assert [text for url, text in visitor.errors if url.startswith(house.reports)] == []
        assert visitor.hosts() == {"127.0.0.1"}
        telemetry.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody called
            telemetry.accept()


def test_ui_waits_for_another_daemon_and_leaves_no_process(project: Project) -> None:
    project.add_line("tiny", TINY)

    def has_daemon() -> bool:
        return any("dagster-daemon" in command for command in _processes(project))

    with contextlib.ExitStack() as other:
        assert other.enter_context(daemon_lock(project.store))
        with serving(project) as house:
            assert not has_daemon(), "one daemon is enough for one state"
            other.close()
            _wait(has_daemon, START_SECONDS, house.log)
            assert house.stop() == 0
            assert _processes(project) == []


def test_taken_port_is_refused(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = project.run("edgeloop", "ui", "--reports-port", port, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"edgeloop: port {port} is taken")
    assert "choose another with --reports-port" in done.stderr
    assert "Traceback" not in done.stderr


def test_port_given_twice_is_refused(project: Project) -> None:
    port = str(_free_ports(1)[0])
    done = project.run("edgeloop", "ui", "--port", port, "--reports-port", port, check=False)
    assert done.returncode == 1
    assert done.stderr == f"edgeloop: port {port} is given twice; choose another with --port\n"
