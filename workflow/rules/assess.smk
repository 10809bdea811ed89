# Needs a run folder, the corpus and the gene sets. Makes <results>/pretrain/{run}.assessment: what the
# run knows of samples that it never learned from, and what it made of each gene. A folder of its own,
# because the run folder is what inference needs and is protected once it is there.
include: "assess_lookup.smk"


rule assess:
    """Look at a finished run gene by gene, so that one loss need not stand for all of it."""
    input:
        model=run_folder("model.safetensors"),
        config=run_folder("config.json"),
        run_genes=run_folder("genes.parquet"),
        graph=run_folder("graph.parquet"),
        history=run_folder("history.parquet"),
        cost=run_folder("cost.parquet"),
        provenance=run_folder("provenance.json"),
        genes="<results>/expression/genes.parquet",
        corpus="<results>/expression/corpus.parquet",
        stores=of_corpus("log_tpm.arrow"),
    output:
        accuracy=assessment("accuracy.parquet"),
        genes=assessment("genes.parquet"),
        deciles=assessment("deciles.parquet"),
        learning=assessment("learning.parquet"),
        vectors=assessment("gene_vectors.parquet"),
        summary=assessment("assessment.json"),
    log:
        "<logs>/pretrain/assess.log",
    benchmark:
        "<benchmarks>/pretrain/assess.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 32000 * attempt,
        runtime=720,
        gpu=1,
        # No parameter: it changes the last digits at most.
        batch_size=config["pretrain"]["execution"]["batch_size"],
    params:
        run=lambda wildcards, input: str(Path(input.model).parent),
        folder=lambda wildcards, output: str(Path(output.summary).parent),
        stores=lambda wildcards, input: flags({"store": list(input.stores)}),
        settings=flags(
            {
                "hidden": config["pretrain"]["validation"]["mask_fractions"],
                "trained_with": config["pretrain"]["training"]["mask_fraction"],
                "repeats": ASSESS["repeats"],
                "max_samples": ASSESS["max_samples"],
                "seed": config["seed"],
            }
        ),
    shell:
        "python -m bulkformer.pretrain.assess --run {params.run} --genes {input.genes}"
        " --corpus {input.corpus} {params.stores} {params.settings}"
        " --batch-size {resources.batch_size} --folder {params.folder} > {log} 2>&1"


rule gene_map:
    """Ask of the network's genes whether those of one gene set lie together more than without it."""
    input:
        vectors=assessment("gene_vectors.parquet"),
        sets="<results>/expression/gene_sets.parquet",
        graph=run_folder("graph.parquet"),
    output:
        genes=assessment("gene_map.parquet"),
        enriched=assessment("enrichment.parquet"),
        named=assessment("clusters.parquet"),
        controls=assessment("controls.parquet"),
        summary=assessment("gene_map.json"),
    log:
        "<logs>/pretrain/gene_map.log",
    benchmark:
        "<benchmarks>/pretrain/gene_map.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        outputs=lambda wildcards, output: flags(dict(output.items())),
        clusters=ASSESS["clusters"],
        of=ASSESS["map_of"],
        seed=config["seed"],
    shell:
        "python -m bulkformer.pretrain.gene_map --vectors {input.vectors} --sets {input.sets}"
        " --graph {input.graph} --clusters {params.clusters} --of {params.of} --seed {params.seed}"
        " {params.outputs} > {log} 2>&1"
