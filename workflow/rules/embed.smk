# Needs the corpus (to fit the classical models), the pretrained run and the cohorts. Makes what each
# model remembers of the corpus, one vector a sample for each model and cohort, and all of it as h5ad.


rule fit:
    """Fit a classical model on the training samples of the corpus, as BulkFormer was."""
    input:
        corpus="<results>/expression/corpus.parquet",
        samples=of_corpus("samples.parquet"),
        stores=of_corpus("log_tpm.arrow"),
    output:
        "<results>/embed/{model}/fit.safetensors",
    log:
        "<logs>/embed/{model}_fit.log",
    benchmark:
        "<benchmarks>/embed/{model}_fit.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 32000 * attempt,
        runtime=240,
        gpu=lambda wildcards: uses_gpu(wildcards.model),
    params:
        corpus=lambda wildcards, input: flags(
            {"samples": list(input.samples), "store": list(input.stores)}
        ),
        embedder=lambda wildcards: MODELS[wildcards.model]["embedder"],
        settings=lambda wildcards: MODELS[wildcards.model]["settings"],
        seed=config["seed"],
    shell:
        "python -m bulkformer.embed.fit --embedder {params.embedder} --settings {params.settings:q}"
        " --corpus {input.corpus} {params.corpus} --seed {params.seed} --output {output}"
        " > {log} 2>&1"


rule embed:
    """Turn every sample of a cohort into one vector, and say with which weights."""
    input:
        genes="<results>/expression/genes.parquet",
        store="<results>/expression/{cohort}/log_tpm.arrow",
        samples="<results>/expression/{cohort}/samples.parquet",
        weights=lambda wildcards: weights(wildcards.model),
    output:
        samples="<results>/embed/{model}/{cohort}/samples.parquet",
        description="<results>/embed/{model}/{cohort}/embed.json",
    log:
        "<logs>/embed/{model}_{cohort}.log",
    benchmark:
        "<benchmarks>/embed/{model}_{cohort}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=480,
        gpu=lambda wildcards: uses_gpu(wildcards.model),
    params:
        weights=weights_flag,
        embedder=lambda wildcards: MODELS[wildcards.model]["embedder"],
        settings=lambda wildcards: MODELS[wildcards.model]["settings"],
        seed=config["seed"],
        batch_size=config["embed"]["batch_size"],
    shell:
        "python -m bulkformer.embed.embed --model {wildcards.model} --embedder {params.embedder}"
        " --settings {params.settings:q} {params.weights} --genes {input.genes}"
        " --store {input.store} --samples {input.samples} --seed {params.seed}"
        " --batch-size {params.batch_size} --output {output.samples}"
        " --description {output.description} > {log} 2>&1"


rule export:
    """Hand a cohort to other programs as h5ad: expression, labels, and what each model makes of it."""
    input:
        genes="<results>/expression/genes.parquet",
        log_tpm="<results>/expression/{cohort}/log_tpm.arrow",
        counts="<results>/expression/{cohort}/counts.arrow",
        samples="<results>/expression/{cohort}/samples.parquet",
        coverage="<results>/expression/{cohort}/coverage.json",
        embedding=lambda wildcards: embeddings_of(wildcards.cohort, "samples.parquet"),
        description=lambda wildcards: embeddings_of(wildcards.cohort, "embed.json"),
    output:
        "<results>/embed/{cohort}.h5ad",
    log:
        "<logs>/embed/{cohort}_export.log",
    benchmark:
        "<benchmarks>/embed/{cohort}_export.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        models=lambda wildcards, input: flags(
            {
                "model": [Path(path).parts[-3] for path in input.embedding],
                "embedding": list(input.embedding),
                "description": list(input.description),
            }
        ),
    shell:
        "python -m bulkformer.embed.export --genes {input.genes} --log-tpm {input.log_tpm}"
        " --counts {input.counts} --samples {input.samples} --coverage {input.coverage}"
        " {params.models} --output {output} > {log} 2>&1"


rule embed_genes:
    """Write what a model makes of every gene in each sample that a task asks for; tens of gigabytes
    for all genes and lines of a release."""
    input:
        genes="<results>/expression/genes.parquet",
        store="<results>/expression/{cohort}/log_tpm.arrow",
        samples="<results>/expression/{cohort}/samples.parquet",
        request="<results>/evaluate/splits/{task}.tokens.json",
        weights=lambda wildcards: weights(wildcards.model),
    output:
        tokens="<results>/embed/{model}/{cohort}/genes/{task}.arrow",
        description="<results>/embed/{model}/{cohort}/genes/{task}.json",
    log:
        "<logs>/embed/{model}_{cohort}_genes_{task}.log",
    benchmark:
        "<benchmarks>/embed/{model}_{cohort}_genes_{task}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=960,
        gpu=lambda wildcards: uses_gpu(wildcards.model),
    params:
        weights=weights_flag,
        embedder=lambda wildcards: MODELS[wildcards.model]["embedder"],
        settings=lambda wildcards: MODELS[wildcards.model]["settings"],
        seed=config["seed"],
        batch_size=config["embed"]["batch_size"],
    shell:
        "python -m bulkformer.embed.genes --model {wildcards.model} --embedder {params.embedder}"
        " --settings {params.settings:q} {params.weights} --genes {input.genes}"
        " --store {input.store} --samples {input.samples} --request {input.request}"
        " --seed {params.seed} --batch-size {params.batch_size} --output {output.tokens}"
        " --description {output.description} > {log} 2>&1"
