"""The review pages: whom they obey, what they show, and that no decision is lost between two people."""

from __future__ import annotations

import http.client
import re
import shutil
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from assets.errors import LineError
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.review.decisions import accept, reject
from assets.review.state import State, select
from assets.storage.store import Store
from platform_defs.web.guard import host_name
from platform_defs.web.review.app import review_routes
from platform_defs.web.serve import Server, report_app
from tests.assets.held_records import (
    CLASS,
    NEAR,
    SUSPECT,
    hold,
    picture,
    picture_line,
    row,
    table_line,
    text,
    text_line,
)

EVIL = "<script>document.title='owned'</script>"
LINES = {line.name: line for line in (text_line(), picture_line(), table_line(privacy={"private": ["b"]}))}


def find(name: str) -> Line:
    if name not in LINES:
        raise LineError(f"there is no line {name!r}")
    return LINES[name]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "home"))


@pytest.fixture
def url(store: Store) -> Iterator[str]:
    with Server(report_app(store, review_routes(store, find, list))) as server:
        yield server.url


class Browser:
    """Keeps cookies, follows a redirect after a form, sends what a browser would."""

    def __init__(self, url: str) -> None:
        self.netloc = urlsplit(url).netloc
        self.cookies: dict[str, str] = {}
        self.text = ""
        self.headers: dict[str, str] = {}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> int:
        connection = http.client.HTTPConnection(self.netloc, timeout=120)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies and "Cookie" not in sent:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            self.text = answer.read().decode()
            self.headers = {name.lower(): value for name, value in answer.getheaders()}
            for cookie in answer.msg.get_all("set-cookie") or []:
                assert "SameSite=strict" in cookie
                assert "HttpOnly" in cookie
                name, _, value = cookie.split(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status
        finally:
            connection.close()

    def get(self, path: str) -> int:
        return self.ask("GET", path)

    def token(self) -> str:
        found = re.search(r'name="token" value="([0-9a-f]{64})"', self.text)
        assert found
        return found.group(1)

    def post(self, path: str, fields: Mapping[str, Any], **headers: str) -> int:
        """Send a form with this page's token, and follow where it leads."""
        given = {"token": self.token(), "who": "ann", **fields}
        headers = {"Origin": f"http://{self.netloc}", "Sec-Fetch-Site": "same-origin", **headers}
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        status = self.ask("POST", path, urlencode(given, doseq=True).encode(), **headers)
        if status == 303:
            assert self.headers["location"].startswith("/review/")
            return self.get(self.headers["location"])
        return status


def texts(store: Store) -> BatchVerdict:
    records = [text(f"win {n}", "ham") for n in range(30)]
    records += [text("hello", EVIL, CLASS, file=f"{EVIL}.csv#3", reason=f"label {EVIL}", remedy=EVIL)]
    return hold(bind(store, text_line()), [*records, text("twin", "ham", NEAR)])


def path(verdict: BatchVerdict, **query: str) -> str:
    return f"/review/{verdict.line}/{verdict.batch}?{urlencode(query)}"


def test_a_reviewer_decides_and_sends_back(store: Store, url: str) -> None:
    verdict, browser = texts(store), Browser(url)
    assert browser.get("/review/sms") == 200
    assert "30 of 30 undecided" in browser.text
    assert "Latest decisions" not in browser.text
    assert browser.get(path(verdict, rule=SUSPECT, by="rule")) == 200
    assert browser.text.count('name="chosen"') == 24
    chosen = re.findall(r'name="chosen" value="([^"]+)"', browser.text)
    here = f"/review/sms/{verdict.batch}/decide"
    view = {"rule": SUSPECT, "by": "rule", "status": "undecided"}
    assert browser.post(here, {**view, "chosen": chosen[:2], "action": "fix", "label": "spam"}) == 200
    assert "On record as decision 1: ann corrected to &#39;spam&#39;" in browser.text
    assert browser.post(here, {**view, "chosen": chosen[2], "action": "reject", "why": "no"}) == 200
    assert browser.post(here, {**view, "all": "27", "action": "accept", "why": "all fine"}) == 200
    assert "No such record: all of them are decided" in browser.text
    assert browser.get("/review/sms") == 200
    assert "Release 29 records" in browser.text
    assert browser.post("/review/sms/release", {}) == 200
    assert "29 records" in browser.text
    assert "Release" not in re.sub(r"<title>.*?</title>", "", browser.text).split("Latest decisions")[0]
    assert len(list(LineStore(store, "sms").landings().after(0))) == 2
    assert browser.cookies["edgeloop_who"] == "ann"


def test_two_people_at_once(store: Store, url: str) -> None:
    verdict, ann, bob = texts(store), Browser(url), Browser(url)
    for browser in (ann, bob):
        browser.get(path(verdict, rule=NEAR, by="rule"))
    (mine,) = re.findall(r'name="chosen" value="([^"]+)"', ann.text)
    here = f"/review/sms/{verdict.batch}/decide"
    assert ann.post(here, {"chosen": mine, "action": "reject", "why": "a copy"}) == 200
    assert bob.post(here, {"chosen": mine, "action": "accept", "why": "no copy", "who": "bob"}) == 409
    assert "Somebody decided meanwhile" in bob.text
    assert "Decision 1: ann rejected at" in unescape(bob.text)
    assert State(LineStore(store, "sms")).position == 1
    again = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', bob.text))
    assert again["chosen"].endswith(".1")
    assert bob.post(here, again) == 200
    assert [entry.who for entry in State(LineStore(store, "sms")).entries] == ["ann", "bob"]
    assert State(LineStore(store, "sms")).entry(2).replaces == 1


def test_what_was_recorded_before_a_conflict_is_told(store: Store, url: str) -> None:
    verdict, browser, state = texts(store), Browser(url), State(LineStore(store, "sms"))
    twin = select(state, verdict, rule=NEAR)
    reject(state, verdict, twin, "bob", "a copy")
    browser.get(path(verdict, status="any"))
    undecided = re.findall(r'name="chosen" value="([0-9a-f]{64}[.]0)"', browser.text)[0]
    accept(state, LINES["sms"], verdict, twin, "carl", "no copy", revise=1)
    chosen = [undecided, f"{twin['id'][0].as_py()}.1"]
    here = f"/review/sms/{verdict.batch}/decide"
    assert browser.post(here, {"chosen": chosen, "action": "reject", "why": "no"}) == 409
    assert "Of the other records, decision 3 is on record." in browser.text
    assert "Decision 2: carl accepted at" in unescape(browser.text)


def test_a_decision_from_the_command_line_is_seen(store: Store, url: str) -> None:
    verdict, browser = texts(store), Browser(url)
    browser.get(path(verdict, rule=NEAR, by="rule"))
    state = State(LineStore(store, "sms"))
    reject(state, verdict, select(state, verdict, rule=NEAR), "cli", "no")
    (mine,) = re.findall(r'name="chosen" value="([^"]+)"', browser.text)
    assert browser.post(f"/review/sms/{verdict.batch}/decide", {"chosen": mine, "action": "accept", "why": "x"}) == 409
    browser.get(path(verdict, rule=NEAR, by="rule", status="rejected"))
    assert "cli rejected at" in browser.text


def test_waivers_are_granted_and_ended(store: Store, url: str) -> None:
    verdict, browser = texts(store), Browser(url)
    browser.get("/review/sms")
    assert browser.post("/review/sms/waive", {"rule": SUSPECT, "until": "2999-01-01", "why": "slang"}) == 200
    assert "is waived for the line until 2999-01-01" in browser.text
    assert browser.post("/review/sms/revoke", {"position": "1", "why": "enough"}) == 200
    assert "Every rule is asked" in browser.text
    assert browser.post("/review/sms/waive", {"rule": SUSPECT, "until": "soon", "why": "slang"}) == 400
    browser.get(path(verdict, rule=NEAR, by="rule"))
    chosen = re.findall(r'name="chosen" value="([^"]+)"', browser.text)
    here = f"/review/sms/{verdict.batch}/decide"
    assert browser.post(here, {"chosen": chosen, "action": "waive", "until": "2999-01-01", "why": "fine"}) == 200


def test_one_record(store: Store, url: str) -> None:
    pets, bad = LINES["pets"], picture(1, "cat", size=16)
    verdict, browser = hold(bind(store, pets), [bad]), Browser(url)
    assert browser.get(f"/review/pets/{verdict.batch}/{bad['id']}") == 200
    assert "data:image/png;base64," in browser.text
    body = _multipart({"token": browser.token(), "who": "ann", "action": "fix", "record": bad["id"],
                       "chosen": f"{bad['id']}.0"}, b"junk")  # fmt: skip
    kind = "multipart/form-data; boundary=xyz"
    here = f"/review/pets/{verdict.batch}/decide"
    assert browser.ask("POST", here, body, Content_Type=kind) == 400
    assert "cannot be read" in browser.text
    repaired = picture(2, "cat", size=16)["input"]
    browser.get(f"/review/pets/{verdict.batch}/{bad['id']}")
    body = body.replace(b"junk", repaired)
    assert browser.ask("POST", here, body, Content_Type=kind) == 303
    kept = State(LineStore(store, "pets")).entry(1).input
    assert kept is not None
    assert store.fetch(kept) == repaired


def _multipart(fields: Mapping[str, str], file: bytes) -> bytes:
    parts = [f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
             for name, value in fields.items()]  # fmt: skip
    head = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    return b"".join(parts) + head + file + b"\r\n--xyz--\r\n"


def test_cells_are_corrected_and_private_ones_hidden(store: Store, url: str) -> None:
    bad = row([1, 271828, 0], "maybe", CLASS, reason="'maybe' is not a class")
    verdict, browser = hold(bind(store, LINES["rows"]), [bad]), Browser(url)
    browser.get(path(verdict))
    assert "271828" not in browser.text
    assert browser.get(f"/review/rows/{verdict.batch}/{bad['id']}") == 200
    assert "271828" not in browser.text
    assert 'name="cell.0"' in browser.text
    assert 'name="cell.1"' not in browser.text
    fields = {"chosen": f"{bad['id']}.0", "record": bad["id"], "action": "fix", "cell.0": "2.5", "cell.2": "blue"}
    assert browser.post(f"/review/rows/{verdict.batch}/decide", fields) == 400
    assert "is not a class" in browser.text
    browser.get(f"/review/rows/{verdict.batch}/{bad['id']}")
    assert browser.post(f"/review/rows/{verdict.batch}/decide", {**fields, "label": "no"}) == 200
    assert State(LineStore(store, "rows")).entry(1).changes == {"a": "2.5", "colour": "blue"}


def test_everything_from_the_data_is_escaped(store: Store, url: str) -> None:
    verdict, browser = texts(store), Browser(url)
    for address in (
        path(verdict, status="any", start="30"),
        "/review/sms",
        path(verdict, rule=EVIL, by="rule", status=EVIL),
    ):
        assert browser.get(address) == 200
        assert "<script" not in browser.text
    browser.get(path(verdict, rule=CLASS, by="rule"))
    assert EVIL in unescape(browser.text)
    chosen = re.findall(r'name="chosen" value="([^"]+)"', browser.text)
    fields = {"chosen": chosen, "action": "fix", "label": EVIL}
    assert browser.post(f"/review/sms/{verdict.batch}/decide", fields) == 400
    assert "<script" not in browser.text
    browser.get(path(verdict, rule=CLASS, by="rule"))
    fields = {"chosen": chosen, "action": "reject", "why": EVIL, "who": EVIL}
    assert browser.post(f"/review/sms/{verdict.batch}/decide", fields) == 200
    assert "<script" not in browser.text
    assert EVIL in unescape(browser.text)


def test_headers(store: Store, url: str) -> None:
    browser = Browser(url)
    texts(store)
    browser.get("/review/sms")
    policy = browser.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert browser.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Cookie": "edgeloop_session=stolen"}, 403),
        ({"Content_Type": "text/plain"}, 415),
    ],
)
def test_strangers_forms_decide_nothing(store: Store, url: str, headers: dict[str, str], status: int) -> None:
    texts(store)
    browser = Browser(url)
    browser.get("/review/sms")
    before = State(LineStore(store, "sms")).position
    own = {name.replace("_", "-"): value for name, value in headers.items()}
    assert browser.post("/review/sms/waive", {"rule": SUSPECT, "until": "2999-01-01", "why": "x"}, **own) == status
    assert State(LineStore(store, "sms")).position == before == 0


