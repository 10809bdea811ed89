# Needs the corpus and one graph. Makes <results>/pretrain/{run}: weights, configuration, genes, graph
# and history, all that inference needs in one folder.
#
# This is the one rule that may run for weeks. It reruns when its data, its settings or `revision`
# change, and never for a cosmetic change of the library. Checkpoints lie in a folder that is not
# an output, keyed by a hash of the settings: a failed or killed job goes on where it stopped.
include: "pretrain_lookup.smk"


rule train:
    """Learn gene-gene structure by predicting masked expression values."""
    input:
        genes="<results>/expression/genes.parquet",
        corpus="<results>/expression/corpus.parquet",
        stores=ancient(of_corpus("log_tpm.arrow")),
        start=training_start(),
        gene_table=gene_table(),
    output:
        model=protected(trained_folder("model.safetensors")),
        config=trained_folder("config.json"),
        genes=trained_folder("genes.parquet"),
        graph=trained_folder("graph.parquet"),
        history=trained_folder("history.parquet"),
        cost=trained_folder("cost.parquet"),
        provenance=trained_folder("provenance.json"),
    log:
        f"<logs>/pretrain/{config['pretrain']['run']}.log",
    benchmark:
        "<benchmarks>/pretrain/train.jsonl"
    # Everything that uses the model waits for it: start it as soon as it can run.
    priority: 50
    conda:
        "../../envs/torch.yaml"
    # Each process wants two, one of which reads ahead.
    threads: max(8, 2 * config["pretrain"]["execution"]["processes"])
    resources:
        mem_mb=lambda wildcards, attempt: 64000 * attempt,
        runtime=2880,
        gpu=config["pretrain"]["execution"]["processes"],
        # No parameter: it decides how fast the result comes and not what it is, so that changing it
        # trains nothing again.
        execution=as_json(config["pretrain"]["execution"]),
    params:
        stores=lambda wildcards, input: flags({"store": list(input.stores)}),
        settings=flags(
            {
                section: as_json(config["pretrain"][section])
                for section in ["model", "training", "validation"]
            }
            | {"seed": config["seed"], "revision": config["pretrain"]["revision"]}
        ),
        start=training_start_flag,
        gene_table=gene_table_flag,
        folder=lambda wildcards, output: str(Path(output.model).parent),
        state=lambda wildcards, output: f"{Path(output.model).parent}.state",
    # tee must outlive a signal to the whole job, or the trainer could not say, nor save, anything. A
    # run that goes on adds to its log.
    shell:
        "python -m bulkformer.pretrain.train --genes {input.genes} --corpus {input.corpus}"
        " {params.stores} {params.start} {params.gene_table} {params.settings}"
        " --execution {resources.execution:q}"
        " --folder {params.folder} --state {params.state} 2>&1"
        " | (trap '' TERM USR1 INT; exec tee -a {log})"


rule released_weights:
    """Make a run folder of weights that exist already, so that they are a model like any other."""
    input:
        released_files().values(),
    output:
        model=released_folder("model.safetensors"),
        config=released_folder("config.json"),
        genes=released_folder("genes.parquet"),
        graph=released_folder("graph.parquet"),
        history=released_folder("history.parquet"),
        cost=released_folder("cost.parquet"),
        provenance=released_folder("provenance.json"),
    log:
        "<logs>/pretrain/released_weights.log",
    benchmark:
        "<benchmarks>/pretrain/released_weights.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        format=RELEASED["format"],
        source=released_options,
        licence=licence_of_released(),
        folder=lambda wildcards, output: str(Path(output.model).parent),
    shell:
        "python -m bulkformer.pretrain.released --format {params.format} {params.source}"
        " --licence {params.licence:q} --folder {params.folder} > {log} 2>&1"


rule protein_embeddings:
    """Read the protein of every gene with ESM2, so that genes can begin as what they encode."""
    input:
        **PROTEIN_FILES,
        genes="<results>/expression/genes.parquet",
    output:
        table="<results>/pretrain/protein_embeddings.parquet",
        summary="<results>/pretrain/protein_embeddings.json",
    log:
        "<logs>/pretrain/protein_embeddings.log",
    benchmark:
        "<benchmarks>/pretrain/protein_embeddings.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=2880,
        gpu=1,
        # No parameter: it changes the last digits at most.
        batch_residues=PROTEINS["batch_residues"],
    params:
        windows=PROTEINS["windows"],
        state=lambda wildcards, output: f"{Path(output.table).with_suffix('')}.state",
    shell:
        "python -m bulkformer.pretrain.protein_embeddings --genes {input.genes}"
        " --esm2 {input.esm2} --peptides {input.peptides} --annotation {input.annotation}"
        " --windows {params.windows} --batch-residues {resources.batch_residues}"
        " --state {params.state} --output {output.table} > {log} 2>&1"


rule released_protein_embeddings:
    """Put the protein embeddings that the authors published in the order of this vocabulary."""
    input:
        **MATRIX_FILES,
        genes="<results>/expression/genes.parquet",
    output:
        table="<results>/pretrain/released_protein_embeddings.parquet",
        summary="<results>/pretrain/released_protein_embeddings.json",
    log:
        "<logs>/pretrain/released_protein_embeddings.log",
    benchmark:
        "<benchmarks>/pretrain/released_protein_embeddings.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        format=PROTEINS["matrix_genes_format"],
    shell:
        "python -m bulkformer.pretrain.released_protein_embeddings --genes {input.genes}"
        " --matrix {input.matrix} --matrix-genes {input.matrix_genes}"
        " --matrix-genes-format {params.format} --output {output.table} > {log} 2>&1"
