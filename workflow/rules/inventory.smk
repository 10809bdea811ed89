# Needs every file from outside, downloaded, simulated or local; read after the rules that ask for
# them. Makes results/sources: which bytes the run rests on, from where, under which licence.
INVENTORY = dict(sorted(FILES_FROM_OUTSIDE.items()))


rule inventory:
    """Compare every file with its checksum once more, and say under which terms it may be used."""
    input:
        catalogue=config["tables"]["sources"],
        files=list(INVENTORY.values()),
    output:
        "<results>/sources/inventory.parquet",
    log:
        "<logs>/sources/inventory.log",
    benchmark:
        "<benchmarks>/sources/inventory.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        files=lambda wildcards, input: as_json(dict(zip(INVENTORY, input.files))),
        lock=config["sources"]["lock"],
        simulated="--simulated" if config["sources"]["mode"] == "simulate" else "",
    shell:
        "python -m bulkformer.sources.inventory --catalogue {input.catalogue}"
        " --files {params.files:q} --lock {params.lock:q} {params.simulated}"
        " --output {output} > {log} 2>&1"
