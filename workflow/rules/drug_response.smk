# Task: predict how strongly a compound acts on a cell line. Needs the tables of outcomes, the cohort
# of cell lines and the vectors of each model.
include: "drug_response_lookup.smk"


DRUG_RESPONSE = config["evaluate"]["drug_response"]


rule drug_response_split:
    """Freeze the folds of both protocols; a patient, tissue or scaffold in two is an error."""
    input:
        response="<results>/outcomes/response.parquet",
        drugs="<results>/outcomes/drugs.parquet",
        cell_lines="<results>/outcomes/cell_lines.parquet",
        samples=f"<results>/expression/{DRUG_RESPONSE['cohort']}/samples.parquet",
    output:
        split="<results>/evaluate/splits/drug_response.parquet",
        sha256="<results>/evaluate/splits/drug_response.parquet.sha256",
    log:
        "<logs>/evaluate/drug_response_split.log",
    benchmark:
        "<benchmarks>/evaluate/drug_response_split.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=lambda wildcards: as_json(settings_of("drug_response")),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.drug_response_split --response {input.response}"
        " --drugs {input.drugs} --cell-lines {input.cell_lines} --samples {input.samples}"
        " --settings {params.settings:q} --seed {params.seed} --output {output.split} > {log} 2>&1"


rule drug_response_predictions:
    """Fit the heads on training pairs of each fold and save out-of-fold predictions."""
    input:
        split="<results>/evaluate/splits/drug_response.parquet",
        response="<results>/outcomes/response.parquet",
        drugs="<results>/outcomes/drugs.parquet",
        cell_lines="<results>/outcomes/cell_lines.parquet",
        embeddings=lambda wildcards: collect(
            "<results>/embed/{model}/{cohort}/samples.parquet",
            model=vectors_of(wildcards.model),
            cohort=DRUG_RESPONSE["cohort"],
        ),
        genes=panel_genes,
        panel=response_panel,
    output:
        "<results>/evaluate/drug_response/{protocol}/{model}/predictions.parquet",
    log:
        "<logs>/evaluate/drug_response_{protocol}_{model}.log",
    benchmark:
        "<benchmarks>/evaluate/drug_response_{protocol}_{model}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=960,
    params:
        embedder=lambda wildcards: MODELS[wildcards.model]["embedder"],
        heads=lambda wildcards: (
            flags({"head": MODELS[wildcards.model]["heads"].split(",")})
            if MODELS[wildcards.model]["heads"]
            else ""
        ),
        panel=lambda wildcards, input: flags(
            {"genes": list(input.genes), "panel": list(input.panel)}
        ),
        settings=lambda wildcards: as_json(settings_of("drug_response")),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.drug_response --protocol {wildcards.protocol}"
        " --model {wildcards.model} --embedder {params.embedder} --split {input.split}"
        " --response {input.response}"
        " --drugs {input.drugs} --cell-lines {input.cell_lines}"
        " --embeddings {input.embeddings} {params.panel} {params.heads} --settings {params.settings:q}"
        " --seed {params.seed} --output {output} > {log} 2>&1"
