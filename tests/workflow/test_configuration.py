"""A typo in the config or in a table stops the run, naming the place."""

import re
import shutil

import pytest
import yaml

from checkout import copy_project, snakemake

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def original(root, tmp_path_factory):
    return copy_project(root, tmp_path_factory.mktemp("configuration") / "project")


@pytest.fixture
def project(original, tmp_path):
    return shutil.copytree(original, tmp_path / "project")


def plan(project):
    return snakemake(project, "--profile", "profiles/demo", "--dry-run", "--quiet")


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "names"),
    [
        ("config/config.yaml", "neighbours: 20", "neighbors: 20", ["neighbors"]),
        ("config/config.yaml", "seed: 42", "seed: forty-two", ["forty-two"]),
        ("config/config.yaml", "mask_fraction: 0.15", "mask_fraction: 15", ["15"]),
        ("config/config.yaml", "graph: coexpression", "graph: coexpresion", ["coexpresion"]),
        ("config/config.yaml", "cohorts: [archs4]", "cohorts: [archs5]", ["archs5", "archs4"]),
        ("config/cohorts.tsv", "\tensembl\t", "\tensemble\t", ["cohorts.tsv, line 2", "ensemble"]),
        ("config/cohorts.tsv", "gtex\tgct", "tcga\tgct", ["cohorts.tsv, line 4", "tcga", "twice"]),
        ("config/cohorts.tsv", "archs4\tarchs4\t", "archs4\t", ["cohorts.tsv, line 2", "columns"]),
        ("config/models.tsv", "\tclassical\t", "\tclasical\t", ["models.tsv, line 7", "clasical"]),
        ("config/sources.tsv", "\tautomatic\t", "\tautomatc\t", ["sources.tsv", "automatc"]),
        ("config/cohorts.tsv", "gdc/star_counts.tar", "$NOWHERE/x.tar", ["$NOWHERE"]),
    ],
)
def test_a_typo_stops_the_run_and_is_named(project, file, old, new, names):
    replace(project / file, old, new)
    run = plan(project)
    assert run.returncode != 0
    for name in names:
        assert name in run.stdout


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("training: {mask_fraction: [0.4, 0.1]}", "write the lower share first"),
        ("model: {dim: 36, heads: 8}", "must divide dim"),
        ("model: {layers: null}", "layers must be given"),
        ("mode: released", "a simulated universe has none"),
    ],
)
def test_settings_that_contradict_each_other_stop_the_run(project, overlay, message):
    (project / "mine.yaml").write_text(f"pretrain: {{{overlay}}}")
    run = snakemake(
        project, "--profile", "profiles/demo", "--dry-run", "--configfile",
        "config/config.yaml", "config/demo.yaml", "mine.yaml",
    )  # fmt: skip
    assert run.returncode != 0
    assert message in run.stdout


def keys(schema, prefix=""):
    """Yield every dotted key of a schema."""
    for name, part in schema.get("properties", {}).items():
        yield prefix + name, part
        yield from keys(part, f"{prefix}{name}.")
        if "items" in part:
            yield from keys(part["items"], f"{prefix}{name}.")


def test_every_key_has_a_description_and_stands_in_the_config_readme(root):
    schema = yaml.safe_load((root / "workflow/schemas/config.schema.yaml").read_text())
    text = (root / "config/README.md").read_text()
    for key, part in keys(schema):
        assert part.get("description"), key
        if "properties" not in part:
            assert f"`{key}`" in text, f"{key} is not explained in config/README.md"


def value_rows(readme):
    """Yield key, cell of the paper-scale value and cell of the demo's value of each key table."""
    header = None
    for line in readme.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            header = None
        elif cells[0] == "key":
            header = cells
            assert header[3:] in (
                ["`config.yaml`", "`demo.yaml`"],
                ["schema default", "`demo.yaml`"],
            )
        elif header and cells[0].startswith("`"):
            assert len(cells) == len(header), line
            yield header[3], cells[0].strip("`"), cells[3], cells[4]


def look_up(settings, key):
    """Return the value of a dotted key, of the first entry in a list, or None without one."""
    for part in key.split("."):
        settings = settings[0] if isinstance(settings, list) else settings
        if not isinstance(settings, dict) or part not in settings:
            return None
        settings = settings[part]
    return settings


def written(cell):
    return yaml.safe_load(cell.strip("`"))


def test_the_config_readme_gives_the_values_of_the_config_and_of_the_demo(root):
    schema = dict(keys(yaml.safe_load((root / "workflow/schemas/config.schema.yaml").read_text())))
    paper = yaml.safe_load((root / "config/config.yaml").read_text())
    demo = yaml.safe_load((root / "config/demo.yaml").read_text())
    rows = list(value_rows((root / "config/README.md").read_text()))
    leaves = {key for key, part in schema.items() if "properties" not in part}
    assert leaves == {key for _, key, _, _ in rows}
    for source, key, paper_cell, demo_cell in rows:
        value = look_up(paper, key)
        if source == "schema default":
            value = schema[key]["default"]
        elif value is None and paper_cell.startswith("not set: "):
            value, paper_cell = schema[key]["default"], paper_cell.removeprefix("not set: ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            value, paper_cell = len(value), paper_cell.removesuffix(" entries")
        assert written(paper_cell) == value, f"{key} in config.yaml"
        value = look_up(demo, key)
        if value is None and demo_cell.startswith("e.g. "):
            continue
        assert written(demo_cell) == value, f"{key} in demo.yaml"


@pytest.mark.parametrize("table", ["sources", "cohorts", "models"])
def test_every_column_of_a_table_stands_in_the_config_readme(root, table):
    schema = yaml.safe_load((root / f"workflow/schemas/{table}.schema.yaml").read_text())
    header = (root / f"config/{table}.tsv").read_text().splitlines()[0].split("\t")
    assert header == schema["required"]
    text = (root / "config/README.md").read_text()
    for column in header:
        assert f"`{column}`" in text, f"{table}.{column}"


def objects(schema):
    """Yield every object of a schema."""
    if schema.get("type") == "object":
        yield schema
    for part in schema.get("properties", {}).values():
        yield from objects(part)
    if "items" in schema:
        yield from objects(schema["items"])


@pytest.mark.parametrize("name", ["config", "sources", "cohorts", "models"])
def test_no_schema_lets_an_unknown_key_pass(root, name):
    schema = yaml.safe_load((root / f"workflow/schemas/{name}.schema.yaml").read_text())
    for part in objects(schema):
        assert part.get("additionalProperties") is False, part.get("description")


def pins(text):
    """Return {package: version} of conda (=) and pip (==) pins."""
    return dict(re.findall(r"^\s*-?\s*\"?([A-Za-z0-9_-]+)==?([0-9][0-9.]*)", text, re.MULTILINE))


@pytest.mark.parametrize(
    "file", ["environment.yml", "envs/core.yaml", "envs/torch.yaml", "envs/report.yaml"]
)
def test_conda_environments_have_the_pins_of_pip(root, file):
    wanted = pins((root / "pyproject.toml").read_text())
    conda_names = {"matplotlib-base": "matplotlib", "snakemake-minimal": "snakemake"}
    found = {conda_names.get(k, k): v for k, v in pins((root / file).read_text()).items()}
    found.pop("python")
    assert found
    assert found == {name: wanted[name] for name in found}
    if file == "environment.yml":
        product = (root / "pyproject.toml").read_text().split("optional-dependencies")[0]
        assert set(pins(product)) == set(found)
