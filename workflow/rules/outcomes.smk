# Needs the files of the sources stage and the gene axis. Makes one table for each kind of outcome
# that benchmarks predict, whichever provider it came from, and a summary of what became of its rows.
include: "outcomes_lookup.smk"


OUTCOMES = config["outcomes"]
OUTCOME_TABLES = OUTCOMES["tables"]


rule survival:
    """Say who was followed for how long, with each endpoint in rows of its own."""
    input:
        table=outcome_files("survival", "table"),
    output:
        table="<results>/outcomes/survival.parquet",
        summary="<results>/outcomes/survival.json",
    log:
        "<logs>/outcomes/survival.log",
    benchmark:
        "<benchmarks>/outcomes/survival.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        reading=flags(
            {"format": OUTCOMES["survival"]["format"], "columns": OUTCOMES["survival"]["columns"]}
            | {"endpoint": OUTCOMES["survival"]["endpoints"]}
        ),
        redacted="--keep-redacted" if OUTCOMES["survival"]["keep_redacted"] else "",
        licence=licences_of("survival"),
    shell:
        "python -m bulkformer.outcomes.survival --table {input.table} {params.reading}"
        " {params.redacted} {params.licence}"
        " --output {output.table} --summary {output.summary} > {log} 2>&1"


rule clinical:
    """Say what was known of each patient at diagnosis, for baselines without any gene."""
    input:
        table=outcome_files("clinical", "table"),
    output:
        table="<results>/outcomes/clinical.parquet",
        summary="<results>/outcomes/clinical.json",
    log:
        "<logs>/outcomes/clinical.log",
    benchmark:
        "<benchmarks>/outcomes/clinical.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        reading=flags({key: OUTCOMES["clinical"][key] for key in ["format", "columns"]}),
        licence=licences_of("clinical"),
    shell:
        "python -m bulkformer.outcomes.clinical --table {input.table} {params.reading}"
        " {params.licence}"
        " --output {output.table} --summary {output.summary} > {log} 2>&1"


rule cell_lines:
    """Give each cell line one identity, so that tables with different ids can be joined."""
    input:
        models=outcome_files("cell_lines", "models"),
        passports=outcome_files("cell_lines", "passports"),
    output:
        table="<results>/outcomes/cell_lines.parquet",
        summary="<results>/outcomes/cell_lines.json",
    log:
        "<logs>/outcomes/cell_lines.log",
    benchmark:
        "<benchmarks>/outcomes/cell_lines.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        lists=lambda wildcards, input: flags(
            {"models": list(input.models), "passports": list(input.passports)}
        ),
        licence=licences_of("cell_lines"),
    shell:
        "python -m bulkformer.outcomes.cell_lines {params.lists} {params.licence}"
        " --output {output.table} --summary {output.summary} > {log} 2>&1"


rule drugs:
    """Join the ids of one compound, so that no split can part them."""
    input:
        compounds=outcome_files("response", "compounds"),
        structures=outcome_files("response", "structures"),
    output:
        table="<results>/outcomes/drugs.parquet",
        summary="<results>/outcomes/drugs.json",
    log:
        "<logs>/outcomes/drugs.log",
    benchmark:
        "<benchmarks>/outcomes/drugs.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        structures=lambda wildcards, input: flags(
            {"structures": list(input.structures)}
            | {"structure_columns": OUTCOMES["response"]["structure_columns"]}
        ),
        reading=flags(
            {"format": OUTCOMES["response"]["format"], "dataset": OUTCOMES["response"]["dataset"]}
            | {"columns": OUTCOMES["response"]["compound_columns"]}
        ),
        licence=licences_of("response"),
    shell:
        "python -m bulkformer.outcomes.drugs --compounds {input.compounds} {params.structures}"
        " {params.reading} {params.licence}"
        " --output {output.table} --summary {output.summary} > {log} 2>&1"


