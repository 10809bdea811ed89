# What the config says of the tasks: which run, on which cohorts, with which models.
ALL_TASKS = [
    "imputation",
    "disease_annotation",
    "prognosis",
    "drug_response",
    "perturbation",
    "gene_essentiality",
]
# Those with a section in the config; null leaves one out.
TASKS = [task for task in ALL_TASKS if config["evaluate"].get(task)]
# Those that predict from sample vectors of one cohort, beside disease_annotation.
VECTOR_TASKS = ["prognosis", "drug_response", "gene_essentiality"]


for model, row in MODELS.items():
    for task in row["tasks"].split(","):
        if task not in ALL_TASKS:
            raise WorkflowError(
                f"{config['tables']['models']}, model {model}: no task '{task}'; "
                f"known are {', '.join(ALL_TASKS)}"
            )


def models_of(task):
    return [name for name, row in MODELS.items() if task in row["tasks"].split(",")]


def labelled_cohorts():
    return sorted({d["cohort"] for d in config["evaluate"]["disease_annotation"]["datasets"]})


def embedded_cohorts():
    """The cohorts whose samples are turned into vectors, for whichever task."""
    further = {config["evaluate"][task]["cohort"] for task in VECTOR_TASKS if task in TASKS}
    return sorted(further.union(labelled_cohorts()))


def labelled_cohort(dataset):
    """The cohort whose labels a dataset of disease_annotation asks for."""
    cohorts = {d["name"]: d["cohort"] for d in config["evaluate"]["disease_annotation"]["datasets"]}
    return look_up(cohorts, dataset, "config, evaluate.disease_annotation.datasets")


def embeddings_in_use():
    """(model, cohort) of every set of sample vectors that a task asks for, each once."""
    asked = [
        (model, cohort)
        for task in TASKS
        if task in ["disease_annotation", *VECTOR_TASKS]
        for model in models_of(task)
        for cohort in (
            labelled_cohorts()
            if task == "disease_annotation"
            else [config["evaluate"][task]["cohort"]]
        )
    ]
    return list(dict.fromkeys(asked))


def embeddings_of(cohort, file):
    """A file of every model with an embedding of its own; none for a cohort that no task embeds.

    Several rows may differ in the head alone, and an embedding by log_tpm is the expression itself.
    """
    own = {}
    for model in (name for name, of in embeddings_in_use() if of == cohort):
        row = MODELS[model]
        if row["embedder"] != "log_tpm":
            own.setdefault((row["embedder"], row["weights"], row["settings"]), model)
    return [f"<results>/embed/{model}/{cohort}/{file}" for model in own.values()]


def cohorts_of(task):
    """The cohorts that a task tests on, after those of the corpus that models learned from."""
    settings = config["evaluate"][task]
    tested = {
        "imputation": lambda: settings["external_cohorts"],
        "disease_annotation": labelled_cohorts,
        "perturbation": lambda: [],  # its profiles are an outcome and no cohort
    }.get(task, lambda: [settings["cohort"]])
    return list(dict.fromkeys(config["expression"]["corpus"]["cohorts"] + tested()))


def all_cohorts():
    """Every cohort that the config uses anywhere, each once."""
    used = [cohort for task in TASKS for cohort in cohorts_of(task)]
    return list(dict.fromkeys(used + config["expression"]["further_cohorts"]))


def configuration_of(task, model):
    """Everything in the config that shapes the numbers of a model in a task, to be hashed."""
    trained = MODELS[model]["embedder"] == "bulkformer"
    idle = {"execution", "assess", *([] if uses_released() else ["released"])}
    if not gene_table():
        idle.add("protein_embeddings")
    pretrain = {key: value for key, value in config["pretrain"].items() if key not in idle}
    return {
        "task": config["evaluate"][task],
        "model": MODELS[model],
        "pretrain": pretrain if trained else None,
    }


def metrics_of(*tasks):
    return [
        f"<results>/evaluate/{task}/{protocol}/{model}/metrics.parquet"
        for task in tasks
        for protocol in PROTOCOLS
        for model in models_of(task)
    ]
