"""The documents say what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

from assets.line.config import LineConfig, parse_line
from platform_defs.cli.main import app
from tests.house.document import LOOKED_FOR, picture
from tests.house.document import document as house_document
from tests.house.plan import ROOMS
from tests.lines_doc import HEAD, document

ROOT = Path(__file__).parent.parent


def _fields(model: type[BaseModel], place: str = "") -> list[tuple[str, str]]:
    found = []
    for name, field in model.model_fields.items():
        found.append((f"{place}{name}", field.description or ""))
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found += _fields(inner, f"{place}{name}.")
    return found


def test_every_field_of_a_line_is_documented() -> None:
    text = (ROOT / "docs/lines.md").read_text()
    fields = _fields(LineConfig)
    assert len(fields) > 30
    assert [name for name, description in fields if f"`{name}`" not in text or description not in text] == []


def test_the_page_on_lines_is_made_from_their_schema() -> None:
    assert (ROOT / "docs/lines.md").read_text() == document(), "run: python -m tests.lines_doc > docs/lines.md"


def test_that_page_shows_values_and_no_words_of_a_library() -> None:
    assert re.findall(r"Undefined|<[a-z]+ .*?>|FieldInfo|object at", document()) == []


def test_the_example_on_that_page_is_a_line() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", HEAD, re.DOTALL)
    body = yaml.safe_load(example)
    assert parse_line("example", body["attributes"], "docs/lines.md").config.quality.expectations[2].mostly == 0.3


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert len(commands) >= 7
    assert [name for name in commands if f"`edgeloop {name}" not in text] == []
    assert all(word in text for word in ("enroll", "poll", "status", "predict FILE"))


def test_the_make_targets_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for document in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
        for name in re.findall(r"`?make ([a-z-]+)", (ROOT / document).read_text())
    }
    assert {"demo", "test", "ui"} <= named
    assert named <= targets


@pytest.mark.parametrize(
    "document", sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / document).parent.joinpath(link).exists()]
    assert missing == []


def test_the_page_on_the_house_is_made_from_the_plan_that_tests_enforce() -> None:
    again = "run: python -m tests.house.document"
    assert (ROOT / "docs/house.md").read_text() == house_document(), again
    assert (ROOT / "docs/house.svg").read_text() == picture(), again


def test_what_people_look_for_is_where_the_page_says() -> None:
    assert [path for _, path in LOOKED_FOR if not (ROOT / path).is_file()] == []


def test_every_room_has_a_readme_of_its_own() -> None:
    rooms = [ROOT / room.name.replace(".", "/") for room in ROOMS]
    assert [str(room) for room in rooms if room.is_dir() and not (room / "README.md").is_file()] == []
