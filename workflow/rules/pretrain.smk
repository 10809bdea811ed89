# Needs the corpus and one graph. Makes <results>/pretrain/{run}: weights, configuration, genes, graph
# and history, all that inference needs in one folder.
#
# This is the one rule that may run for weeks. It reruns when its data, its settings or `revision`
# change, and never for a cosmetic change of the library. Checkpoints lie in a folder that is not
# an output, keyed by a hash of the settings: a failed or killed job goes on where it stopped.


rule train:
    """Learn gene-gene structure by predicting masked expression values."""
    input:
        genes="<results>/expression/genes.parquet",
        corpus="<results>/expression/corpus.parquet",
        stores=ancient(of_corpus("log_tpm.arrow")),
        graph=f"<results>/graph/{config['pretrain']['graph']}.parquet",
    output:
        model=protected(run_folder("model.safetensors")),
        config=run_folder("config.json"),
        genes=run_folder("genes.parquet"),
        graph=run_folder("graph.parquet"),
        history=run_folder("history.parquet"),
        provenance=run_folder("provenance.json"),
    log:
        "<logs>/pretrain/train.log",
    benchmark:
        "<benchmarks>/pretrain/train.jsonl"
    # Everything that uses the model waits for it: start it as soon as it can run.
    priority: 50
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 64000 * attempt,
        runtime=2880,
        gpu=1,
        # No parameter: it decides when state is saved and nothing about the result, so that changing
        # it trains nothing again.
        checkpoint_minutes=config["pretrain"]["checkpoint_minutes"],
    params:
        stores=lambda wildcards, input: flags({"store": list(input.stores)}),
        settings=flags(
            config["pretrain"]["model"]
            | config["pretrain"]["training"]
            | {"seed": config["seed"], "revision": config["pretrain"]["revision"]}
        ),
        folder=lambda wildcards, output: str(Path(output.model).parent),
        state=lambda wildcards, output: f"{Path(output.model).parent}.state",
    # tee must outlive a signal to the whole job, or the trainer could not say, nor save, anything.
    shell:
        "python -m bulkformer.pretrain.train --genes {input.genes} --corpus {input.corpus}"
        " {params.stores} --graph {input.graph} {params.settings}"
        " --checkpoint-minutes {resources.checkpoint_minutes}"
        " --folder {params.folder} --state {params.state} 2>&1"
        " | (trap '' TERM USR1 INT; exec tee {log})"
