# Task: predict which genes a cell line cannot do without. Needs the tables of dependency and cell
# lines, the cohort of cell lines and the vectors of each model. Also makes the gene tokens that the
# paper's head reads.
include: "gene_essentiality_lookup.smk"


GENE_ESSENTIALITY = config["evaluate"]["gene_essentiality"]


rule gene_essentiality_split:
    """Freeze the folds of both protocols; a patient in two strict folds is an error."""
    input:
        samples=f"<results>/expression/{GENE_ESSENTIALITY['cohort']}/samples.parquet",
        cell_lines="<results>/outcomes/cell_lines.parquet",
        dependency="<results>/outcomes/dependency.parquet",
    output:
        split="<results>/evaluate/splits/gene_essentiality.parquet",
        sha256="<results>/evaluate/splits/gene_essentiality.parquet.sha256",
        tokens="<results>/evaluate/splits/gene_essentiality.tokens.json",
    log:
        "<logs>/evaluate/gene_essentiality_split.log",
    benchmark:
        "<benchmarks>/evaluate/gene_essentiality_split.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=lambda wildcards: as_json(GENE_ESSENTIALITY),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.gene_essentiality_split --samples {input.samples}"
        " --cell-lines {input.cell_lines} --dependency {input.dependency}"
        " --settings {params.settings:q} --seed {params.seed} --output {output.split}"
        " --tokens {output.tokens} > {log} 2>&1"


rule embed_genes:
    """Write what a model makes of every gene in each line; tens of gigabytes at the paper's size."""
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


rule gene_essentiality_predictions:
    """Fit the heads on training lines, or genes, of each fold and save out-of-fold predictions."""
    input:
        split="<results>/evaluate/splits/gene_essentiality.parquet",
        genes="<results>/expression/genes.parquet",
        samples=f"<results>/expression/{GENE_ESSENTIALITY['cohort']}/samples.parquet",
        cell_lines="<results>/outcomes/cell_lines.parquet",
        dependency="<results>/outcomes/dependency.parquet",
        embeddings=vectors_of_lines,
        tokens=gene_tokens,
    output:
        "<results>/evaluate/gene_essentiality/{protocol}/{model}/predictions.parquet",
    log:
        "<logs>/evaluate/gene_essentiality_{protocol}_{model}.log",
    benchmark:
        "<benchmarks>/evaluate/gene_essentiality_{protocol}_{model}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=960,
        gpu=lambda wildcards: int(has_gene_tokens(wildcards.model)),
    params:
        heads=lambda wildcards: (
            flags({"head": MODELS[wildcards.model]["heads"].split(",")})
            if MODELS[wildcards.model]["heads"]
            else ""
        ),
        tokens=lambda wildcards, input: flags({"tokens": list(input.tokens)}),
        settings=lambda wildcards: as_json(GENE_ESSENTIALITY),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.gene_essentiality --protocol {wildcards.protocol}"
        " --model {wildcards.model} --split {input.split} --genes {input.genes}"
        " --samples {input.samples} --cell-lines {input.cell_lines}"
        " --dependency {input.dependency} --embeddings {input.embeddings} {params.tokens}"
        " {params.heads} --settings {params.settings:q} --seed {params.seed} --output {output}"
        " > {log} 2>&1"
