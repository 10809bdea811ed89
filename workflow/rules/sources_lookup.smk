# What the rules in sources.smk look up in the sources table; included there, because a simulated
# universe downloads nothing.
import re


def only_by_a_person(row):
    """Whether somebody has to bring this file, or accept its licence, before it can be had."""
    accepted = row["accept"] != "yes" or row["source"] in config["sources"]["accept_licence"]
    return not accepted or not (row["url"] or row["listing"])


def entries(by_a_person):
    """A pattern for the names of the files that are, or are not, to be brought by a person."""
    names = ["/".join(key) for key, row in SOURCES.items() if only_by_a_person(row) == by_a_person]
    return "|".join(map(re.escape, names)) or "(?!)"


def source_of(wildcards):
    """The row of the sources table that a download is for."""
    source, file = wildcards.entry.split("/")
    return SOURCES[source, file]


def file_identity(wildcards):
    """What makes it another file; nothing else of its row may cause another download."""
    row = source_of(wildcards)
    return flags({key: row[key] for key in ["version", "bytes", "checksum"] if row[key]})


def series_table(wildcards):
    """The sample table whose series a file of NCBI counts holds: that of the cohort it is for."""
    if not source_of(wildcards)["listing"].startswith("ncbi "):
        return []
    return [
        resource(row["samples"])
        for row in COHORTS.values()
        if row["expression"] == wildcards.entry and row["samples"]
    ][:1]


def series_flags(wildcards, input):
    """How the step finds the series in that table."""
    if not input.samples:
        return ""
    columns = [r["sample_columns"] for r in COHORTS.values() if r["expression"] == wildcards.entry]
    return (
        f"--samples {input.samples} {flags({'sample_columns': columns[0]} if columns[0] else {})}"
    )