def test_a_token_of_another_browser_is_refused(store: Store, url: str) -> None:
    texts(store)
    mine, other = Browser(url), Browser(url)
    mine.get("/review/sms")
    other.get("/review/sms")
    fields = {"rule": SUSPECT, "until": "2999-01-01", "why": "x", "token": other.token()}
    assert mine.post("/review/sms/waive", fields) == 403


def test_bodies_are_bounded(store: Store, url: str) -> None:
    texts(store)
    browser = Browser(url)
    browser.get("/review/sms")
    assert browser.post("/review/sms/waive", {"why": "x" * 300_000}) == 413
    browser.get("/review/sms")
    many = [("chosen", "x")] * 5000
    body = urlencode([("token", browser.token()), *many]).encode()
    assert browser.ask("POST", "/review/sms/waive", body, Content_Type="application/x-www-form-urlencoded") == 400


@pytest.mark.parametrize("address", ["/review/none", "/review/sms/zz", "/review/sms/../../keys", "/review/sms/a/b/c"])
def test_what_is_not_there(store: Store, url: str, address: str) -> None:
    texts(store)
    browser = Browser(url)
    assert browser.get(address) in {400, 404}
    assert "Traceback" not in browser.text


def test_reports_too_answer_to_this_machine_only(url: str) -> None:
    browser = Browser(url)
    assert browser.ask("GET", "/", Host="evil.example") == 421
    assert browser.ask("GET", "/", Host="localhost:9") == 200


