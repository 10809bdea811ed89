# Needs the files of the sources stage. Makes the gene vocabulary, one store of counts and one of
# ln(TPM + 1) for each cohort, the pretraining corpus with its split by study and without copies,
# and the samples of other cohorts that occur in it.


rule genes:
    """Fix the gene axis once, so that every matrix downstream has the same columns."""
    input:
        annotation=resource(config["expression"]["vocabulary"]["annotation"]),
        identifiers=[
            resource(path)
            for path in [config["expression"]["vocabulary"].get("identifiers")]
            if path
        ],
        gene_list=[
            resource(path) for path in [config["expression"]["vocabulary"]["gene_list"]] if path
        ],
        length_table=[
            resource(path)
            for path in [config["expression"]["vocabulary"]["length_table"]]
            if path and config["expression"]["vocabulary"]["lengths"] == "paper"
        ],
    output:
        genes="<results>/expression/genes.parquet",
        annotation="<results>/expression/annotation.parquet",
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
        files=lambda wildcards, input: flags(
            {name: list(input[name]) for name in ["identifiers", "gene_list", "length_table"]}
        ),
        settings=flags(
            {"biotype": config["expression"]["vocabulary"]["biotypes"]}
            | {
                key: config["expression"]["vocabulary"][key]
                for key in ["format", "gene_list_format", "lengths", "par_y"]
            }
        ),
    shell:
        "python -m bulkformer.expression.genes --annotation {input.annotation}"
        " {params.files} {params.settings}"
        " --output {output.genes} --all-genes {output.annotation} > {log} 2>&1"


rule cohort:
    """Bring one cohort onto the gene axis: counts, ln(TPM + 1), and who was kept and why."""
    input:
        genes="<results>/expression/genes.parquet",
        expression=lambda wildcards: resource(
            look_up(COHORTS, wildcards.cohort, config["tables"]["cohorts"])["expression"]
        ),
        samples=lambda wildcards: [
            resource(path) for path in [COHORTS[wildcards.cohort]["samples"]] if path
        ],
        annotation=[
            path
            for path in ["<results>/expression/annotation.parquet"]
            if config["expression"]["tpm_denominator"] != "vocabulary"
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
    # Other formats are read by one thread, and several cohorts at once.
    threads: lambda wildcards: 4 if COHORTS[wildcards.cohort]["format"] == "archs4" else 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=720,
    params:
        files=lambda wildcards, input: flags(
            {name: list(input[name]) for name in ["samples", "annotation"]}
        ),
        reading=lambda wildcards: flags(
            {
                key: COHORTS[wildcards.cohort][key]
                for key in [
                    "format",
                    "gene_ids",
                    "unit",
                    "transform",
                    "orientation",
                    "sample_columns",
                ]
                if COHORTS[wildcards.cohort][key]
            }
        ),
        quality=flags(
            config["expression"]["quality"]
            | {"tpm_denominator": config["expression"]["tpm_denominator"]}
        ),
    shell:
        "python -m bulkformer.expression.cohort --cohort {wildcards.cohort}"
        " --expression {input.expression} {params.files} {params.reading} {params.quality}"
        " --genes {input.genes} --threads {threads}"
        " --counts {output.counts} --log-tpm {output.log_tpm}"
        " --samples-output {output.samples} --coverage {output.coverage} > {log} 2>&1"


rule background:
    """Learn what all profiles have in common, because copies show only in what is left."""
    input:
        stores=of_corpus("log_tpm.arrow"),
    output:
        "<results>/expression/background.parquet",
    log:
        "<logs>/expression/background.log",
    benchmark:
        "<benchmarks>/expression/background.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        stores=lambda wildcards, input: flags({"store": list(input.stores)}),
    shell:
        "python -m bulkformer.expression.background {params.stores} --output {output} > {log} 2>&1"


rule sketch:
    """Shrink each profile to a few bits, so that copies are found without comparing all pairs."""
    input:
        store="<results>/expression/{cohort}/log_tpm.arrow",
        background="<results>/expression/background.parquet",
    output:
        "<results>/expression/{cohort}/sketch.parquet",
    log:
        "<logs>/expression/sketch_{cohort}.log",
    benchmark:
        "<benchmarks>/expression/sketch_{cohort}.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        seed=config["seed"],
    shell:
        "python -m bulkformer.expression.sketch --store {input.store}"
        " --background {input.background} --seed {params.seed} --output {output} > {log} 2>&1"


rule duplicates:
    """Find profiles that the corpus holds under several names, before it is split."""
    input:
        samples=of_corpus("samples.parquet"),
        sketches=of_corpus("sketch.parquet"),
        stores=of_corpus("log_tpm.arrow"),
        background="<results>/expression/background.parquet",
    output:
        "<results>/expression/duplicates.parquet",
    log:
        "<logs>/expression/duplicates.log",
    benchmark:
        "<benchmarks>/expression/duplicates.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        cohorts=lambda wildcards, input: flags(
            {
                "cohort": config["expression"]["corpus"]["cohorts"],
                "samples": list(input.samples),
                "sketch": list(input.sketches),
                "store": list(input.stores),
            }
        ),
        thresholds=flags(
            {key: config["expression"]["corpus"][key] for key in DUPLICATE_CORRELATIONS}
        ),
    shell:
        "python -m bulkformer.expression.duplicates {params.cohorts} {params.thresholds}"
        " --background {input.background} --output {output} > {log} 2>&1"


