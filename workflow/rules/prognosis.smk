# Task: tell the course of a patient from a sample vector. Needs the vectors of the cohort, who was
# followed for how long, and, for clinical baselines, what was known of the patients at diagnosis.
include: "prognosis_lookup.smk"


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
        settings=lambda wildcards: settings_without_genes(),
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
        "../../envs/torch.yaml"
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
        settings=lambda wildcards: settings_without_genes(),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.prognosis --protocol {wildcards.protocol}"
        " --model {wildcards.model} --split {input.split} --embeddings {input.embeddings}"
        " --survival {input.survival} {params.clinical} {params.heads}"
        " --settings {params.settings:q} --seed {params.seed} --threads {threads}"
        " --output {output} > {log} 2>&1"


rule prognosis_genes_request:
    """Say whose tumours and which genes are asked for; only cancers with events enough are."""
    input:
        split="<results>/evaluate/splits/prognosis.parquet",
        genes="<results>/expression/genes.parquet",
    output:
        "<results>/evaluate/splits/prognosis.tokens.json",
    log:
        "<logs>/evaluate/prognosis_genes_request.log",
    benchmark:
        "<benchmarks>/evaluate/prognosis_genes_request.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=lambda wildcards: as_json(PROGNOSIS),
    shell:
        "python -m bulkformer.evaluate.tasks.prognosis_genes_request --split {input.split}"
        " --genes {input.genes} --settings {params.settings:q} --output {output} > {log} 2>&1"


rule prognosis_genes:
    """Repeat the paper's arm of single genes, and test what is left of it for all at once."""
    input:
        split="<results>/evaluate/splits/prognosis.parquet",
        request="<results>/evaluate/splits/prognosis.tokens.json",
        survival="<results>/outcomes/survival.parquet",
        samples=f"<results>/expression/{PROGNOSIS['cohort']}/samples.parquet",
        genes="<results>/expression/genes.parquet",
        store=f"<results>/expression/{PROGNOSIS['cohort']}/log_tpm.arrow",
        tokens=collect(
            f"<results>/embed/{{model}}/{PROGNOSIS['cohort']}/genes/prognosis.arrow",
            model=models_of_single_genes(),
        ),
    output:
        "<results>/evaluate/prognosis_genes.parquet",
    log:
        "<logs>/evaluate/prognosis_genes.log",
    benchmark:
        "<benchmarks>/evaluate/prognosis_genes.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=960,
    params:
        models=lambda wildcards, input: flags(
            {"model": models_of_single_genes(), "tokens": list(input.tokens)}
        ),
        settings=lambda wildcards: as_json(PROGNOSIS),
        bootstrap=config["evaluate"]["bootstrap"],
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.prognosis_genes --split {input.split}"
        " --request {input.request} --survival {input.survival} --samples {input.samples}"
        " --genes {input.genes} --store {input.store} {params.models}"
        " --settings {params.settings:q} --n-boot {params.bootstrap} --seed {params.seed}"
        " --output {output} > {log} 2>&1"
