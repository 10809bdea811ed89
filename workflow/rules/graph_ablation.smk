# Experiment: train the same network on one gene graph after the other, everything else equal, and
# compare how it imputes. Needs the corpus, the graphs and the samples that imputation tests on.
# Every network is trained `repeats` times, because two that differ in their seed alone differ too.
include: "graph_ablation_lookup.smk"


rule no_graph:
    """A graph without edges: the network that never hears of a neighbour."""
    input:
        of=f"<results>/graph/{controlled_graph()}.parquet",
        of_summary=f"<results>/graph/{controlled_graph()}.json",
    output:
        graph="<results>/graph/none.parquet",
        summary="<results>/graph/none.json",
    log:
        "<logs>/graph/none.log",
    benchmark:
        "<benchmarks>/graph/none.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        seed=config["seed"],
    shell:
        "python -m bulkformer.graph.controls --kind none --seed {params.seed}"
        " --of {input.of} --of-summary {input.of_summary}"
        " --output {output.graph} --summary {output.summary} > {log} 2>&1"


rule graph_ablation_train:
    """Learn as the run of this configuration does, but convolve over another graph."""
    input:
        genes="<results>/expression/genes.parquet",
        corpus="<results>/expression/corpus.parquet",
        stores=ancient(of_corpus("log_tpm.arrow")),
        graph="<results>/graph/{graph}.parquet",
        gene_table=gene_table(),
    output:
        model=ablation_run("model.safetensors"),
        config=ablation_run("config.json"),
        genes=ablation_run("genes.parquet"),
        graph=ablation_run("graph.parquet"),
        history=ablation_run("history.parquet"),
        cost=ablation_run("cost.parquet"),
        provenance=ablation_run("provenance.json"),
    log:
        "<logs>/pretrain/{graph}_{repeat}_train.log",
    benchmark:
        "<benchmarks>/pretrain/{graph}_{repeat}_train.jsonl"
    wildcard_constraints:
        graph="|".join(ABLATION["graphs"]),
        repeat="[0-9]+",
    conda:
        "../../envs/torch.yaml"
    threads: max(8, 2 * config["pretrain"]["execution"]["processes"])
    resources:
        mem_mb=lambda wildcards, attempt: 64000 * attempt,
        runtime=2880,
        gpu=config["pretrain"]["execution"]["processes"],
        # No parameter: it decides how fast the result comes and not what it is.
        execution=as_json(config["pretrain"]["execution"]),
    params:
        stores=lambda wildcards, input: flags({"store": list(input.stores)}),
        settings=lambda wildcards: flags(
            {name: as_json(section) for name, section in ablation_settings().items()}
            | {
                "seed": config["seed"] + int(wildcards.repeat),
                "revision": config["pretrain"]["revision"],
            }
        ),
        gene_table=gene_table_flag,
        folder=lambda wildcards, output: str(Path(output.model).parent),
        state=lambda wildcards, output: f"{Path(output.model).parent}.state",
    # tee must outlive a signal to the whole job, or the trainer could not say, nor save, anything.
    shell:
        "python -m bulkformer.pretrain.train --genes {input.genes} --corpus {input.corpus}"
        " {params.stores} --graph {input.graph} {params.gene_table} {params.settings}"
        " --execution {resources.execution:q}"
        " --folder {params.folder} --state {params.state} 2>&1"
        " | (trap '' TERM USR1 INT; exec tee {log})"


rule graph_ablation_predictions:
    """Hide the values that the imputation benchmark hides, and save what each network predicts."""
    input:
        split="<results>/evaluate/splits/imputation.parquet",
        corpus="<results>/expression/corpus.parquet",
        genes="<results>/expression/genes.parquet",
        samples=collect("<results>/expression/{cohort}/samples.parquet", cohort=IMPUTATION_COHORTS),
        stores=collect("<results>/expression/{cohort}/log_tpm.arrow", cohort=IMPUTATION_COHORTS),
        reference="<results>/embed/gene_mean/fit.safetensors",
        model=ablation_run("model.safetensors"),
        config=ablation_run("config.json"),
        graph=ablation_run("graph.parquet"),
    output:
        "<results>/evaluate/graph_ablation/{graph}_{repeat}/predictions.parquet",
    log:
        "<logs>/evaluate/graph_ablation_{graph}_{repeat}.log",
    benchmark:
        "<benchmarks>/evaluate/graph_ablation_{graph}_{repeat}.jsonl"
    wildcard_constraints:
        graph="|".join(ABLATION["graphs"]),
        repeat="[0-9]+",
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 32000 * attempt,
        runtime=480,
        gpu=1,
    params:
        cohorts=lambda wildcards, input: flags(
            {
                "cohort": IMPUTATION_COHORTS,
                "samples": list(input.samples),
                "store": list(input.stores),
            }
        ),
        row=lambda wildcards: ablation_model(wildcards.graph),
        folder=lambda wildcards, input: str(Path(input.model).parent),
        masks=flags(
            {
                key: IMPUTATION[key]
                for key in ["mask_fractions", "mask_repeats", "further_mask_repeats"]
            }
        ),
        seed=config["seed"],
        batch_size=config["embed"]["batch_size"],
    shell:
        "python -m bulkformer.evaluate.tasks.imputation --protocol strict"
        " --model {params.row[model]} --embedder {params.row[embedder]}"
        " --settings {params.row[settings]:q} --weights {params.folder} --split {input.split}"
        " --genes {input.genes} {params.cohorts} --reference {input.reference} {params.masks}"
        " --seed {params.seed} --batch-size {params.batch_size} --output {output} > {log} 2>&1"


