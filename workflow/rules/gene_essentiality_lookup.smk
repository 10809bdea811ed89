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
    """The sample vectors of a model, made once for all rows and tasks that embed in the same way."""
    cohort = config["evaluate"]["gene_essentiality"]["cohort"]
    return f"<results>/embed/{vectors_of(wildcards.model)}/{cohort}/samples.parquet"
