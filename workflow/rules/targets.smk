# Public targets: `snakemake <target>`. One a stage, one a task; they compute nothing.


localrules:
    data,
    outcomes,
    graph,
    pretrain,
    embeddings,
    h5ad,
    imputation,
    disease_annotation,
    prognosis,
    drug_response,
    perturbation,
    gene_essentiality,
    graph_ablation,
    benchmarks,
    report,


rule data:
    """Every cohort on the gene axis, the split corpus, and which other samples occur in it."""
    input:
        rules.inventory.output,
        rules.corpus.output,
        collect("<results>/expression/{cohort}/log_tpm.arrow", cohort=all_cohorts()),
        collect(
            "<results>/expression/overlap/{cohort}.parquet", cohort=scanned_cohorts(all_cohorts())
        ),
        rules.gene_sets.output,
        collect("<results>/outcomes/{table}.parquet", table=OUTCOME_TABLES),


rule outcomes:
    """What happened to patients, cell lines and treated cells, one table a kind."""
    input:
        collect("<results>/outcomes/{table}.parquet", table=OUTCOME_TABLES),


rule graph:
    """All gene graphs."""
    input:
        collect("<results>/graph/{graph}.parquet", graph=GRAPHS),


rule pretrain:
    """The pretrained BulkFormer, and the page about it."""
    input:
        rules.released_weights.output
        if config["pretrain"]["mode"] == "released"
        else rules.train.output,
        rules.model_page.output,


rule embeddings:
    """One vector a sample, for every model and every labelled cohort."""
    input:
        [
            f"<results>/embed/{model}/{cohort}/samples.parquet"
            for model, cohort in embeddings_in_use()
        ],


rule h5ad:
    """Every labelled cohort with its embeddings as one file for other programs."""
    input:
        collect("<results>/embed/{cohort}.h5ad", cohort=embedded_cohorts()),


rule imputation:
    """Imputation under both protocols: metrics of every model that can impute, and what becomes of
    differential expression."""
    input:
        wanted("imputation", "imputation_differential"),


rule disease_annotation:
    """Disease, cancer type and tissue under both protocols: metrics of every model."""
    input:
        wanted("disease_annotation"),


rule prognosis:
    """Survival of patients under both protocols: metrics of every model, and single genes."""
    input:
        wanted("prognosis"),
        prognosis_genes_table() if "prognosis" in TASKS else [],


rule drug_response:
    """Response of cell lines to compounds under both protocols: metrics of every model."""
    input:
        wanted("drug_response"),


rule perturbation:
    """What a compound changes in a cell under both protocols: metrics of every model."""
    input:
        wanted("perturbation"),


rule gene_essentiality:
    """Which genes a cell line needs under both protocols: metrics of every model."""
    input:
        wanted("gene_essentiality"),


rule graph_ablation:
    """Whether the gene graph matters: the same network on one graph after the other."""
    input:
        wanted_ablation_table,


rule benchmarks:
    """Every benchmark, joined in one long table."""
    input:
        rules.collect_metrics.output,


rule report:
    """The report as one self-contained page, and beside it those about the data and the model."""
    input:
        rules.render.output,
        rules.data_page.output,
        rules.model_page.output,
