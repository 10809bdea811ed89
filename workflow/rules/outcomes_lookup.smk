# What the rules of outcomes.smk ask the configuration; functions, and therefore in a file of their own.


def outcomes_in_use():
    """The parts of config.outcomes that the tables asked for are made from."""
    tables = set(config["outcomes"]["tables"])
    if "prognosis" in TASKS:
        tables |= {"survival", *(["clinical"] if clinical_table() else [])}
    used = tables - {"drugs"}
    if tables & {"drugs", "response"}:
        used.add("response")
    if tables & {"response", "dependency"}:
        used.add("cell_lines")
    return used


def outcome_files(table, *keys):
    """The files that a part of config.outcomes names under `keys`; a key of null names none."""
    named = [config["outcomes"][table].get(key) for key in keys]
    named = [path for part in named for path in (part if isinstance(part, list) else [part])]
    named = list(filter(None, named))
    if table not in outcomes_in_use():
        # The run does not rest on them: they are neither looked for nor listed.
        return [located(path) for path in named]
    for path in named:
        check_on_disk(path, f"config, outcomes.{table}")
    return [resource(path) for path in named]


def licences_of(table):
    """Options that tell the summary of an outcome under which terms its sources stand."""
    used = set(files_in(config["outcomes"][table]))
    rows = [row for key, row in SOURCES.items() if "/".join(key) in used]
    terms = {f"{row['source']}: {row['licence']}" for row in rows}
    return flags({"licence": sorted(terms)})
