# Further step of imputation: call the genes that differ between two classes on measured counts, and
# again on counts in which hidden values were imputed. Needs raw counts and labels of one cohort.
DIFFERENTIAL = config["evaluate"]["imputation_differential"]
DIFFERENTIAL_COHORT = DIFFERENTIAL["cohort"]


rule imputation_differential_split:
    """Choose the samples of both classes once, before any model runs."""
    input:
        corpus="<results>/expression/corpus.parquet",
        samples=f"<results>/expression/{DIFFERENTIAL_COHORT}/samples.parquet",
    output:
        split="<results>/evaluate/splits/imputation_differential.parquet",
        sha256="<results>/evaluate/splits/imputation_differential.parquet.sha256",
    log:
        "<logs>/evaluate/imputation_differential_split.log",
    benchmark:
        "<benchmarks>/evaluate/imputation_differential_split.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=lambda wildcards: as_json(DIFFERENTIAL),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.imputation_differential_split --corpus {input.corpus}"
        " --samples {input.samples} --settings {params.settings:q} --seed {params.seed}"
        " --output {output.split} > {log} 2>&1"


rule imputation_differential_truth:
    """Test every gene on measured counts, once: all models are held against the same calls."""
    input:
        split="<results>/evaluate/splits/imputation_differential.parquet",
        genes="<results>/expression/genes.parquet",
        counts=f"<results>/expression/{DIFFERENTIAL_COHORT}/counts.arrow",
        reference="<results>/embed/gene_mean/fit.safetensors",
    output:
        "<results>/evaluate/imputation_differential/truth.parquet",
    log:
        "<logs>/evaluate/imputation_differential_truth.log",
    benchmark:
        "<benchmarks>/evaluate/imputation_differential_truth.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        settings=lambda wildcards: as_json(DIFFERENTIAL),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.imputation_differential_truth --split {input.split}"
        " --genes {input.genes} --counts {input.counts} --reference {input.reference}"
        " --settings {params.settings:q} --seed {params.seed}"
        " --output {output} > {log} 2>&1"


rule imputation_differential_predictions:
    """Complete counts by one model and test every gene again: does a study come out the same?"""
    input:
        split="<results>/evaluate/splits/imputation_differential.parquet",
        truth="<results>/evaluate/imputation_differential/truth.parquet",
        genes="<results>/expression/genes.parquet",
        samples=f"<results>/expression/{DIFFERENTIAL_COHORT}/samples.parquet",
        log_tpm=f"<results>/expression/{DIFFERENTIAL_COHORT}/log_tpm.arrow",
        counts=f"<results>/expression/{DIFFERENTIAL_COHORT}/counts.arrow",
        reference="<results>/embed/gene_mean/fit.safetensors",
        weights=lambda wildcards: weights(wildcards.model),
    output:
        "<results>/evaluate/imputation_differential/strict/{model}/predictions.parquet",
    log:
        "<logs>/evaluate/imputation_differential_{model}.log",
    benchmark:
        "<benchmarks>/evaluate/imputation_differential_{model}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=240,
        gpu=lambda wildcards: uses_gpu(wildcards.model),
    params:
        weights=weights_flag,
        embedder=lambda wildcards: MODELS[wildcards.model]["embedder"],
        of_model=lambda wildcards: MODELS[wildcards.model]["settings"],
        settings=lambda wildcards: as_json(DIFFERENTIAL),
        seed=config["seed"],
        batch_size=config["embed"]["batch_size"],
    shell:
        "python -m bulkformer.evaluate.tasks.imputation_differential --model {wildcards.model}"
        " --embedder {params.embedder} --embedder-settings {params.of_model:q} {params.weights}"
        " --split {input.split} --truth {input.truth} --genes {input.genes}"
        " --samples {input.samples} --log-tpm {input.log_tpm} --counts {input.counts}"
        " --reference {input.reference} --settings {params.settings:q} --seed {params.seed}"
        " --batch-size {params.batch_size} --output {output} > {log} 2>&1"
