"""Small made rows in the formats of the SMS Spam Collection (TSV) and of AI4I 2020 (CSV)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

OPENINGS = ("Hey", "Hi", "Ok", "Sorry", "Well", "So", "Yeah", "Listen", "Morning", "Oh")
WHO = ("mum", "Anna", "the others", "my brother", "your sister", "we", "Tom", "the neighbours", "grandma", "the team")
DOES = ("will come", "cannot come", "wants to talk", "is waiting", "has left", "is asleep", "got lost", "is hungry")
WHEN = ("tonight", "after work", "tomorrow", "at seven", "on Sunday", "in an hour", "after lunch", "next week")
WHERE = ("at home", "near the station", "in the garden", "at the office", "by the river", "in town", "upstairs")
PRIZES = ("a free phone", "a cash prize", "two tickets", "a holiday", "free minutes", "a gift card", "a new camera")
CALLS = ("Call now", "Text WIN", "Reply YES", "Claim today", "Send STOP to end", "Ring us urgently", "Click to claim")
NEWS = ("You have won", "Congratulations, you were chosen for", "Final notice about", "Urgent! Collect", "Claim")
PRICES = ("150p per message", "only 10p a minute", "no cost to you", "offer ends today", "terms apply", "over 18 only")
HEADER = (
    "UDI,Product ID,Type,Air temperature [K],Process temperature [K],Rotational speed [rpm],Torque [Nm],"
    "Tool wear [min],Machine failure,TWF,HDF,PWF,OSF,RNF"
)


def write_messages(folder: Path) -> None:
    """`SMSSpamCollection`: 700 lines of label, tab, text, no header; 30 % spam, no two alike."""
    draw = np.random.default_rng(21)
    ham = _sentences(draw, (OPENINGS, WHO, DOES, WHERE, WHEN), 490)
    spam = _sentences(draw, (NEWS, PRIZES, CALLS, PRICES, WHEN), 210)
    rows = [f"ham\t{text}\n" for text in ham] + [f"spam\t{text}\n" for text in spam]
    order = draw.permutation(len(rows))
    (folder / "SMSSpamCollection").write_text("".join(rows[row] for row in order), encoding="utf-8", newline="")


def _sentences(draw: np.random.Generator, parts: tuple[tuple[str, ...], ...], count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        words = [part[draw.integers(len(part))] for part in parts]
        found[f"{words[0]} {words[1]} {words[2]}, {words[3]} {words[4]}."] = None
    return list(found)


def write_machines(folder: Path) -> None:
    """`ai4i2020.csv`: 1,200 machines with failures by heat, power and overstrain, as AI4I's rules have them.

    The rules are those of S. Matzka, "Explainable Artificial Intelligence for Predictive Maintenance Applications",
    AI4I 2020, with wider spreads, so that about one machine in eight fails.
    """
    draw, count = np.random.default_rng(22), 1200
    kinds = draw.choice(3, count, p=(0.6, 0.3, 0.1))
    air = draw.normal(300, 2, count).round(1)
    process = (air + draw.normal(9.6, 1.2, count)).round(1)
    torque = np.clip(draw.normal(40, 14, count), 4, 80).round(1)
    speed = np.clip(62_000 / torque + draw.normal(0, 120, count), 1150, 2900).round()
    wear = draw.integers(0, 250, count)
    heat = (process - air < 8.6) & (speed < 1380)
    power = torque * speed * 2 * np.pi / 60
    powerless = (power < 3500) | (power > 9000)
    strain = wear * torque > np.array([11_000, 12_000, 13_000])[kinds]
    columns = np.column_stack([speed, torque, wear])
    with (folder / "ai4i2020.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(HEADER.split(","))
        for row in range(count):
            kind = "LMH"[kinds[row]]
            modes = [0, int(heat[row]), int(powerless[row]), int(strain[row]), 0]
            rest = [f"{columns[row, 0]:.0f}", f"{columns[row, 1]:.1f}", f"{columns[row, 2]:.0f}"]
            first = [row + 1, f"{kind}{10_000 + row}", kind, f"{air[row]:.1f}", f"{process[row]:.1f}"]
            table.writerow([*first, *rest, int(any(modes)), *modes])
