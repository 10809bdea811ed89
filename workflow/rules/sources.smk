# Needs only the sources table. Makes <resources>/{source}/{file}: the public files, whole and
# checked, or a link to a file that is already on disk.
include: "sources_lookup.smk"


FOLDERS = {"resources": "resources", "results": "results"} | config.get("pathvars", {})
PLAN = f"{FOLDERS['results']}/sources/plan.json"
PLAN_OPTIONS = flags(
    {
        "table": config["tables"]["sources"],
        "settings": as_json(config["sources"]),
        "resources": FOLDERS["resources"],
        "output": PLAN,
    }
)


localrules:
    download,
    by_hand,


# Nothing is fetched before a person can see what will come and what is theirs to do. It is no rule,
# because a plan that has to be made anew must not make Snakemake fetch a file again.
onstart:
    needed = flags({"needed": public_files_of_run()})
    shell("python -m bulkformer.sources.plan {PLAN_OPTIONS} {needed}")


rule download:
    # Compute nodes often have no internet: downloads run where Snakemake runs. The table is ancient
    # because editing an address or a licence must not fetch a file again; what makes it another
    # file stands in its identity.
    """Fetch one public file so that no later stage needs the network."""
    input:
        table=ancient(config["tables"]["sources"]),
        samples=series_table,
    output:
        "<resources>/{entry}",
    log:
        "<logs>/sources/{entry}.log",
    benchmark:
        "<benchmarks>/sources/{entry}.jsonl"
    wildcard_constraints:
        entry=entries(by_a_person=False),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=720,
        download=1,
    params:
        plan=PLAN,
        identity=file_identity,
        series=series_flags,
    shell:
        "python -m bulkformer.sources.obtain --table {input.table} --plan {params.plan}"
        " --name {wildcards.entry} {params.identity} {params.series} --output {output} > {log} 2>&1"


# What only a person can bring fails in a moment if it is not there. So it goes first, and holds all
# slots for downloads while it does: no long transfer begins that would have been for nothing.
use rule download as by_hand with:
    wildcard_constraints:
        entry=entries(by_a_person=True),
    priority: 100
    resources:
        mem_mb=1000,
        runtime=720,
        download=1000,
