"""A Markdown table, printed and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """``rows`` as Markdown."""
    cells = [list(rows[0]), *([str(v) for v in row.values()] for row in rows)]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join([*lines, ""])


def write_table(path: Path, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print ``rows`` and write them to ``path``."""
    text = f"# {title}\n\n{table(rows)}"
    print(text)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
