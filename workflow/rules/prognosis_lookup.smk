# What the rules of prognosis ask of the config and the models table.
def settings_without_genes():
    """The section less what the arm of single genes alone reads: to name a gene refits nothing."""
    section = config["evaluate"]["prognosis"]
    legacy = {key: value for key, value in section["legacy"].items() if key != "genes"}
    return as_json(section | {"legacy": legacy})


def prognosis_genes_table():
    """The table of single genes, if the config names any."""
    asked = (config["evaluate"].get("prognosis") or {}).get("legacy", {}).get("genes")
    return ["<results>/evaluate/prognosis_genes.parquet"] if asked else []


def models_of_single_genes():
    """The models that have gene tokens, and whose heads are the protocol's own."""
    return [
        model
        for model in models_of("prognosis")
        if MODELS[model]["embedder"] == "bulkformer" and not MODELS[model]["heads"]
    ]
