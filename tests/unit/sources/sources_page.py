"""The table of sources and of the checks on them: `python tests/unit/sources/sources_page.py`.

It writes docs/sources_matrix.md; a test keeps that page fresh.
"""

from pathlib import Path

from source_coverage import COVERAGE

from bulkformer.sources.catalogue import Source, read_catalogue

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/sources_matrix.md"
FAILURES = ["cut connection", "wrong checksum", "HTML page", "404", "503"]


def matrix(kinds: dict[str, int]) -> str:
    """Return the page; `kinds` says on how many kinds of files of a source failures are tried."""
    lines = [
        "# Sources and the checks on them",
        "",
        "Made by `python tests/unit/sources/sources_page.py`; a test keeps it fresh.",
        "In the last columns, a local server plays the provider of so many kinds of files (ending, "
        "listing, mirror, by hand): a cut connection is resumed, a wrong checksum refused, a page "
        "of HTML with status 200 refused, 404 named or answered by the mirror, 503 tried again.",
        "",
        f"| source | format parsed | traps covered | {' | '.join(FAILURES)} |",
        "|---|---|---|" + "---|" * len(FAILURES),
    ]
    for source, number in kinds.items():
        covered = COVERAGE[source]
        traps = "; ".join(f"✓ {trap}" for trap in covered.traps) or "—"
        lines.append(
            f"| `{source}` | ✓ {_short(covered.parsed)} | {traps} | "
            + f"✓ {number} | " * len(FAILURES)
        )
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _short(test: str) -> str:
    file, name = test.split("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../tests/unit/{file})"


def kinds_of_files() -> dict[str, int]:
    """Return {source: kinds of its files}, in the order of the sources table."""
    numbers: dict[str, int] = {}
    for row in one_of_each_kind():
        numbers[row.source] = numbers.get(row.source, 0) + 1
    return numbers


def one_of_each_kind() -> list[Source]:
    """Return the first row of each source, ending and set of addresses; none: by hand."""
    kinds = {}
    for row in read_catalogue(ROOT / "config/sources.tsv"):
        ending = "".join(Path(row.file).suffixes[-2:])
        kind = (row.source, ending, row.listing, bool(row.url), bool(row.mirror))
        kinds.setdefault(kind, row)
    return list(kinds.values())


if __name__ == "__main__":
    PAGE.write_text(matrix(kinds_of_files()))
