# Needs only the simulate section. Makes a small universe with known truth in the providers' own
# formats, at the places where the downloads would land, so that the demo walks the true path.
SIMULATED = {
    "archs4": "<resources>/archs4/human_gene_v2.5.h5",
    "gdc_counts": "<resources>/gdc/star_counts.tar",
    "gdc_sheet": "<resources>/gdc/sample_sheet.tsv",
    "gtex_counts": "<resources>/gtex/GTEx_Analysis_v10_RNASeQCv2.4.2_gene_reads.gct.gz",
    "gtex_attributes": "<resources>/gtex/GTEx_Analysis_v10_Annotations_SampleAttributesDS.txt",
    "matrix_counts": "<resources>/disignatlas/counts.tsv.gz",
    "matrix_samples": "<resources>/disignatlas/samples.tsv",
    "string_links": "<resources>/string/9606.protein.links.v12.0.txt.gz",
    "string_aliases": "<resources>/string/9606.protein.aliases.v12.0.txt.gz",
    "gtf": "<resources>/ensembl/Homo_sapiens.GRCh38.107.gtf.gz",
    "hgnc": "<resources>/hgnc/hgnc_complete_set.txt",
    "truth_genes": "<resources>/simulate/genes.parquet",
    "truth_edges": "<resources>/simulate/edges.parquet",
    "truth_samples": "<resources>/simulate/samples.parquet",
}


rule simulate:
    """Write the universe that the demo and the tests know the truth of."""
    output:
        **SIMULATED,
    log:
        "<logs>/simulate/universe.log",
    benchmark:
        "<benchmarks>/simulate/universe.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        universe=flags(config.get("simulate", {}) | {"seed": config["seed"]}),
        outputs=lambda wildcards, output: flags(dict(output.items())),
    shell:
        "python -m bulkformer.simulate.universe {params.universe} {params.outputs} > {log} 2>&1"


rule recovery:
    """Compare each graph with the planted one: only a simulated universe knows the answer."""
    input:
        graph="<results>/graph/{graph}.parquet",
        genes="<results>/expression/genes.parquet",
        truth_genes=SIMULATED["truth_genes"],
        truth_edges=SIMULATED["truth_edges"],
        corpus="<results>/expression/corpus.parquet",
        stores=corpus_stores(),
    output:
        "<results>/graph/{graph}.recovery.json",
    log:
        "<logs>/simulate/recovery_{graph}.log",
    benchmark:
        "<benchmarks>/simulate/recovery_{graph}.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        stores=lambda wildcards, input: flags({"store": list(input.stores)}),
    shell:
        "python -m bulkformer.simulate.recovery --graph {input.graph} --genes {input.genes}"
        " --truth-genes {input.truth_genes} --truth-edges {input.truth_edges}"
        " --corpus {input.corpus} {params.stores} --output {output} > {log} 2>&1"
