# Loads, validates and looks up; computes nothing, because every cluster job reads it again.
import csv
import json
import os
import shlex
from difflib import get_close_matches
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate


def check(content, schema, where):
    """Stop with one line that says where `content` breaks `schema`, and what was probably meant."""
    path = Path(workflow.basedir) / "schemas" / f"{schema}.schema.yaml"
    wanted = yaml.safe_load(path.read_text())
    error = best_match(Draft202012Validator(wanted).iter_errors(content))
    if error is None:
        return
    place = ".".join(map(str, error.absolute_path))
    hint = ""
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(key for key in error.instance if key not in known)
        meant = get_close_matches(unknown, known, n=1)
        hint = f"; did you mean '{meant[0]}'?" if meant else f"; known are {', '.join(known)}"
    raise WorkflowError(f"{where}{place and f', {place}'}: {error.message}{hint}")


check(config, "config", "the configuration")
# A section that is null is left out, and has no place for the defaults that are filled in next.
config["evaluate"] = {key: value for key, value in config["evaluate"].items() if value is not None}
validate(config, "../schemas/config.schema.yaml")

# A prefix of one's own replaces Snakemake's, which has these options.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(Path(workflow.basedir) / 'lib'))}; "
)

# Keys of expression.corpus: how alike two profiles must be, in one cohort and in two.
DUPLICATE_CORRELATIONS = ["duplicate_correlation", "duplicate_correlation_across"]
PROTOCOLS = ["legacy", "strict"]
CONTROLS = ["random", "degree_matched"]
GRAPHS = ["coexpression", "string", "union", "gene_ontology", *CONTROLS]


def read_table(table, key):
    """Read a tab-separated table of the config and validate it row by row; {key: row}."""
    path = config["tables"][table]
    rows = {}
    with open(path, newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        for number, row in enumerate(reader, start=2):
            where = f"{path}, line {number}"
            if None in row or None in row.values():
                raise WorkflowError(
                    f"{where}: not as many columns as the header's {len(reader.fieldnames)}; "
                    "columns are separated by one tab"
                )
            check(row, table, where)
            identity = tuple(row[column] for column in key)
            identity = identity if len(key) > 1 else identity[0]
            if identity in rows:
                raise WorkflowError(f"{where}: {identity} stands twice; keep one row")
            rows[identity] = row
    return rows


SOURCES = read_table("sources", ["source", "file"])
COHORTS = read_table("cohorts", ["cohort"])
MODELS = read_table("models", ["model"])


include: "tasks_lookup.smk"


def look_up(table, name, place):
    """Return the row of `name`; stop with the config key that asked for it if there is none."""
    if name not in table:
        raise WorkflowError(f"{place}: '{name}' is unknown; known are {', '.join(map(str, table))}")
    return table[name]


# What rules asked `resource` for: every file from outside that this run reads, and where it is.
FILES_FROM_OUTSIDE = {}


def located(path):
    """A 'source/file' of the sources table is fetched to <resources>; anything else is a path."""
    if tuple(path.split("/")) in SOURCES:
        return f"<resources>/{path}"
    found = os.path.expandvars(path)
    if "$" in found:
        raise WorkflowError(f"'{path}': set this environment variable, or write the path itself")
    return found


def resource(path):
    """Where a file from outside is, and a note that this run rests on it."""
    FILES_FROM_OUTSIDE[path] = located(path)
    return FILES_FROM_OUTSIDE[path]


def public_files_of_run():
    """Those files of the sources table that rules asked for; complete once all rules are read."""
    return sorted(path for path in FILES_FROM_OUTSIDE if tuple(path.split("/")) in SOURCES)


def check_on_disk(path, where):
    """Stop before anything runs if a file of the user is not where the table says."""
    if path and not located(path).startswith("<") and not os.path.exists(located(path)):
        raise WorkflowError(
            f"{where}: {located(path)} does not exist; correct the path, or name a 'source/file' "
            f"of {config['tables']['sources']}"
        )


def files_in(settings):
    """Yield every file that a part of the config names: of the sources table, or on disk."""
    if isinstance(settings, dict | list):
        for part in settings.values() if isinstance(settings, dict) else settings:
            yield from files_in(part)
    elif isinstance(settings, str) and "/" in settings:
        if tuple(settings.split("/")) in SOURCES or os.path.isfile(os.path.expandvars(settings)):
            yield settings


def flags(settings):
    """Spell a config section as options: {'top_genes': 5} -> --top-genes 5.

    Sorted, so that the order in which config files were merged changes no command.
    """
    words = []
    for name, value in sorted(settings.items()):
        for item in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}", shlex.quote(str(item))]
    return " ".join(words)


