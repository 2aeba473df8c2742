# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks measured: rows, each with its figures and a target for one of them, printed as one table a group."""
from dataclasses import asdict, dataclass, field


@dataclass
class Row:
    group: str                   # the table that it stands in, which says what is measured, and in which unit
    name: str
    figures: dict                # of this row, in the order of the table's columns
    key: str = ""                # the figure that has a target
    target: float = 0
    at_most: bool = False        # the target is the most that it may be; else the least
    rounds: dict = field(default_factory=dict)  # what was measured in every round

    def missed(self):
        value = self.figures.get(self.key)
        return bool(self.key) and (value > self.target if self.at_most else value < self.target)

    def as_json(self):
        return {**asdict(self), "missed": self.missed()}


def shown(value):
    if isinstance(value, str):
        return value
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}"


def print_group(group, rows):
    width = max(len(group), *(len(r.name) for r in rows)) + 2
    columns = [k for k in dict.fromkeys(k for r in rows for k in r.figures)]
    sizes = [max(len(c), 8) + 2 for c in columns]
    print(f"\n{group:<{width}}" + "".join(f"{c:>{s}}" for c, s in zip(columns, sizes)) + f"{'target':>10}")
    for row in rows:
        cells = [shown(row.figures[c]) if c in row.figures else "" for c in columns]
        target = f"{'<= ' if row.at_most else '>= '}{shown(row.target)}" if row.key else ""
        print(f"{row.name:<{width}}" + "".join(f"{c:>{s}}" for c, s in zip(cells, sizes)) + f"{target:>10}{'  missed' if row.missed() else ''}")


def print_tables(rows):
    for group in dict.fromkeys(r.group for r in rows):
        print_group(group, [r for r in rows if r.group == group])
