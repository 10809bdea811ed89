# Task: tell disease, cancer type or tissue from a sample vector. Needs the labels of each dataset's
# cohort and the vectors of each model. For whoever pretrains on a labelled cohort, it also makes the
# gene graph of one fold.
DISEASE_ANNOTATION = config["evaluate"]["disease_annotation"]


rule disease_annotation_split:
    """Freeze the folds of both protocols; a group in two strict folds is an error."""
    input:
        samples=collect("<results>/expression/{cohort}/samples.parquet", cohort=labelled_cohorts()),
    output:
        split="<results>/evaluate/splits/disease_annotation.parquet",
        sha256="<results>/evaluate/splits/disease_annotation.parquet.sha256",
    log:
        "<logs>/evaluate/disease_annotation_split.log",
    benchmark:
        "<benchmarks>/evaluate/disease_annotation_split.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        cohorts=lambda wildcards, input: flags(
            {"cohort": labelled_cohorts(), "samples": list(input.samples)}
        ),
        settings=lambda wildcards: as_json(DISEASE_ANNOTATION),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.disease_annotation_split {params.cohorts}"
        " --settings {params.settings:q} --seed {params.seed} --output {output.split} > {log} 2>&1"


rule disease_annotation_predictions:
    """Fit the heads of both protocols on training rows of each fold; save out-of-fold predictions."""
    input:
        split="<results>/evaluate/splits/disease_annotation.parquet",
        embeddings=lambda wildcards: collect(
            "<results>/embed/{model}/{cohort}/samples.parquet",
            model=vectors_of(wildcards.model),
            cohort=labelled_cohorts(),
        ),
    output:
        collect(
            "<results>/evaluate/disease_annotation/{protocol}/{model}/predictions.parquet",
            protocol=PROTOCOLS,
            allow_missing=True,
        ),
    log:
        "<logs>/evaluate/disease_annotation_{model}.log",
    benchmark:
        "<benchmarks>/evaluate/disease_annotation_{model}.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 4
    resources:
        # As many processes, each with the training rows of a fold in double precision, as fit in.
        mem_mb=lambda wildcards, attempt: 32000 * attempt,
        runtime=1440,
    params:
        embeddings=lambda wildcards, input: flags(
            {"cohort": labelled_cohorts(), "embeddings": list(input.embeddings)}
        ),
        outputs=lambda wildcards, output: flags({"protocol": PROTOCOLS, "output": list(output)}),
        heads=lambda wildcards: (
            flags({"head": MODELS[wildcards.model]["heads"].split(",")})
            if MODELS[wildcards.model]["heads"]
            else ""
        ),
        settings=lambda wildcards: as_json(DISEASE_ANNOTATION),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.disease_annotation {params.outputs}"
        " --model {wildcards.model} --split {input.split} {params.embeddings} {params.heads}"
        " --settings {params.settings:q} --seed {params.seed} --threads {threads}"
        " --memory-mb {resources.mem_mb} > {log} 2>&1"


rule fold_samples:
    """Name the samples that one fold may learn from, for whatever is fitted before the task."""
    input:
        split="<results>/evaluate/splits/disease_annotation.parquet",
        sha256="<results>/evaluate/splits/disease_annotation.parquet.sha256",
    output:
        "<results>/evaluate/folds/{dataset}/{protocol}/repeat_{repeat}_fold_{fold}/samples.parquet",
    log:
        "<logs>/evaluate/folds_{dataset}_{protocol}_{repeat}_{fold}.log",
    benchmark:
        "<benchmarks>/evaluate/folds_{dataset}_{protocol}_{repeat}_{fold}.jsonl"
    wildcard_constraints:
        dataset="[a-z0-9_]+",
        repeat="[0-9]+",
        fold="[0-9]+",
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        regime=lambda wildcards: f"{dict(legacy='random', strict='grouped')[wildcards.protocol]}_folds",
    shell:
        "python -m bulkformer.evaluate.fold_samples --manifest {input.split}"
        " --task disease_annotation --dataset {wildcards.dataset} --protocol {wildcards.protocol}"
        " --regime {params.regime} --repeat {wildcards.repeat} --fold {wildcards.fold} --output {output} > {log} 2>&1"


rule fold_coexpression:
    """Connect genes by the training samples of one fold: no test sample has shaped the graph."""
    input:
        genes="<results>/expression/genes.parquet",
        samples="<results>/evaluate/folds/{dataset}/{protocol}/repeat_{repeat}_fold_{fold}/samples.parquet",
        store=lambda wildcards: f"<results>/expression/{labelled_cohort(wildcards.dataset)}/log_tpm.arrow",
    output:
        graph="<results>/evaluate/folds/{dataset}/{protocol}/repeat_{repeat}_fold_{fold}/coexpression.parquet",
        summary="<results>/evaluate/folds/{dataset}/{protocol}/repeat_{repeat}_fold_{fold}/coexpression.json",
    log:
        "<logs>/evaluate/fold_coexpression_{dataset}_{protocol}_{repeat}_{fold}.log",
    benchmark:
        "<benchmarks>/evaluate/fold_coexpression_{dataset}_{protocol}_{repeat}_{fold}.jsonl"
    wildcard_constraints:
        dataset="[a-z0-9_]+",
        repeat="[0-9]+",
        fold="[0-9]+",
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=240,
    params:
        settings=flags(config["graph"]["coexpression"] | {"seed": config["seed"]}),
    shell:
        "python -m bulkformer.graph.coexpression --genes {input.genes} --samples {input.samples}"
        " --store {input.store} {params.settings}"
        " --output {output.graph} --summary {output.summary} > {log} 2>&1"
