"""Which reader a source is for, told by names and first bytes, and a data contract to look at it with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from assets.errors import RejectedError
from assets.ingest.inspection.boxes import labels_of_boxes, masks_of, masks_told
from assets.ingest.inspection.columns import Column
from assets.ingest.inspection.first_rows import Rows, first_rows
from assets.ingest.inspection.formed import suggest_formed
from assets.ingest.inspection.guess_rows import MOSTLY
from assets.ingest.inspection.headers import oddities
from assets.ingest.inspection.label_tables import labels_in_a_table
from assets.ingest.inspection.source_files import SourceFiles
from assets.ingest.inspection.spellings import label_order
from assets.ingest.inspection.targets import named_targets
from assets.ingest.inspection.telling import telling_columns
from assets.line.data import SECTIONS, DataContract
from assets.line.readers import READERS
from assets.readers.cells import number
from assets.readers.cifar import CIFAR_META, CIFAR_NAME, class_names
from assets.readers.idx import IDX_NAME
from assets.readers.images import folder_label
from assets.readers.rows import REFUSED, is_named_as_rows
from assets.records.batch import LandedFile
from assets.records.limits import RETURNED_SUFFIX
from assets.records.paths import shown

MOST_LOOKED_AT = 60
"""Files whose first bytes are looked at."""
_ROWS = "rows"
_ASIDE = ("rul_", "readme")
_ASKED = 5
"""Columns that people are asked about."""
_TOPS = 50
_ANY_LABEL = tuple(str(number) for number in range(256))
_PICTURES: tuple[Callable[[bytes], bool], ...] = (
    lambda head: head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM", b"II*\0", b"MM\0*", b"GIF8")),
    lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
)


@dataclass(frozen=True)
class Guess:
    """A contract to look at a source with.

    Attributes:
        data: None where nothing was recognized.
        columns: of rows.
        notes: what a reader of the guess should know.
        asked: what only people know of how cells are written; the section has it as comments.
        aside: words of rows that are no records; none of them is a class unless a record has it too.
    """

    data: DataContract | None
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()
    section: dict[str, Any] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    aside: frozenset[str] = frozenset()


def guess(files: Sequence[LandedFile], source: SourceFiles, reader: str | None = None) -> Guess:
    """What a source seems to be; `reader` where that is known already."""
    own = [file for file in files if not file.path.lower().endswith(RETURNED_SUFFIX)]
    if boxes := labels_of_boxes(own, source):
        return Guess(None, notes=(boxes,))
    if reader is None and (table := labels_in_a_table(own, source)):
        return Guess(None, notes=(table,))
    notes: tuple[str, ...] = ()
    if masks := masks_of(own, source):
        aside = set(masks)
        own = [file for file in own if file not in aside]
        if len({label for file in own if (label := _labelled(file.path))}) < 2:
            return Guess(None, notes=(masks_told(masks, alone=True),))
        notes = (masks_told(masks, alone=False),)
    found = _guessed(own, source, reader)
    return replace(found, notes=(*notes, *found.notes))


def _guessed(own: Sequence[LandedFile], source: SourceFiles, reader: str | None) -> Guess:
    kinds = _kinds(own, source)
    if reader is None:
        if not kinds:
            return Guess(None, notes=(_nothing(own),))
        reader = max(kinds, key=lambda name: (name in READERS and READERS[name].form == "arrays", kinds[name], name))
    found = _for_reader("" if reader == _ROWS else reader, own, source)
    ours = (reader, _kind(found.data) if found.data else "")
    others = [f"{kind} {count:,}" for kind, count in kinds.most_common() if kind not in ours]
    if others:
        note = f"other forms are in it too ({', '.join(others)} of the files looked at); a line reads one form"
        if len(tops := _tops_by_form(own, source)) > 1:
            each = ", ".join(f"{shown(top)} ({form})" for top, form in sorted(tops.items())[:5])
            note = f"it holds several data sets, as it seems: {each}; name the folder of one of them"
        return replace(found, notes=(*found.notes, note))
    return found


def _tops_by_form(files: Sequence[LandedFile], source: SourceFiles) -> dict[str, str]:
    """First folder to the one form of its files, where each has one of its own; else nothing."""
    tops: dict[str, list[LandedFile]] = {}
    for file in files:
        tops.setdefault(file.path.split("/", 1)[0] if "/" in file.path else "", []).append(file)
    if len(tops) > _TOPS:
        return {}
    forms = {top: list(_kinds(part, source)) for top, part in tops.items()}
    known = {top: found[0] for top, found in forms.items() if len(found) == 1}
    return known if len(known) == len(forms) and "" not in known and len(set(known.values())) > 1 else {}


def _kind(data: DataContract) -> str:
    return _ROWS if data.form == "rows" else data.reader


def _for_reader(reader: str, own: Sequence[LandedFile], source: SourceFiles) -> Guess:
    if reader == "idx":
        return _guess(reader, _ANY_LABEL, {"image": {"height": 28, "width": 28, "channels": 1}})
    if reader == "cifar10":
        classes = _cifar_classes(own, source)
        note = () if classes else ("no batches.meta names the classes; write down what 0, 1, 2, … mean",)
        return _guess(reader, classes or _ANY_LABEL, {"image": {"height": 32, "width": 32, "channels": 3}}, note)
    if reader in ("image_folder", "audio_folder") or (reader == "text" and _class_folders(own)):
        return _of_folders(reader, own)
    return _of_rows(reader, own, source)


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so is a picture."""
    return any(test(head) for test in _PICTURES)


