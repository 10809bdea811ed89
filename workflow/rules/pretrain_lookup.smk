# Which run folder holds which weights; functions, and therefore in a file of their own. A folder has
# one maker whatever the mode: what the mode does not ask for gets another name, and is never made.
RELEASED = config["pretrain"]["released"]
LATEST_BUNDLE = [
    "model.pt",
    "manifest.json",
    "model_config.json",
    "gene_vocab.csv",
    "edge_index.pt",
    "edge_weight.pt",
]
RUN_FOLDER = ["model.safetensors", "config.json", "genes.parquet", "graph.parquet"]
# What tables call the weights of the run, by the mode that made them.
WEIGHTS_OF_MODE = {"train": "trained", "released": "released", "fine-tune": "fine_tuned"}

for row in MODELS.values():
    if row["embedder"] == "bulkformer" and row["weights"] == "trained":
        row["weights"] = WEIGHTS_OF_MODE[config["pretrain"]["mode"]]


def check_pretrain():
    """Stop before anything runs where settings that are each allowed contradict each other."""
    mode, model = config["pretrain"]["mode"], config["pretrain"]["model"]
    hidden = config["pretrain"]["training"]["mask_fraction"]
    if isinstance(hidden, list) and hidden[0] > hidden[1]:
        raise WorkflowError(
            f"pretrain.training.mask_fraction: {hidden} is no range; write the lower share first"
        )
    sizes = {name: model.get(name) for name in ["dim", "layers", "heads"]}
    absent = [name for name, size in sizes.items() if size is None]
    if mode == "train" and model["preset"] is None and absent:
        raise WorkflowError(
            f"pretrain.model: without a preset, {', '.join(absent)} must be given as well"
        )
    if mode == "train" and sizes["dim"] and sizes["heads"] and sizes["dim"] % sizes["heads"]:
        raise WorkflowError(
            f"pretrain.model: heads ({sizes['heads']}) must divide dim ({sizes['dim']})"
        )
    if mode != "train" and config["sources"]["mode"] == "simulate":
        for path in released_files().values():
            if path.startswith("<resources>"):
                raise WorkflowError(
                    f"pretrain.mode: '{mode}' needs released weights, and a simulated universe has "
                    "none; name files of your own in pretrain.released, or train"
                )


def folder_of_run(file, maker):
    """A file of the run that `maker`, train or released, makes."""
    run = config["pretrain"]["run"]
    makes_run = (config["pretrain"]["mode"] == "released") == (maker == "released")
    return f"<results>/pretrain/{run if makes_run else f'{run}_{maker}'}/{file}"


def trained_folder(file):
    return folder_of_run(file, "train")


def released_folder(file):
    return folder_of_run(file, "released")


def uses_released():
    """Whether any model of this run has weights that existed before."""
    own = [row["weights"] for row in MODELS.values()]
    return config["pretrain"]["mode"] != "train" or "released" in own


def released_files():
    """The files that the released weights are read from, by the option that names them."""
    if RELEASED["format"] == "paper":
        keys = ["weights", "genes", "edge_index", "edge_weight", "lengths"]
        files = {key: RELEASED[key] for key in keys if RELEASED[key]}
    elif RELEASED["folder"] is None:
        raise WorkflowError(
            f"pretrain.released.folder: the format {RELEASED['format']} needs the folder of the files"
        )
    else:
        names = (
            LATEST_BUNDLE if RELEASED["format"] == "latest" else [*RUN_FOLDER, "provenance.json"]
        )
        files = {name: f"{RELEASED['folder']}/{name}" for name in names}
    if not uses_released():
        # The run does not rest on them: they are neither looked for nor listed.
        return {key: located(path) for key, path in files.items()}
    for key, path in files.items():
        check_on_disk(path, f"config, pretrain.released, {key}")
    return {key: resource(path) for key, path in files.items()}


def released_options(wildcards, input):
    """How the step finds these files."""
    if RELEASED["format"] != "paper":
        return flags({"source": str(Path(input[0]).parent)})
    own = {key: RELEASED[key] for key in ["genes_format", "sha256"] if RELEASED[key]}
    return flags(dict(zip(released_files(), input)) | own)


def licence_of_released():
    """The terms of the weights as the sources table states them; a run folder states its own."""
    first = RELEASED["weights"]
    if RELEASED["format"] == "latest":
        first = f"{RELEASED['folder']}/{LATEST_BUNDLE[0]}"
    entry = SOURCES.get(tuple(first.split("/")))
    return entry["licence"] if entry and RELEASED["format"] != "run" else "not stated"


def training_start():
    """The files from which training starts: a gene graph, or a run folder in whose weights it goes on."""
    if config["pretrain"]["mode"] == "fine-tune":
        return [released_folder(name) for name in [*RUN_FOLDER, "provenance.json"]]
    return [f"<results>/graph/{config['pretrain']['graph']}.parquet"]


def training_start_flag(wildcards, input):
    if config["pretrain"]["mode"] == "fine-tune":
        return f"--start {Path(input.start[0]).parent}"
    return f"--graph {input.start}"


def exposure_of_release():
    """What the makers of existing weights say that these have seen, if a model has such weights."""
    return [released_folder("provenance.json")] if uses_released() else []


def graph_of_exposure():
    """What the graph of untrained and newly trained networks was made from, if it is of this run."""
    if config["pretrain"]["mode"] != "train":
        return []
    return [f"<results>/graph/{config['pretrain']['graph']}.json"]


PROTEINS = config["pretrain"]["protein_embeddings"]


def gene_table():
    """The table that genes begin with, if a new network is to begin with their proteins."""
    made_here = config["pretrain"]["mode"] == "train"
    if not made_here or config["pretrain"]["model"]["gene_identity"] != "esm2":
        return []
    released = "released_" if PROTEINS["source"] == "released" else ""
    return [f"<results>/pretrain/{released}protein_embeddings.parquet"]


def gene_table_flag(wildcards, input):
    return f"--gene-table {input.gene_table}" if input.gene_table else ""


def protein_inputs(files, source):
    """Where these files are; the run rests on them only if it takes its gene table from there."""
    if not gene_table() or PROTEINS["source"] != source:
        return {name: located(path) for name, path in files.items()}
    for name, path in files.items():
        check_on_disk(path, f"config, pretrain.protein_embeddings, {name}")
    return {name: resource(path) for name, path in files.items()}


def esm2_files():
    """The weights, and the four files that have to lie beside them."""
    folder = str(Path(PROTEINS["esm2"]).parent)
    names = ["config.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"]
    return {"esm2": PROTEINS["esm2"]} | {Path(name).stem: f"{folder}/{name}" for name in names}


PROTEIN_FILES = protein_inputs(
    esm2_files() | {name: PROTEINS[name] for name in ["peptides", "annotation"]}, "compute"
)
MATRIX_FILES = protein_inputs(
    {name: PROTEINS[name] for name in ["matrix", "matrix_genes"]}, "released"
)


check_pretrain()
