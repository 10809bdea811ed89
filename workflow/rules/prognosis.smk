# Task: tell the course of a patient from a sample vector. Needs the vectors of the cohort, who was
# followed for how long, and, for clinical baselines, what was known of the patients at diagnosis.
PROGNOSIS = config["evaluate"]["prognosis"]


rule prognosis_split:
    """Freeze the folds of both protocols, balanced by cancer and event; no patient in two."""
    input:
        samples=f"<results>/expression/{PROGNOSIS['cohort']}/samples.parquet",
        survival="<results>/outcomes/survival.parquet",
    output:
        split="<results>/evaluate/splits/prognosis.parquet",
        sha256="<results>/evaluate/splits/prognosis.parquet.sha256",
    log:
        "<logs>/evaluate/prognosis_split.log",
    benchmark:
        "<benchmarks>/evaluate/prognosis_split.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=lambda wildcards: as_json(PROGNOSIS),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.prognosis_split --samples {input.samples}"
        " --survival {input.survival} --settings {params.settings:q} --seed {params.seed}"
        " --output {output.split} > {log} 2>&1"


rule prognosis_predictions:
    """Fit the heads on training patients of each fold and save out-of-fold risks and survival."""
    input:
        split="<results>/evaluate/splits/prognosis.parquet",
        embeddings=lambda wildcards: (
            f"<results>/embed/{vectors_of(wildcards.model)}/{PROGNOSIS['cohort']}/samples.parquet"
        ),
        survival="<results>/outcomes/survival.parquet",
        clinical=clinical_table(),
    output:
        "<results>/evaluate/prognosis/{protocol}/{model}/predictions.parquet",
    log:
        "<logs>/evaluate/prognosis_{protocol}_{model}.log",
    benchmark:
        "<benchmarks>/evaluate/prognosis_{protocol}_{model}.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=1440,
    params:
        clinical=lambda wildcards, input: flags({"clinical": list(input.clinical)}),
        heads=lambda wildcards: (
            flags({"head": MODELS[wildcards.model]["heads"].split(",")})
            if MODELS[wildcards.model]["heads"]
            else ""
        ),
        settings=lambda wildcards: as_json(PROGNOSIS),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.prognosis --protocol {wildcards.protocol}"
        " --model {wildcards.model} --split {input.split} --embeddings {input.embeddings}"
        " --survival {input.survival} {params.clinical} {params.heads}"
        " --settings {params.settings:q} --seed {params.seed} --threads {threads}"
        " --output {output} > {log} 2>&1"