def is_sound(head: bytes) -> bool:
    """Whether a file that begins so is a sound."""
    return (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE") or head[:4] in (b"fLaC", b"OggS")


def _kinds(files: Sequence[LandedFile], source: SourceFiles) -> Counter[str]:
    """How many of the files looked at have which form."""
    step = max(1, len(files) // MOST_LOOKED_AT)
    kinds: Counter[str] = Counter()
    for file in files[::step]:
        name = file.path.rsplit("/", 1)[-1]
        head = source.head(file, 16)
        if IDX_NAME.fullmatch(name):
            kinds["idx"] += 1
        elif CIFAR_NAME.fullmatch(name):
            kinds["cifar10"] += 1
        elif is_picture(head):
            kinds["image_folder"] += 1
        elif is_sound(head):
            kinds["audio_folder"] += 1
        elif file.path.lower().endswith(".txt") and _labelled(file.path):
            kinds["text"] += 1
        elif is_named_as_rows(file.path, plain=True) and not name.lower().startswith(("readme", "license")):
            kinds[_ROWS] += 1
    return kinds


def _nothing(files: Sequence[LandedFile]) -> str:
    empty = sum(not file.size for file in files)
    more = f", {empty:,} of them empty" if empty else ""
    return (
        f"none of the {len(files):,} files was recognized{more}: pictures, WAV, FLAC, Ogg, idx, CIFAR-10, CSV, "
        "TSV, Parquet, Arrow and text are read"
    )


def _guess(reader: str, classes: Sequence[str], section: dict[str, Any], notes: tuple[str, ...] = ()) -> Guess:
    classes = tuple(dict.fromkeys(classes))
    if len(classes) == 1:
        notes = (*notes, f"there is one class only, {classes[0]!r}: name the others, a model needs two")
        classes = (*classes, "other" if classes[0] != "other" else "another")
    try:
        data = DataContract.model_validate({"reader": reader, "classes": classes, **section})
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "too_short" and "columns" in first["loc"]:
            text = (
                f"it looks like {reader}, but no column is left that could be an input; what is said of the columns "
                "tells why"
            )
            return Guess(None, notes=(*notes, text))
        return Guess(None, notes=(*notes, f"it looks like {reader}, but no contract fits: {first['msg']}"))
    return Guess(data, notes=notes, section=section)


def _labelled(path: str) -> str | None:
    try:
        return folder_label(path)[1]
    except RejectedError:
        return None


def _class_folders(files: Sequence[LandedFile]) -> bool:
    return any(file.path.lower().endswith(".txt") and _labelled(file.path) for file in files)


def _of_folders(reader: str, files: Sequence[LandedFile]) -> Guess:
    labels = sorted({label for file in files if (label := _labelled(file.path)) is not None})
    notes: tuple[str, ...] = ()
    if not labels:
        notes = ("no file lies in a class folder; put them in <class>/ or in train/<class>/, test/<class>/ and so on",)
        tops = {file.path.split("/", 1)[0] for file in files if "/" in file.path}
        if len(tops) == 1:
            notes = (f"everything lies in the folder {shown(tops.pop())}, which is no class: name that folder instead",)
        elif len(tops) > 1:
            some = ", ".join(map(shown, sorted(tops)[:5]))
            notes = (f"its folders ({some}) seem to be data sets of their own: name one of them",)
        labels = ["a", "b"]
    section = {
        "image": {"height": 64, "width": 64, "channels": 3},
        "audio": {"rate": 16_000, "seconds": 1.0},
        "text": {},
    }
    name = SECTIONS[reader]
    return _guess(reader, labels[:10_000], {name: section[name]}, notes)


def _cifar_classes(files: Sequence[LandedFile], source: SourceFiles) -> list[str]:
    for file in files:
        if CIFAR_META.fullmatch(file.path.rsplit("/", 1)[-1]):
            try:
                return class_names(source.read(file, 1024**2), file)
            except RejectedError:
                continue
    return []


def _of_rows(reader: str, files: Sequence[LandedFile], source: SourceFiles) -> Guess:
    fit = [file for file in files if is_named_as_rows(file.path, plain=True)]
    fit.sort(key=lambda file: (file.path.rsplit("/", 1)[-1].lower().startswith(_ASIDE), file.path))
    for file in fit[:5]:
        rows = first_rows(file, source)
        if rows is None or not rows.cells or not rows.names:
            continue
        formed = suggest_formed(rows, [file.path for file in files], reader)
        rows, columns, body = formed.rows, formed.columns, formed.body
        told, asked = formed.forms.said_of(body.get("time", ""))
        target = next((column for column in columns if column.name == body.get("target")), None)
        odd = oddities(rows.names if rows.header else (), rows.before)
        if not rows.header:
            odd.insert(0, "it has no header line; columns are named by their place, c1, c2, …")
        odd += rows.odd
        notes = (
            f"columns are those of {file.path} ({rows.form})",
            *(f"{file.path}: {text}" for text in (*odd, *told, *asked)),
            *_other_columns(file, rows, fit[:5], source),
        )
        if len(set(filter(None, rows.names))) < len(list(filter(None, rows.names))):
            return Guess(None, columns, notes)  # a file that is refused whole
        classes = _classes(target)
        if classes and rows.cells is not formed.written.cells:
            classes = formed.as_written(classes, body["target"])
        left_out = _left_out(rows, columns, body, classes, formed.forms.unread)
        guessed = _guess(formed.reader, classes, formed.section, (*notes, *left_out))
        return Guess(guessed.data, columns, guessed.notes, formed.section, tuple(asked), rows.aside)
    for file in fit[:5]:
        if why := next((why for magic, why in REFUSED.items() if source.head(file, 8).startswith(magic)), ""):
            return Guess(None, notes=(f"{file.path}: {why}",))
    empty = sum(not file.size for file in fit)
    more = f", {empty:,} of them empty" if empty else ""
    return Guess(
        None,
        notes=(
            f"none of the {len(fit):,} files that seem to hold rows could be read{more}; open one: it needs rows of as "
            "many cells as its first line",
        ),
    )


def _left_out(
    rows: Rows, columns: Sequence[Column], body: dict[str, Any], classes: Sequence[str], unread: Mapping[str, str]
) -> list[str]:
    """Take columns that say the answer or are not read out of `columns`; says of each why it is no input."""
    kept = {body.get(name) for name in ("unit", "time", "target", "group", "column")}
    unread = {name: why for name, why in unread.items() if name not in kept}
    notes = []
    if "columns" in body:
        _take_out(unread, body)
        notes = [f"column {name!r} is no input: {why}" for name, why in unread.items()]
    names = body.get("columns", ())
    telling = telling_columns(rows.names, rows.cells, names, body.get("target", ""), regression=not classes)
    if telling.answers and len(telling.answers) < len(names):
        _take_out(telling.answers, body)
        notes += [f"column {name!r} is no input: {why}" for name, why in telling.answers.items()]
    else:  # nothing would be left to learn from
        notes += [f"is column {name!r} known before the answer is? {why}" for name, why in telling.answers.items()]
    notes += [
        f"is column {name!r} known before the answer is? If not, take it out of `columns`: {why}"
        for name, why in list(telling.asked.items())[:_ASKED]
    ]
    if group := body.get("group"):
        notes.append(f"rows of one {group!r} stay on one side of the split (`group`): that column is no input")
    notes += _target_notes(columns, body, asked="columns" in body)
    others = [column for column in columns if column.name not in kept and column.name not in unread]
    numbering = [column.name for column in others if column.kind == "identifier"]
    if numbering and "columns" in body:
        some = ", ".join(map(shown, numbering[:8]))
        notes.append(f"no input, because they number or name the rows: {some}")
    notes += _without_values(columns, others, body)
    notes += [
        f"no input, because its cells are numbers with a sign: {column.name!r} (as {shown(column.example)}); write the "
        "number alone, and the sign into the column's name"
        for column in others
        if column.kind == "measure"
    ]
    return notes


def _without_values(columns: Sequence[Column], others: Sequence[Column], body: dict[str, Any]) -> list[str]:
    """What becomes of cells that have no value: marks for them that are words, and columns that hardly have any."""
    notes = [
        f"{', '.join(map(shown, column.marks))} in column {column.name!r} ({sum(column.marks.values()):,} of the rows "
        "looked at) counts as a word like others; if it says that nothing is known, and such rows shall be set aside, "
        "take it out of `categories`"
        for column in columns
        if column.marks and column.name in body.get("categories", {})
    ]
    notes += [
        f"{', '.join(map(shown, column.marks))} is proposed as a class; if it says that a record has no label, take it "
        "out of `classes`: such records are set aside"
        for column in columns
        if column.marks and column.name == body.get("target")
    ]
    mostly = [
        column.name for column in others if column.missing >= MOSTLY and column.name not in body.get("columns", ())
    ]
    if "columns" in body and mostly:
        notes.append(f"no input, because most of their cells have no value: {', '.join(map(shown, mostly[:8]))}")
    return notes


def _take_out(names: Iterable[str], body: dict[str, Any]) -> None:
    """Take columns out of a section's inputs."""
    out = set(names)
    body["columns"] = [name for name in body["columns"] if name not in out]
    words = {name: found for name, found in body.pop("categories", {}).items() if name not in out}
    body.update({"categories": words} if words else {})


def _target_notes(columns: Sequence[Column], body: dict[str, Any], *, asked: bool) -> list[str]:
    """Which column is taken for the target, where names leave a doubt."""
    target = body.get("target")
    if target is None or not asked:
        return []
    named = [column.name for column in named_targets(columns) if column.name in (target, *body["columns"])]
    if not named:
        return [f"no column's name says that it is the target: {target!r} is taken; name another one if that is wrong"]
    if others := ", ".join(map(shown, (name for name in named if name != target))):
        return [f"the target is taken to be {target!r}; {others} may be meant: then change `target`, or take it out"]
    return []


def _other_columns(file: LandedFile, rows: Rows, files: Sequence[LandedFile], source: SourceFiles) -> list[str]:
    """What to know of files whose columns are not those of the file that was chosen."""
    notes = []
    for other in files:
        if other is file or other.path.rsplit("/", 1)[-1].lower().startswith(_ASIDE):
            continue
        theirs = first_rows(other, source)
        if theirs is None or set(theirs.names) == set(rows.names):
            continue
        more = "" if rows.header or not theirs.header else ": its header line would be read as a record"
        named = ", ".join(shown(name) for name in theirs.names[:5])
        notes.append(f"{other.path} has other columns ({named}){more}; land it by itself, or leave it out")
    return notes


def _classes(target: Column | None) -> list[str]:
    """The words of a target; none where it is a number to predict."""
    if target is None:
        return []
    words = list(target.words)
    whole = all(number(word)[0].is_integer() for word in words)  # 0.0 and 1.0 are classes, too
    if target.kind in ("number", "identifier") and not (whole and len(words) <= 20):
        return []
    return sorted(words, key=label_order)
