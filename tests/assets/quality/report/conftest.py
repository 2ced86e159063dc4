"""Judged batches of every kind, made by hand: what a judge would hand over, without a judge."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.line.config import Line, parse_line
from assets.quality.columns import Sparse
from assets.quality.decide import GOOD, Decision
from assets.quality.drift.compare import compare
from assets.quality.drift.profile import Profile, make_profile
from assets.quality.report.data import ReportData
from assets.quality.rules import rules_of
from assets.quality.spool import Spool
from assets.records.chunks import chunk_schema, to_table
from assets.records.reason import Reason
from assets.records.record import Record
from assets.records.verdict import BatchVerdict, CheckOutcome, Finding

BATCH = "ab" * 32
WORDS = ("we", "meet", "at", "noon", "please", "call", "me", "back", "about", "the", "prize", "you", "won", "today")
SECTIONS: Mapping[str, dict[str, Any]] = {
    "pictures": {
        "reader": "image_folder",
        "classes": ["cat", "dog"],
        "image": {"height": 32, "width": 32, "channels": 3},
    },
    "rows": {
        "reader": "table",
        "classes": ["yes", "no"],
        "table": {"target": "kind", "columns": ["a", "b", "mode"], "categories": {"mode": ["x", "y"]}},
    },
    "texts": {"reader": "text", "classes": ["ham", "spam"], "text": {}},
    "sounds": {"reader": "audio_folder", "classes": ["yes", "no"], "audio": {"rate": 8000, "seconds": 0.5}},
}


def make_line(kind: str, data: Mapping[str, Any] = {}, **more: Any) -> Line:
    return parse_line(kind, {"data": {**SECTIONS[kind], **data}, **more}, "test")


def picture(generator: np.random.Generator, label: str, size: int = 128, shift: float = 0) -> bytes:
    """A JPEG: a blob for a cat, stripes for a dog."""
    y, x = np.mgrid[:size, :size]
    center = generator.integers(size // 4, size - size // 4, 2)
    shape = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (size * 6))
    if label != "cat":
        shape = ((x + y + center[0]) // 12 % 2) * 0.7
    colour = generator.uniform(0.4, 1, 3)
    pixels = (shape[..., None] * colour * 200 + generator.normal(30, 8, (size, size, 1)) + shift).clip(0, 255)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def sound(generator: np.random.Generator) -> bytes:
    """Half a second of a fading tone as 16-bit WAV."""
    time = np.arange(4000) / 8000
    values = np.sin(2 * np.pi * generator.uniform(200, 900) * time) * np.exp(-time * generator.uniform(2, 9)) * 0.9
    body = (values * 32767).astype("<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16,
                       b"data", len(body))  # fmt: skip
    return head + body


def record(kind: str, number: int, generator: np.random.Generator, label: str, shift: float = 0, **more: Any) -> Record:
    """One record of a kind; `shift` moves its brightness or its column a."""
    identity = f"{number:064x}"
    splits = {"split": "train" if number % 4 else "test"}
    if kind == "pictures":
        facts = {"width": 128.0, "height": 128.0, "mode": "RGB", "format": "JPEG"}
        facts |= {"brightness": float(generator.normal(90 + shift, 12)), "contrast": float(generator.normal(50, 8))}
        facts |= {"sharpness": float(generator.lognormal(5, 1)), "entropy": float(generator.normal(6, 0.4))}
        content, file = picture(generator, label, shift=shift), f"train/{label}/{number}.jpg"
        vector = generator.normal(0, 1, 16).astype(np.float32) + np.float32(shift / 10)
        return Record(identity, label, **splits, file=file, input=content, facts=facts, embedding=vector, **more)
    if kind == "sounds":
        facts = {"rate": 8000.0, "channels": 1.0, "seconds": 0.5, "loudness": float(generator.normal(-20, 3))}
        facts |= {"peak": 0.9, "clipped": 0.0, "silent": float(generator.random() / 10)}
        return Record(
            identity, label, **splits, file=f"{label}/{number}.wav", input=sound(generator), facts=facts, **more
        )
    if kind == "texts":
        words = generator.choice(
            [
                "we",
                "meet",
                "at",
                "noon",
                "please",
                "call",
                "me",
                "back",
                "about",
                "the",
                "prize",
                "you",
                "won",
                "today",
            ],
            14,
        )
        text = " ".join(words)
        facts = {"chars": float(len(text)), "words": 14.0, "letters": 1.0, "text": text}
        return Record(identity, label, **splits, file=f"sms.tsv#{number + 1}", input=text.encode(), facts=facts, **more)
    facts = {"a": float(generator.normal(20 + shift, 3)), "b": float(generator.lognormal(0, 2))}
    facts["mode"] = str(generator.choice(["x", "y"], p=[0.8, 0.2]))
    return Record(identity, label, **splits, file=f"data.csv#{number + 2}", input=b"\0" * 24, facts=facts, **more)


@dataclass
class Batch:
    """A batch to be reported; change what is different from a sound one, then `contents()`."""

    line: Line
    kind: str
    records: list[Record]
    folder: Path
    broken: dict[str, list[int]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    errored: dict[str, str] = field(default_factory=dict)
    extra: tuple[CheckOutcome, ...] = ()
    findings: tuple[Finding, ...] = ()
    derived: dict[str, Sparse] = field(default_factory=dict)
    refused: tuple[Reason, ...] = ()
    ignored: tuple[Reason, ...] = ()
    blocked: tuple[str, ...] = ()
    reference: Profile | None = None
    raw: tuple[Mapping[str, Any], ...] = ()
    other_input: Callable[[Finding], bytes | None] | None = None
    spool: Spool | None = None

    def contents(self) -> ReportData:
        """As the judge would hand it over."""
        data = self.line.config.data
        if self.spool is None:
            self.spool = Spool(self.folder, chunk_schema(data))
            for start in range(0, len(self.records), 500):
                self.spool.append(to_table(self.records[start : start + 500], self.spool.schema))
            self.spool.finish()
        rules = tuple(rules_of(self.line.config))
        names = [rule.name for rule in rules]
        assert {*self.broken, *self.notes, *self.errored} <= set(names)
        broken = np.full(self.spool.rows, GOOD, dtype=np.int16)
        for name, rows in self.broken.items():
            broken[rows] = names.index(name)
        checks = [*self.extra]
        for rule in rules:
            outcome, detail = "passed", rule.description
            if rule.name in self.broken:
                outcome = "failed"
                detail = f"{len(self.broken[rule.name]):,} of {len(broken):,} records. {rule.description}"
            if rule.name in self.notes:
                outcome, detail = "failed", self.notes[rule.name]
            if rule.name in self.errored:
                outcome, detail = "errored", f"the check itself broke: {self.errored[rule.name]}"
            checks.append(CheckOutcome(rule.name, outcome, rule.severity, detail))  # type: ignore[arg-type]
        decision = Decision(broken, rules, tuple(checks), self.blocked)
        good = len(decision.good)
        accepted = 0 if self.blocked else good
        aside = self.spool.rows - accepted
        why = f"{accepted:,} of {self.spool.rows + len(self.refused):,} records accepted, {aside:,} quarantined."
        verdict = BatchVerdict(
            self.line.name, BATCH, "blocked" if self.blocked else "accepted",
            f"Blocked: {'; '.join(self.blocked)}." if self.blocked else why,
            self.spool.rows + len(self.refused), accepted, aside, len(self.refused), self.refused, tuple(checks),
            f"reports/{self.line.name}/{BATCH}/index.html", 1.25, new=accepted,
        )  # fmt: skip
        profile = make_profile(self.spool, data, decision.good, self.reference)
        drift = compare(profile, self.reference, self.line.config.quality.drift) if self.reference else None
        more = {"other_input": self.other_input} if self.other_input else {}
        return ReportData(
            verdict, self.line, self.spool, self.derived, decision, self.refused, self.findings, profile,
            self.reference, drift, self.ignored, len(self.ignored), self.raw, **more,
        )  # fmt: skip


MakeBatch = Callable[..., Batch]


@pytest.fixture
def make_batch(tmp_path: Path) -> Iterator[MakeBatch]:
    """Makes a sound batch of a kind; `before` records make the profile of accepted data."""
    made = 0

    def call(kind: str, count: int = 60, before: int = 0, shift: float = 0, line: Line | None = None) -> Batch:
        nonlocal made
        made += 1
        chosen = line or make_line(kind)
        generator = np.random.default_rng(made)
        classes: Sequence[str] = chosen.config.data.classes
        reference = None
        if before:
            with Spool(tmp_path / f"before{made}", chunk_schema(chosen.config.data)) as spool:
                old = [record(kind, at, generator, classes[at % 2]) for at in range(before)]
                spool.append(to_table(old, spool.schema))
                spool.finish()
                reference = make_profile(spool, chosen.config.data, np.arange(before))
        records = [record(kind, at, generator, classes[at % 2], shift) for at in range(count)]
        return Batch(chosen, kind, records, tmp_path / f"spool{made}", reference=reference)

    yield call