def as_json(settings):
    return json.dumps(settings, sort_keys=True)


def run_folder(file):
    return f"<results>/pretrain/{config['pretrain']['run']}/{file}"


def of_corpus(file):
    """A file of every cohort of the corpus, in the order in which the config names them."""
    cohorts = config["expression"]["corpus"]["cohorts"]
    return collect(f"<results>/expression/{{cohort}}/{file}", cohort=cohorts)


def scanned_cohorts(cohorts):
    """Those of `cohorts` that are looked up in the corpus, because they are not part of it."""
    return [name for name in cohorts if name not in config["expression"]["corpus"]["cohorts"]]


def gene_ontology_files():
    """The files that the gene_ontology graph is made from, by option; its format says which."""
    settings = config["graph"]["gene_ontology"]
    wanted = ["gene_sets"] if settings["format"] == "gmt" else ["ontology", "associations"]
    files = {}
    for key in wanted:
        if not settings[key]:
            raise WorkflowError(
                f"graph.gene_ontology.{key}: the format {settings['format']} needs it"
            )
        paths = settings[key] if key == "gene_sets" else [settings[key]]
        files[key] = [resource(path) for path in paths]
    return files


def controlled_graph():
    """The graph that the controls resemble: by default the one that the model convolves over."""
    graph = config["graph"]["controls"]["of"] or config["pretrain"]["graph"]
    if graph in CONTROLS:
        raise WorkflowError(
            f"graph.controls.of: pretrain.graph is the control '{graph}'; say which graph it controls"
        )
    return graph


def uses_gpu(model):
    """1 for a network, trained or not, that takes a GPU where there is one."""
    return int(MODELS[model]["embedder"] in ["bulkformer", "vae", "autoencoder"])


def weights(model):
    """The files that hold what a model has learned; empty for one that learns nothing."""
    row = MODELS[model]
    if row["embedder"] == "bulkformer":
        folder = released_folder if row["weights"] == "released" else run_folder
        return [folder(name) for name in ["model.safetensors", "config.json", "graph.parquet"]]
    if row["weights"] == "fitted":
        return [f"<results>/embed/{model}/fit.safetensors"]
    return []


def weights_flag(wildcards, input):
    """Where the weights are: the run folder, or the fitted file."""
    files = list(input.weights)
    if not files:
        return ""
    place = Path(files[0])
    return f"--weights {place.parent if place.name == 'model.safetensors' else place}"


def recoveries():
    """Only a simulated universe knows which edges are true."""
    if config["sources"]["mode"] != "simulate":
        return []
    return collect("<results>/graph/{graph}.recovery.json", graph=GRAPHS)


for cohort in all_cohorts():
    look_up(COHORTS, cohort, "config: a cohort of expression or evaluate")
    for column in ["expression", "samples"]:
        place = f"{config['tables']['cohorts']}, cohort {cohort}, {column}"
        check_on_disk(COHORTS[cohort][column], place)
        if COHORTS[cohort][column]:
            resource(COHORTS[cohort][column])


wildcard_constraints:
    source="[a-z0-9_]+",
    file="[^/]+",
    cohort="[a-z0-9_]+",
    model="[a-z0-9_]+",
    graph="[a-z0-9_]+",
    task="[a-z_]+",
    protocol="|".join(PROTOCOLS),
