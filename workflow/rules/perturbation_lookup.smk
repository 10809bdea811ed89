# What the rules of perturbation.smk ask the models table; a function, and therefore in a file of its
# own.


def perturbation_vectors_of(model):
    """What a model makes of control profiles; none for a row whose heads need no vectors.

    Rows that differ in the head alone share their vectors.
    """

    def kind(name):
        return [MODELS[name][column] for column in ["embedder", "weights", "settings"]]

    if MODELS[model]["embedder"] == "library_size":
        return []
    first = next(name for name in models_of("perturbation") if kind(name) == kind(model))
    return [f"<results>/evaluate/perturbation/vectors/{first}.parquet"]
