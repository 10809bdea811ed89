# What the rules of drug response ask of the models table.
def sees_a_panel(model):
    """Whether a head of the model is confined to the genes of a panel."""
    return "panel_ridge" in MODELS[model]["heads"].split(",")


def response_panel(wildcards):
    """The list of genes that such a head sees."""
    panel = config["evaluate"]["drug_response"]["panel"]
    return [resource(panel)] if panel and sees_a_panel(wildcards.model) else []


def panel_genes(wildcards):
    """The vocabulary, in which the panel is looked up."""
    return ["<results>/expression/genes.parquet"] if sees_a_panel(wildcards.model) else []
