"""Random tables, written in every form and read back through reader and door: differences are counted, none is due."""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import Any

from tests.test_round_trip import differences
from tests.written_tables import random_plan, write_table

TABLES = 10_000


def measure() -> list[dict[str, Any]]:
    """Tables, records and differences of each form."""
    tables: Counter[str] = Counter()
    records: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for seed in range(TABLES):
        random = Random(seed)
        plan = random_plan(random)
        written = write_table(plan, random)
        started = time.process_time()
        wrong[plan.form] += len(differences(written))
        seconds[plan.form] += time.process_time() - started
        tables[plan.form] += 1
        records[plan.form] += len(written.records)
    return [
        {
            "form": form,
            "tables": tables[form],
            "records": records[form],
            "differences": wrong[form],
            "seconds": seconds[form],
        }
        for form in sorted(tables)
    ]
