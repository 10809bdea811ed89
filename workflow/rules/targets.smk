# Public targets: `snakemake <target>`. One a stage, one a task; they compute nothing.


localrules:
    data,
    graph,
    pretrain,
    embeddings,
    imputation,
    disease_annotation,
    benchmarks,
    report,


rule data:
    """Every cohort on the gene axis, and the split corpus."""
    input:
        rules.corpus.output,
        collect("<results>/expression/{cohort}/log_tpm.arrow", cohort=all_cohorts()),


rule graph:
    """All gene graphs."""
    input:
        collect("<results>/graph/{graph}.parquet", graph=GRAPHS),


rule pretrain:
    """The pretrained BulkFormer."""
    input:
        rules.train.output,


rule embeddings:
    """One vector a sample, for every model and every labelled cohort."""
    input:
        collect(
            "<results>/embed/{model}/{cohort}/samples.parquet",
            model=models_of("disease_annotation"),
            cohort=embedded_cohorts(),
        ),


rule imputation:
    """Imputation under both protocols: metrics of every model that can impute."""
    input:
        metrics_of("imputation"),


rule disease_annotation:
    """Disease, cancer type and tissue under both protocols: metrics of every model."""
    input:
        metrics_of("disease_annotation"),


rule benchmarks:
    """Every benchmark, joined in one long table."""
    input:
        rules.collect_metrics.output,


rule report:
    """The report as one self-contained page."""
    input:
        rules.render.output,