rule graph_ablation_exposure:
    """Record what the network of each graph has seen: the graph alone may have seen test samples."""
    input:
        corpus="<results>/expression/corpus.parquet",
        samples=collect("<results>/expression/{cohort}/samples.parquet", cohort=IMPUTATION_COHORTS),
        graph="<results>/graph/{graph}.json",
        overlaps=collect(
            "<results>/expression/overlap/{cohort}.parquet",
            cohort=scanned_cohorts(IMPUTATION_COHORTS),
        ),
    output:
        "<results>/evaluate/graph_ablation/{graph}_exposure.parquet",
    log:
        "<logs>/evaluate/graph_ablation_{graph}_exposure.log",
    benchmark:
        "<benchmarks>/evaluate/graph_ablation_{graph}_exposure.jsonl"
    wildcard_constraints:
        graph="|".join(ABLATION["graphs"]),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        cohorts=lambda wildcards, input: flags(
            {
                "cohort": IMPUTATION_COHORTS,
                "samples": list(input.samples),
                "overlap_cohort": scanned_cohorts(IMPUTATION_COHORTS),
                "overlap": list(input.overlaps),
            }
        ),
        models=lambda wildcards: as_json({ablation_model(wildcards.graph)["model"]: "trained"}),
    shell:
        "python -m bulkformer.evaluate.exposure --corpus {input.corpus} {params.cohorts}"
        " --models {params.models:q} --graph {input.graph} --output {output} > {log} 2>&1"


rule graph_ablation_metrics:
    """Compute every metric of one network from its saved predictions, with intervals."""
    input:
        predictions="<results>/evaluate/graph_ablation/{graph}_{repeat}/predictions.parquet",
        split="<results>/evaluate/splits/imputation.parquet",
        exposure="<results>/evaluate/graph_ablation/{graph}_exposure.parquet",
    output:
        metrics="<results>/evaluate/graph_ablation/{graph}_{repeat}/metrics.parquet",
        units="<results>/evaluate/graph_ablation/{graph}_{repeat}/units.parquet",
    log:
        "<logs>/evaluate/graph_ablation_{graph}_{repeat}_metrics.log",
    benchmark:
        "<benchmarks>/evaluate/graph_ablation_{graph}_{repeat}_metrics.jsonl"
    wildcard_constraints:
        graph="|".join(ABLATION["graphs"]),
        repeat="[0-9]+",
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=120,
    params:
        model=lambda wildcards: ablation_model(wildcards.graph)["model"],
        configuration=lambda wildcards: as_json(ablation_configuration(wildcards.graph)),
        bootstrap=config["evaluate"]["bootstrap"],
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.metrics --task imputation --protocol strict"
        " --model {params.model} --predictions {input.predictions} --split {input.split}"
        " --exposure {input.exposure} --configuration {params.configuration:q}"
        " --bootstrap {params.bootstrap} --seed {params.seed} --output {output.metrics}"
        " --units {output.units} > {log} 2>&1"


rule compare_graphs:
    """Say of each graph whether networks that convolve over it impute better than over the first."""
    input:
        units=ablation_files("units.parquet"),
        metrics=ablation_files("metrics.parquet"),
        provenance=[
            f"<results>/pretrain/{config['pretrain']['run']}_{run}/provenance.json"
            for run in ABLATION_RUNS
        ],
    output:
        "<results>/evaluate/graph_ablation.parquet",
    log:
        "<logs>/evaluate/compare_graphs.log",
    benchmark:
        "<benchmarks>/evaluate/compare_graphs.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        runs=lambda wildcards, input: flags(
            {
                "graph": [run.rpartition("_")[0] for run in ABLATION_RUNS],
                "units": list(input.units),
                "metrics": list(input.metrics),
                "provenance": list(input.provenance),
            }
        ),
        bootstrap=config["evaluate"]["bootstrap"],
        sign_flips=config["evaluate"]["comparisons"]["sign_flips"],
        seed=config["seed"],
    shell:
        "python -m bulkformer.evaluate.graph_ablation {params.runs} --protocol strict"
        " --bootstrap {params.bootstrap} --sign-flips {params.sign_flips} --seed {params.seed}"
        " --output {output} > {log} 2>&1"
