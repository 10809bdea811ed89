# Needs the files of the sources stage. Makes the gene vocabulary, one store of counts and one of
# ln(TPM + 1) for each cohort, and the pretraining corpus with its split by study.


rule genes:
    """Fix the gene axis once, so that every matrix downstream has the same columns."""
    input:
        annotation=resource(config["expression"]["vocabulary"]["annotation"]),
        identifiers=[
            resource(path)
            for path in [config["expression"]["vocabulary"].get("identifiers")]
            if path
        ],
    output:
        "<results>/expression/genes.parquet",
    log:
        "<logs>/expression/genes.log",
    benchmark:
        "<benchmarks>/expression/genes.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        identifiers=lambda wildcards, input: flags({"identifiers": list(input.identifiers)}),
        biotypes=flags({"biotype": config["expression"]["vocabulary"]["biotypes"]}),
        format=config["expression"]["vocabulary"]["format"],
    shell:
        "python -m bulkformer.expression.genes --annotation {input.annotation}"
        " --format {params.format} {params.identifiers} {params.biotypes}"
        " --output {output} > {log} 2>&1"


rule cohort:
    """Bring one cohort onto the gene axis: counts, ln(TPM + 1), and who was kept and why."""
    input:
        genes="<results>/expression/genes.parquet",
        expression=lambda wildcards: resource(COHORTS[wildcards.cohort]["expression"]),
        samples=lambda wildcards: [
            resource(path) for path in [COHORTS[wildcards.cohort]["samples"]] if path
        ],
    output:
        counts="<results>/expression/{cohort}/counts.arrow",
        log_tpm="<results>/expression/{cohort}/log_tpm.arrow",
        samples="<results>/expression/{cohort}/samples.parquet",
        coverage="<results>/expression/{cohort}/coverage.json",
    log:
        "<logs>/expression/{cohort}.log",
    benchmark:
        "<benchmarks>/expression/{cohort}.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=720,
    params:
        samples=lambda wildcards, input: flags({"samples": list(input.samples)}),
        reading=lambda wildcards: flags(
            {
                key: COHORTS[wildcards.cohort][key]
                for key in ["format", "gene_ids", "unit", "orientation", "sample_columns"]
                if COHORTS[wildcards.cohort][key]
            }
        ),
        quality=flags(config["expression"]["quality"]),
    shell:
        "python -m bulkformer.expression.cohort --cohort {wildcards.cohort}"
        " --expression {input.expression} {params.samples} {params.reading} {params.quality}"
        " --genes {input.genes} --counts {output.counts} --log-tpm {output.log_tpm}"
        " --samples-output {output.samples} --coverage {output.coverage} > {log} 2>&1"


rule corpus:
    """Split the pretraining corpus by study before anything learns from it."""
    input:
        samples=corpus_samples(),
        coverage=corpus_coverage(),
    output:
        corpus="<results>/expression/corpus.parquet",
        summary="<results>/expression/corpus.json",
    log:
        "<logs>/expression/corpus.log",
    benchmark:
        "<benchmarks>/expression/corpus.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        samples=lambda wildcards, input: flags(
            {"samples": list(input.samples), "coverage": list(input.coverage)}
        ),
        split=flags(
            {"cohort": config["expression"]["corpus"]["cohorts"]}
            | {
                key: value
                for key, value in config["expression"]["corpus"].items()
                if key != "cohorts"
            }
        ),
        seed=config["seed"],
    shell:
        "python -m bulkformer.expression.corpus {params.samples} {params.split} --seed {params.seed}"
        " --output {output.corpus} --summary {output.summary} > {log} 2>&1"