rule corpus:
    """Split the pretraining corpus by study before anything learns from it."""
    input:
        samples=of_corpus("samples.parquet"),
        coverage=of_corpus("coverage.json"),
        duplicates="<results>/expression/duplicates.parquet",
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
                if key not in ["cohorts", *DUPLICATE_CORRELATIONS]
            }
        ),
        seed=config["seed"],
    shell:
        "python -m bulkformer.expression.corpus {params.samples} {params.split} --seed {params.seed}"
        " --found {input.duplicates} --output {output.corpus} --summary {output.summary}"
        " > {log} 2>&1"


rule overlap:
    """Look a cohort up in the corpus: a test on samples that a model learned from is no test."""
    input:
        samples="<results>/expression/{cohort}/samples.parquet",
        sketch="<results>/expression/{cohort}/sketch.parquet",
        store="<results>/expression/{cohort}/log_tpm.arrow",
        corpus="<results>/expression/corpus.parquet",
        duplicates="<results>/expression/duplicates.parquet",
        corpus_samples=of_corpus("samples.parquet"),
        corpus_sketches=of_corpus("sketch.parquet"),
        corpus_stores=of_corpus("log_tpm.arrow"),
        background="<results>/expression/background.parquet",
    output:
        overlap="<results>/expression/overlap/{cohort}.parquet",
        summary="<results>/expression/overlap/{cohort}.json",
    log:
        "<logs>/expression/overlap_{cohort}.log",
    benchmark:
        "<benchmarks>/expression/overlap_{cohort}.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        corpus=lambda wildcards, input: flags(
            {
                "corpus_cohort": config["expression"]["corpus"]["cohorts"],
                "corpus_samples": list(input.corpus_samples),
                "corpus_sketch": list(input.corpus_sketches),
                "corpus_store": list(input.corpus_stores),
            }
        ),
        correlation=config["expression"]["corpus"]["duplicate_correlation_across"],
    shell:
        "python -m bulkformer.expression.overlap --cohort {wildcards.cohort}"
        " --samples {input.samples} --sketch {input.sketch} --store {input.store}"
        " --corpus {input.corpus} --found {input.duplicates} {params.corpus}"
        " --background {input.background} --correlation {params.correlation}"
        " --output {output.overlap} --summary {output.summary} > {log} 2>&1"
