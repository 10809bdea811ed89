# Task: predict what a compound changes in a cell. Needs the perturbation profiles, and of each model
# what it makes of control profiles: 978 intensities, to which it is a stranger (see config/README.md).
PERTURBATION = config["evaluate"]["perturbation"]


include: "perturbation_lookup.smk"


rule perturbation_pairs:
    """Compare each treated profile with its own controls, once, before any split or model."""
    input:
        profiles="<results>/outcomes/perturbation.parquet",
        genes="<results>/expression/genes.parquet",
    output:
        treated="<results>/evaluate/perturbation/pairs/treated.parquet",
        controls="<results>/evaluate/perturbation/pairs/controls.parquet",
        store="<results>/evaluate/perturbation/pairs/controls.arrow",
        samples="<results>/evaluate/perturbation/pairs/samples.parquet",
    log:
        "<logs>/evaluate/perturbation_pairs.log",
    benchmark:
        "<benchmarks>/evaluate/perturbation_pairs.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=120,
    params:
        settings=lambda wildcards: as_json(PERTURBATION),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.perturbation_pairs --profiles {input.profiles}"
        " --genes {input.genes} --settings {params.settings:q} --seed {params.seed}"
        " --treated {output.treated} --controls {output.controls} --store {output.store}"
        " --samples {output.samples} > {log} 2>&1"


rule perturbation_split:
    """Freeze the folds of every regime; a group in two strict folds is an error."""
    input:
        treated="<results>/evaluate/perturbation/pairs/treated.parquet",
    output:
        split="<results>/evaluate/splits/perturbation.parquet",
        sha256="<results>/evaluate/splits/perturbation.parquet.sha256",
    log:
        "<logs>/evaluate/perturbation_split.log",
    benchmark:
        "<benchmarks>/evaluate/perturbation_split.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=lambda wildcards: as_json(PERTURBATION),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.perturbation_split --treated {input.treated}"
        " --settings {params.settings:q} --seed {params.seed} --output {output.split} > {log} 2>&1"


rule perturbation_vectors:
    """Turn every control profile into one vector: what a model knows of a cell before treatment."""
    input:
        genes="<results>/expression/genes.parquet",
        store="<results>/evaluate/perturbation/pairs/controls.arrow",
        samples="<results>/evaluate/perturbation/pairs/samples.parquet",
        weights=lambda wildcards: weights(wildcards.model),
    output:
        samples="<results>/evaluate/perturbation/vectors/{model}.parquet",
        description="<results>/evaluate/perturbation/vectors/{model}.json",
    log:
        "<logs>/evaluate/perturbation_vectors_{model}.log",
    benchmark:
        "<benchmarks>/evaluate/perturbation_vectors_{model}.jsonl"
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
        settings=lambda wildcards: MODELS[wildcards.model]["settings"],
        seed=config["seed"],
        batch_size=config["embed"]["batch_size"],
    shell:
        "python -m bulkformer.embed.embed --model {wildcards.model} --embedder {params.embedder}"
        " --settings {params.settings:q} {params.weights} --genes {input.genes}"
        " --store {input.store} --samples {input.samples} --seed {params.seed}"
        " --batch-size {params.batch_size} --output {output.samples}"
        " --description {output.description} > {log} 2>&1"


rule perturbation_predictions:
    """Fit the heads on training rows of each fold and save out-of-fold predictions."""
    input:
        split="<results>/evaluate/splits/perturbation.parquet",
        treated="<results>/evaluate/perturbation/pairs/treated.parquet",
        controls="<results>/evaluate/perturbation/pairs/controls.parquet",
        genes="<results>/expression/genes.parquet",
        vectors=lambda wildcards: perturbation_vectors_of(wildcards.model),
    output:
        "<results>/evaluate/perturbation/{protocol}/{model}/predictions.parquet",
    log:
        "<logs>/evaluate/perturbation_{protocol}_{model}.log",
    benchmark:
        "<benchmarks>/evaluate/perturbation_{protocol}_{model}.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=480,
    params:
        vectors=lambda wildcards, input: flags({"vectors": list(input.vectors)}),
        heads=lambda wildcards: (
            flags({"head": MODELS[wildcards.model]["heads"].split(",")})
            if MODELS[wildcards.model]["heads"]
            else ""
        ),
        settings=lambda wildcards: as_json(PERTURBATION),
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.tasks.perturbation --protocol {wildcards.protocol}"
        " --model {wildcards.model} --split {input.split} --treated {input.treated}"
        " --controls {input.controls} --genes {input.genes} {params.vectors} {params.heads}"
        " --settings {params.settings:q} --seed {params.seed} --output {output} > {log} 2>&1"
