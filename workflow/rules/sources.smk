# Needs nothing but the sources table. Makes <resources>/{source}/{file}: the public files, whole and
# checked, or a link to a file that is already on disk.


localrules:
    download,


rule download:
    # Compute nodes often have no internet: downloads run where Snakemake runs.
    """Fetch one public file so that no later stage needs the network."""
    output:
        "<resources>/{source}/{file}",
    log:
        "<logs>/sources/{source}/{file}.log",
    benchmark:
        "<benchmarks>/sources/{source}/{file}.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=720,
        download=1,
    params:
        entry=lambda wildcards: flags(
            {
                key: value
                for key, value in SOURCES[wildcards.source, wildcards.file].items()
                if key in ["url", "mirror", "bytes", "checksum", "acquired", "instruction"]
                and value
            }
        ),
        offline="--offline" if config["sources"]["offline"] else "",
    shell:
        "python -m bulkformer.sources.download {params.entry} {params.offline}"
        " --output {output} > {log} 2>&1"