rule response:
    """Say how strongly each drug acted on each line, one row a curve."""
    input:
        curves=outcome_files("response", "curves"),
        drugs="<results>/outcomes/drugs.parquet",
        cell_lines="<results>/outcomes/cell_lines.parquet",
    output:
        table="<results>/outcomes/response.parquet",
        summary="<results>/outcomes/response.json",
    log:
        "<logs>/outcomes/response.log",
    benchmark:
        "<benchmarks>/outcomes/response.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=60,
    params:
        curves=lambda wildcards, input: flags({"curves": list(input.curves)}),
        reading=flags(
            {"format": OUTCOMES["response"]["format"], "dataset": OUTCOMES["response"]["dataset"]}
            | {"columns": OUTCOMES["response"]["curve_columns"]}
        ),
        licence=licences_of("response"),
    shell:
        "python -m bulkformer.outcomes.response {params.curves} {params.reading}"
        " --drugs {input.drugs} --cell-lines {input.cell_lines} {params.licence}"
        " --output {output.table} --summary {output.summary} > {log} 2>&1"


rule dependency:
    """Say which genes each line cannot do without, one row a gene and line."""
    input:
        effect=outcome_files("dependency", "effect"),
        probability=outcome_files("dependency", "probability"),
        genes="<results>/expression/genes.parquet",
        cell_lines="<results>/outcomes/cell_lines.parquet",
    output:
        table="<results>/outcomes/dependency.parquet",
        summary="<results>/outcomes/dependency.json",
    log:
        "<logs>/outcomes/dependency.log",
    benchmark:
        "<benchmarks>/outcomes/dependency.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=120,
    params:
        scores=lambda wildcards, input: flags(
            {"effect": list(input.effect), "probability": list(input.probability)}
        ),
        reading=flags({key: OUTCOMES["dependency"][key] for key in ["format", "release"]}),
        licence=licences_of("dependency"),
    shell:
        "python -m bulkformer.outcomes.dependency {params.scores} {params.reading}"
        " --genes {input.genes} --cell-lines {input.cell_lines} {params.licence}"
        " --output {output.table} --summary {output.summary} > {log} 2>&1"


rule perturbation_profiles:
    """Keep the measured genes of the chosen profiles, and where each finds its controls."""
    input:
        expression=outcome_files("perturbation", "expression"),
        genes="<results>/expression/genes.parquet",
        profiles=outcome_files("perturbation", "profiles"),
        landmarks=outcome_files("perturbation", "landmarks"),
        perturbagens=outcome_files("perturbation", "perturbagens"),
    output:
        table="<results>/outcomes/perturbation.parquet",
        summary="<results>/outcomes/perturbation.json",
    log:
        "<logs>/outcomes/perturbation.log",
    benchmark:
        "<benchmarks>/outcomes/perturbation.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=720,
    params:
        tables=lambda wildcards, input: flags(
            {
                "profiles": list(input.profiles),
                "landmarks": list(input.landmarks),
                "perturbagens": list(input.perturbagens),
            }
        ),
        chosen=flags(
            {
                "format": OUTCOMES["perturbation"]["format"],
                "perturbagen_type": OUTCOMES["perturbation"]["types"],
                "cell_id": OUTCOMES["perturbation"]["cell_lines"],
            }
        ),
        licence=licences_of("perturbation"),
    shell:
        "python -m bulkformer.outcomes.perturbation --expression {input.expression}"
        " --genes {input.genes} {params.tables} {params.chosen} {params.licence}"
        " --output {output.table} --summary {output.summary} > {log} 2>&1"


rule disease_datasets:
    """List the RNA-seq series that compare a disease with controls; microarrays are left out."""
    input:
        table=outcome_files("disease_datasets", "table"),
    output:
        table="<results>/outcomes/disease_datasets.parquet",
        summary="<results>/outcomes/disease_datasets.json",
    log:
        "<logs>/outcomes/disease_datasets.log",
    benchmark:
        "<benchmarks>/outcomes/disease_datasets.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        organism=flags({"organism": OUTCOMES["disease_datasets"]["organism"]}),
        licence=licences_of("disease_datasets"),
    shell:
        "python -m bulkformer.outcomes.disease_datasets --table {input.table} {params.organism}"
        " {params.licence}"
        " --output {output.table} --summary {output.summary} > {log} 2>&1"
