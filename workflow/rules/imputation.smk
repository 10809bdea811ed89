# Task: predict expression values that were hidden. Needs the corpus, whose held-out samples and
# groups no model has learned from, and external cohorts.
IMPUTATION = config["evaluate"]["imputation"]
IMPUTATION_COHORTS = cohorts_of("imputation")
SHOWS_PANEL = "panel" in IMPUTATION["mask_kinds"]
PANEL = [resource(IMPUTATION["panel"])] if SHOWS_PANEL and IMPUTATION["panel"] else []


rule imputation_split:
    """Choose the test samples once, before any model runs."""
    input:
        corpus="<results>/expression/corpus.parquet",
        samples=collect(
            "<results>/expression/{cohort}/samples.parquet", cohort=IMPUTATION["external_cohorts"]
        ),
    output:
        split="<results>/evaluate/splits/imputation.parquet",
        sha256="<results>/evaluate/splits/imputation.parquet.sha256",
    log:
        "<logs>/evaluate/imputation_split.log",
    benchmark:
        "<benchmarks>/evaluate/imputation_split.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        external=lambda wildcards, input: flags(
            {"cohort": IMPUTATION["external_cohorts"], "samples": list(input.samples)}
        ),
        max_samples=IMPUTATION["max_samples"],
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.imputation_split --corpus {input.corpus}"
        " {params.external} --max-samples {params.max_samples} --seed {params.seed}"
        " --output {output.split} > {log} 2>&1"


rule imputation_predictions:
    """Hide values by fixed masks that all models share, and save what each model predicts."""
    input:
        split="<results>/evaluate/splits/imputation.parquet",
        corpus="<results>/expression/corpus.parquet",
        genes="<results>/expression/genes.parquet",
        samples=collect("<results>/expression/{cohort}/samples.parquet", cohort=IMPUTATION_COHORTS),
        stores=collect("<results>/expression/{cohort}/log_tpm.arrow", cohort=IMPUTATION_COHORTS),
        reference="<results>/embed/gene_mean/fit.safetensors",
        panel=PANEL,
        weights=lambda wildcards: weights(wildcards.model),
    output:
        "<results>/evaluate/imputation/{protocol}/{model}/predictions.parquet",
    log:
        "<logs>/evaluate/imputation_{protocol}_{model}.log",
    benchmark:
        "<benchmarks>/evaluate/imputation_{protocol}_{model}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 32000 * attempt,
        runtime=480,
        gpu=lambda wildcards: uses_gpu(wildcards.model),
    params:
        cohorts=lambda wildcards, input: flags(
            {
                "cohort": IMPUTATION_COHORTS,
                "samples": list(input.samples),
                "store": list(input.stores),
            }
        ),
        weights=weights_flag,
        embedder=lambda wildcards: MODELS[wildcards.model]["embedder"],
        settings=lambda wildcards: MODELS[wildcards.model]["settings"],
        masks=lambda wildcards, input: flags(
            {
                key: IMPUTATION[key]
                for key in [
                    "mask_kinds",
                    "mask_fractions",
                    "mask_repeats",
                    "further_mask_repeats",
                    "panel_genes",
                ]
            }
            | {"panel": list(input.panel)}
        ),
        seed=config["seed"],
        batch_size=config["embed"]["batch_size"],
    shell:
        "python -m bulkformer.evaluate.tasks.imputation --protocol {wildcards.protocol}"
        " --model {wildcards.model} --embedder {params.embedder} --settings {params.settings:q}"
        " {params.weights} --split {input.split} --genes {input.genes} {params.cohorts}"
        " --reference {input.reference} {params.masks} --seed {params.seed}"
        " --batch-size {params.batch_size} --output {output} > {log} 2>&1"
