# Needs samples, embeddings and the splits that each task froze. Makes the ledger of what each model
# has seen, and the metrics: every number is recomputed here from saved predictions, by one rule.


rule exposure:
    """Record which model has seen which cohort of a task, so that no table hides it."""
    input:
        corpus="<results>/expression/corpus.parquet",
        samples=lambda wildcards: list(exposed_samples(wildcards.task).values()),
        graph=graph_of_exposure(),
        release=exposure_of_release(),
        overlaps=lambda wildcards: collect(
            "<results>/expression/overlap/{cohort}.parquet",
            cohort=scanned_cohorts(cohorts_of(wildcards.task)),
        ),
    output:
        "<results>/evaluate/exposure/{task}.parquet",
    log:
        "<logs>/evaluate/{task}_exposure.log",
    benchmark:
        "<benchmarks>/evaluate/{task}_exposure.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        cohorts=lambda wildcards, input: flags(
            {
                "cohort": list(exposed_samples(wildcards.task)),
                "samples": list(input.samples),
                "overlap_cohort": scanned_cohorts(cohorts_of(wildcards.task)),
                "overlap": list(input.overlaps),
            }
        ),
        models=lambda wildcards: as_json(
            {name: MODELS[name]["weights"] for name in models_of(wildcards.task)}
        ),
        networks=lambda wildcards, input: flags(
            {"graph": list(input.graph), "release": list(input.release)}
        ),
    shell:
        "python -m bulkformer.evaluate.exposure --corpus {input.corpus} {params.cohorts}"
        " --models {params.models:q} {params.networks} --output {output} > {log} 2>&1"


rule metrics:
    """Compute every metric of one model from its saved predictions, with intervals."""
    input:
        predictions="<results>/evaluate/{task}/{protocol}/{model}/predictions.parquet",
        split="<results>/evaluate/splits/{task}.parquet",
        exposure="<results>/evaluate/exposure/{task}.parquet",
    output:
        metrics="<results>/evaluate/{task}/{protocol}/{model}/metrics.parquet",
        units="<results>/evaluate/{task}/{protocol}/{model}/units.parquet",
    log:
        "<logs>/evaluate/{task}_{protocol}_{model}_metrics.log",
    benchmark:
        "<benchmarks>/evaluate/{task}_{protocol}_{model}_metrics.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=120,
    params:
        configuration=lambda wildcards: as_json(configuration_of(wildcards.task, wildcards.model)),
        bootstrap=config["evaluate"]["bootstrap"],
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.metrics --task {wildcards.task}"
        " --protocol {wildcards.protocol} --model {wildcards.model}"
        " --predictions {input.predictions} --split {input.split} --exposure {input.exposure}"
        " --configuration {params.configuration:q} --bootstrap {params.bootstrap}"
        " --seed {params.seed} --output {output.metrics} --units {output.units} > {log} 2>&1"


rule collect_metrics:
    """Join the metrics of all models into the one long table that every figure is a view of."""
    input:
        metrics_of(*TASKS),
    output:
        "<results>/evaluate/metrics.parquet",
    log:
        "<logs>/evaluate/collect_metrics.log",
    benchmark:
        "<benchmarks>/evaluate/collect_metrics.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        metrics=lambda wildcards, input: flags({"metrics": list(input)}),
    shell:
        "python -m bulkformer.evaluate.collect {params.metrics} --output {output} > {log} 2>&1"


rule comparisons:
    """Compare every model with the best simple one and with the null on the same units, tests and all."""
    input:
        metrics="<results>/evaluate/metrics.parquet",
        units=units_of(*TASKS),
    output:
        "<results>/evaluate/comparisons.parquet",
    log:
        "<logs>/evaluate/comparisons.log",
    benchmark:
        "<benchmarks>/evaluate/comparisons.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=120,
    params:
        units=lambda wildcards, input: flags({"units": list(input.units)}),
        kinds=lambda wildcards: as_json({name: row["kind"] for name, row in MODELS.items()}),
        references=flags({"reference": config["evaluate"]["comparisons"]["references"]}),
        bootstrap=config["evaluate"]["bootstrap"],
        sign_flips=config["evaluate"]["comparisons"]["sign_flips"],
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.comparisons --metrics {input.metrics} {params.units}"
        " --kinds {params.kinds:q} {params.references}"
        " --bootstrap {params.bootstrap} --sign-flips {params.sign_flips} --seed {params.seed}"
        " --output {output} > {log} 2>&1"
