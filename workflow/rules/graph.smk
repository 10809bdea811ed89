# Needs the gene axis, the corpus, STRING and the Gene Ontology. Makes <results>/graph/{graph}.parquet,
# each with a JSON that says how it was made and from which samples; and the gene sets of MSigDB.


rule coexpression:
    """Connect genes that vary together in training samples; held-out samples take no part."""
    input:
        genes="<results>/expression/genes.parquet",
        corpus="<results>/expression/corpus.parquet",
        stores=of_corpus("log_tpm.arrow"),
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
    """Connect genes whose proteins interact, whatever their expression in the cohorts of this run."""
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
            {
                key: config["graph"]["string"][key]
                for key in ["format", "channels", "min_combined_score"]
            }
        ),
    shell:
        "python -m bulkformer.graph.string_ppi --genes {input.genes} --links {input.links}"
        " {params.aliases} {params.settings}"
        " --output {output.graph} --summary {output.summary} > {log} 2>&1"


rule union:
    """Join graphs, so that the evidence of any of them makes two genes neighbours."""
    input:
        graphs=collect("<results>/graph/{graph}.parquet", graph=config["graph"]["union"]),
        summaries=collect("<results>/graph/{graph}.json", graph=config["graph"]["union"]),
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
        graphs=lambda wildcards, input: flags(
            {"graph": list(input.graphs), "graph_summary": list(input.summaries)}
        ),
    shell:
        "python -m bulkformer.graph.combine {params.graphs}"
        " --output {output.graph} --summary {output.summary} > {log} 2>&1"


rule gene_ontology:
    """Connect genes that are annotated alike: what people know of them, not how they vary."""
    input:
        **gene_ontology_files(),
        genes="<results>/expression/genes.parquet",
    output:
        graph="<results>/graph/gene_ontology.parquet",
        summary="<results>/graph/gene_ontology.json",
    log:
        "<logs>/graph/gene_ontology.log",
    benchmark:
        "<benchmarks>/graph/gene_ontology.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        files=lambda wildcards, input: flags(
            {key: list(input.get(key)) for key in gene_ontology_files()}
        ),
        settings=flags(
            {
                key: value
                for key, value in config["graph"]["gene_ontology"].items()
                if key not in ["ontology", "associations", "gene_sets"]
            }
        ),
    shell:
        "python -m bulkformer.graph.ontology --genes {input.genes} {params.files} {params.settings}"
        " --output {output.graph} --summary {output.summary} > {log} 2>&1"


rule control:
    """Make a graph that shares with another only its size or its degrees, to be compared with."""
    input:
        of=f"<results>/graph/{controlled_graph()}.parquet",
        of_summary=f"<results>/graph/{controlled_graph()}.json",
    output:
        graph="<results>/graph/{control}.parquet",
        summary="<results>/graph/{control}.json",
    log:
        "<logs>/graph/{control}.log",
    benchmark:
        "<benchmarks>/graph/{control}.jsonl"
    wildcard_constraints:
        control="|".join(CONTROLS),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        seed=config["seed"],
    shell:
        "python -m bulkformer.graph.controls --kind {wildcards.control} --seed {params.seed}"
        " --of {input.of} --of-summary {input.of_summary}"
        " --output {output.graph} --summary {output.summary} > {log} 2>&1"


rule gene_sets:
    """Bring collections of gene sets onto the gene axis, so that old symbols mean today's genes."""
    input:
        genes="<results>/expression/genes.parquet",
        collections=[resource(path) for path in config["graph"]["gene_sets"]["collections"]],
    output:
        sets="<results>/expression/gene_sets.parquet",
        summary="<results>/expression/gene_sets.json",
    log:
        "<logs>/graph/gene_sets.log",
    benchmark:
        "<benchmarks>/graph/gene_sets.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        collections=lambda wildcards, input: flags({"collection": list(input.collections)}),
    shell:
        "python -m bulkformer.graph.gene_sets --genes {input.genes} {params.collections}"
        " --output {output.sets} --summary {output.summary} > {log} 2>&1"
