# What the rules of gene essentiality ask of the models table.
def has_gene_tokens(model):
    """Whether the paper's head is fitted to the gene tokens of a model: it has them, and no heads
    of its own."""
    return MODELS[model]["embedder"] == "bulkformer" and not MODELS[model]["heads"]


def gene_tokens(wildcards):
    """The gene tokens of a model that has them."""
    cohort = config["evaluate"]["gene_essentiality"]["cohort"]
    tokens = f"<results>/embed/{wildcards.model}/{cohort}/genes/gene_essentiality.arrow"
    return [tokens] if has_gene_tokens(wildcards.model) else []


def vectors_of_lines(wildcards):
    """The sample vectors of a model; rows that differ in the head alone share the first one's."""
    described = [MODELS[wildcards.model][column] for column in ["embedder", "weights", "settings"]]
    model = next(
        name
        for name in models_of("gene_essentiality")
        if [MODELS[name][column] for column in ["embedder", "weights", "settings"]] == described
    )
    cohort = config["evaluate"]["gene_essentiality"]["cohort"]
    return f"<results>/embed/{model}/{cohort}/samples.parquet"
