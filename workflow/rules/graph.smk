# Needs the gene axis, the corpus and STRING. Makes <results>/graph/{graph}.parquet, each with a JSON
# that says how it was made and from which samples.


rule coexpression:
    """Connect genes that vary together in training samples; held-out samples take no part."""
    input:
        genes="<results>/expression/genes.parquet",
        corpus="<results>/expression/corpus.parquet",
        stores=corpus_stores(),
    output:
        graph="<results>/graph/coexpression.parquet",
        summary="<results>/graph/coexpression.json",
    log:
        "<logs>/graph/coexpression.log",
    benchmark:
        "<benchmarks>/graph/coexpression.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=240,
    params:
        stores=lambda wildcards, input: flags({"store": list(input.stores)}),
        settings=flags(config["graph"]["coexpression"] | {"seed": config["seed"]}),
    shell:
        "python -m bulkformer.graph.coexpression --genes {input.genes} --corpus {input.corpus}"
        " {params.stores} {params.settings}"
        " --output {output.graph} --summary {output.summary} > {log} 2>&1"


rule string:
    """Connect genes whose proteins interact, independently of any expression data."""
    input:
        genes="<results>/expression/genes.parquet",
        links=resource(config["graph"]["string"]["links"]),
        aliases=[resource(path) for path in [config["graph"]["string"].get("aliases")] if path],
    output:
        graph="<results>/graph/string.parquet",
        summary="<results>/graph/string.json",
    log:
        "<logs>/graph/string.log",
    benchmark:
        "<benchmarks>/graph/string.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        aliases=lambda wildcards, input: flags({"aliases": list(input.aliases)}),
        settings=flags(
            {key: config["graph"]["string"][key] for key in ["format", "min_combined_score"]}
        ),
    shell:
        "python -m bulkformer.graph.string_ppi --genes {input.genes} --links {input.links}"
        " {params.aliases} {params.settings}"
        " --output {output.graph} --summary {output.summary} > {log} 2>&1"


rule union:
    """Join co-expression and STRING, so that either evidence makes two genes neighbours."""
    input:
        graphs=collect("<results>/graph/{graph}.parquet", graph=["coexpression", "string"]),
    output:
        graph="<results>/graph/union.parquet",
        summary="<results>/graph/union.json",
    log:
        "<logs>/graph/union.log",
    benchmark:
        "<benchmarks>/graph/union.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        graphs=lambda wildcards, input: flags({"graph": list(input.graphs)}),
    shell:
        "python -m bulkformer.graph.combine {params.graphs}"
        " --output {output.graph} --summary {output.summary} > {log} 2>&1"
