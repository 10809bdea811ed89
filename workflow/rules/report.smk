# Needs the metrics and what every stage said about itself. Makes the report: views of those files
# and nothing else.


rule provenance:
    """Write down the resolved configuration and the versions that this report rests on."""
    input:
        # Not read: made anew with the numbers, so that the page never shows older versions.
        metrics="<results>/evaluate/metrics.parquet",
    output:
        "<results>/report/provenance.json",
    log:
        "<logs>/report/provenance.log",
    benchmark:
        "<benchmarks>/report/provenance.jsonl"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=lambda wildcards: as_json(config),
        cohorts=lambda wildcards: as_json({name: COHORTS[name] for name in all_cohorts()}),
        models=lambda wildcards: as_json(MODELS),
        sources=lambda wildcards: as_json(list(SOURCES.values())),
    shell:
        "python -m bulkformer.report.provenance --config {params.config:q}"
        " --cohorts {params.cohorts:q} --models {params.models:q} --sources {params.sources:q}"
        " --output {output} > {log} 2>&1"


rule render:
    """Show what was run, on which data, and what may be concluded, in one page."""
    input:
        provenance="<results>/report/provenance.json",
        metrics="<results>/evaluate/metrics.parquet",
        exposure=collect("<results>/evaluate/exposure/{task}.parquet", task=TASKS),
        corpus="<results>/expression/corpus.json",
        coverage=collect("<results>/expression/{cohort}/coverage.json", cohort=all_cohorts()),
        graphs=collect("<results>/graph/{graph}.json", graph=GRAPHS),
        outcomes=collect("<results>/outcomes/{table}.json", table=OUTCOME_TABLES),
        recoveries=recoveries(),
        history=run_folder("history.parquet"),
        training=run_folder("provenance.json"),
        literature=config["tables"]["literature"],
        independent=config["tables"]["independent"],
        comparisons="<results>/evaluate/comparisons.parquet",
        ablation=ablation_table(),
    output:
        page="<results>/report/index.html",
        metrics="<results>/report/metrics.csv",
        # All numbers of each task, which one page would be too large for.
        numbers=collect("<results>/report/{task}.html", task=TASKS),
    log:
        "<logs>/report/render.log",
    benchmark:
        "<benchmarks>/report/render.jsonl"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        many=lambda wildcards, input, output: flags(
            {
                "numbers": list(output.numbers),
                "coverage": list(input.coverage),
                "exposure": list(input.exposure),
                "graph": list(input.graphs),
                "outcome": list(input.outcomes),
                "recovery": list(input.recoveries),
                "ablation": list(input.get("ablation", [])),
            }
        ),
        title=config["report"]["title"],
    shell:
        "python -m bulkformer.report.render --title {params.title:q}"
        " --provenance {input.provenance} --metrics {input.metrics}"
        " --corpus {input.corpus} {params.many} --history {input.history}"
        " --training {input.training} --literature {input.literature}"
        " --independent {input.independent} --comparisons {input.comparisons}"
        " --page {output.page}"
        " --metrics-csv {output.metrics} > {log} 2>&1"


rule data_page:
    """Show what was fetched, whose it is, and what became of it before any model saw it."""
    input:
        inventory="<results>/sources/inventory.parquet",
        coverage=collect("<results>/expression/{cohort}/coverage.json", cohort=all_cohorts()),
        corpus="<results>/expression/corpus.json",
        overlaps=collect(
            "<results>/expression/overlap/{cohort}.json", cohort=scanned_cohorts(all_cohorts())
        ),
        outcomes=collect("<results>/outcomes/{table}.json", table=OUTCOME_TABLES),
        graphs=collect("<results>/graph/{graph}.json", graph=GRAPHS),
    output:
        "<results>/report/data.html",
    log:
        "<logs>/report/data_page.log",
    benchmark:
        "<benchmarks>/report/data_page.jsonl"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        many=lambda wildcards, input: flags(
            {
                "coverage": list(input.coverage),
                "overlap": list(input.overlaps),
                "outcome": list(input.outcomes),
                "graph": list(input.graphs),
            }
        ),
        cohorts=lambda wildcards: as_json({name: COHORTS[name] for name in all_cohorts()}),
        title=config["report"]["title"],
        simulated="--simulated" if config["sources"]["mode"] == "simulate" else "",
    shell:
        "python -m bulkformer.report.data --title {params.title:q} --cohorts {params.cohorts:q}"
        " --inventory {input.inventory} --corpus {input.corpus} {params.many} {params.simulated}"
        " --page {output} > {log} 2>&1"


rule model_page:
    """Show how the model learned, what it knows of new samples and of genes, and what it cost."""
    input:
        run=[run_folder(name) for name in ["provenance.json", "history.parquet"]],
        assessment=[
            assessment(name)
            for name in [
                "assessment.json",
                "accuracy.parquet",
                "genes.parquet",
                "deciles.parquet",
                "learning.parquet",
                "gene_map.json",
                "gene_map.parquet",
                "clusters.parquet",
                "controls.parquet",
            ]
        ],
        corpus="<results>/expression/corpus.json",
    output:
        "<results>/report/model.html",
    log:
        "<logs>/report/model_page.log",
    benchmark:
        "<benchmarks>/report/model_page.jsonl"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        run=lambda wildcards, input: str(Path(input.run[0]).parent),
        assessment=lambda wildcards, input: str(Path(input.assessment[0]).parent),
        title=config["report"]["title"],
        simulated="--simulated" if config["sources"]["mode"] == "simulate" else "",
    shell:
        "python -m bulkformer.report.model --title {params.title:q} --run {params.run}"
        " --assessment {params.assessment} --corpus {input.corpus} {params.simulated}"
        " --page {output} > {log} 2>&1"