def test_host_names() -> None:
    assert host_name("127.0.0.1:3001") == "127.0.0.1"
    assert host_name("[::1]:3001") == "[::1]"
    assert host_name("LOCALHOST") == "localhost"
    for header in ("", "a b", "evil\r\n", "127.0.0.1@evil", "127.0.0.1:1:2", "é"):
        assert host_name(header) == ""


CHROMIUM = shutil.which("chromium")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_in_a_browser(store: Store, url: str, tmp_path: Path) -> None:
    """Two people in Chromium: one relabels, the other is told; nothing from the data runs; a phone need not scroll."""
    from playwright.sync_api import sync_playwright

    verdict, pets = texts(store), hold(bind(store, LINES["pets"]), [picture(n, "cat") for n in range(3)])
    trouble: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        people = {}
        for who, size in (("ann", (1280, 900)), ("bob", (390, 844))):
            viewport: Any = {"width": size[0], "height": size[1]}
            context = browser.new_context(locale="en-US", viewport=viewport, color_scheme="dark")
            context.on("console", lambda message: trouble.append(message.text))
            context.on("weberror", lambda error: trouble.append(str(error.error)))
            people[who] = context.new_page()
            people[who].goto(url + path(verdict, rule=CLASS, by="rule"))
            assert people[who].title() == f"sms: batch {verdict.batch[:8]} in quarantine"
            assert EVIL in people[who].inner_text("body")
            people[who].locator("input[name=chosen]").first.check()
            form = people[who].locator("form#chosen")
            form.locator("[name=who]").fill(who)
            form.locator("[name=why]").fill("I know him")
            form.locator("select").select_option("ham")
        assert trouble == []
        for who, page in people.items():
            page.locator("form#chosen").get_by_role("button", name="Correct the label").click()
            assert ("Somebody decided meanwhile" in page.inner_text("body")) is (who == "bob")
        assert trouble == ["Failed to load resource: the server responded with a status of 409 (Conflict)"]
        people["bob"].get_by_role("button", name="Replace that decision with mine").click()
        assert "On record as decision 2: bob" in people["bob"].inner_text("body")
        people["bob"].reload()  # decides nothing again
        assert State(LineStore(store, "sms")).position == 2
        for address in ("/review/sms", path(pets), f"/review/pets/{pets.batch}/{picture(0, 'cat')['id']}"):
            people["bob"].goto(url + address)
            assert people["bob"].evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert people["bob"].locator("img").first.evaluate("image => image.naturalWidth") == 8
        people["ann"].goto(f"{url}/review/sms")
        people["ann"].get_by_role("button", name="Release 1 record").click()
        assert "released" in people["ann"].inner_text(".flash")
        assert trouble[1:] == []
        browser.close()
