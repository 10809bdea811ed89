# Task: predict which genes a cell line cannot do without. Needs the tables of dependency and cell
# lines, the cohort of cell lines and the vectors of each model. The paper's head
# reads gene tokens, which the embed stage makes.
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
        settings=lambda wildcards: as_json(settings_of("gene_essentiality")),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.gene_essentiality_split --samples {input.samples}"
        " --cell-lines {input.cell_lines} --dependency {input.dependency}"
        " --settings {params.settings:q} --seed {params.seed} --output {output.split}"
        " --tokens {output.tokens} > {log} 2>&1"


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
        embedder=lambda wildcards: MODELS[wildcards.model]["embedder"],
        tokens=lambda wildcards, input: flags({"tokens": list(input.tokens)}),
        settings=lambda wildcards: as_json(settings_of("gene_essentiality")),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.gene_essentiality --protocol {wildcards.protocol}"
        " --model {wildcards.model} --embedder {params.embedder} --split {input.split}"
        " --genes {input.genes}"
        " --samples {input.samples} --cell-lines {input.cell_lines}"
        " --dependency {input.dependency} --embeddings {input.embeddings} {params.tokens}"
        " {params.heads} --settings {params.settings:q} --seed {params.seed} --output {output}"
        " > {log} 2>&1"
