# What the config says of the tasks: which run, on which cohorts, with which models.
ALL_TASKS = [
    "imputation",
    "disease_annotation",
    "prognosis",
    "drug_response",
    "perturbation",
    "gene_essentiality",
    # A further step of imputation, with a section and models of its own.
    "imputation_differential",
]
# Those with a section in the config; null leaves one out.
TASKS = [task for task in ALL_TASKS if config["evaluate"].get(task)]
# Trains networks of its own, and scores them by imputation; its table is no part of the metrics.
EXPERIMENTS = [
    name for name in ["graph_ablation"] if config["evaluate"].get(name) and "imputation" in TASKS
]
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
    """The rows of the models table that a task runs: all that name it, less those left out."""
    left_out = (config["evaluate"].get(task) or {}).get("without", [])
    for name in left_out:
        look_up(MODELS, name, f"config, evaluate.{task}.without")
    return [
        name
        for name, row in MODELS.items()
        if task in row["tasks"].split(",") and name not in left_out
    ]


def section_of(task):
    """The section of a task; stop with its key if the config leaves it out."""
    if task not in ALL_TASKS:
        raise WorkflowError(f"no task '{task}'; known are {', '.join(ALL_TASKS)}")
    if task not in TASKS:
        raise WorkflowError(
            f"{task}: the configuration leaves it out; evaluate.{task} is null. Give it a section, "
            "as config/config.yaml does"
        )
    return config["evaluate"][task]


def settings_of(task):
    """The section of a task for its steps: which rows are left out changes no number of the others."""
    return {key: value for key, value in section_of(task).items() if key != "without"}


# A named reference that no model is would be found by the last job but the report.
for reference in config["evaluate"]["comparisons"]["references"]:
    task, _, model = reference.partition("=")
    if task not in ALL_TASKS or MODELS.get(model, {}).get("kind") not in ["baseline", "classical"]:
        raise WorkflowError(
            f"config, evaluate.comparisons.references: '{reference}' names no task and simple model of "
            f"it; write task=model with a model of kind baseline or classical of "
            f"{config['tables']['models']}, and one of the tasks {', '.join(ALL_TASKS)}"
        )

survival = config["outcomes"]["survival"]["endpoints"]
if "prognosis" in TASKS and config["evaluate"]["prognosis"]["endpoint"] not in survival:
    raise WorkflowError(
        f"config, evaluate.prognosis.endpoint: '{config['evaluate']['prognosis']['endpoint']}' is not "
        f"among outcomes.survival.endpoints, {', '.join(survival)}; correct one of the two"
    )


def protocols_of(task):
    """The paper called no genes on imputed counts, so that there is no legacy of it."""
    return ["strict"] if task == "imputation_differential" else PROTOCOLS


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


def vectors_of(model):
    """The model whose sample vectors serve `model`: the first that embeds in the same way.

    Rows of the models table that differ in the head alone share vectors, which are made once.
    """
    way = [MODELS[model][column] for column in ["embedder", "weights", "settings"]]
    return next(
        name
        for name, row in MODELS.items()
        if [row[column] for column in ["embedder", "weights", "settings"]] == way
    )


def embeddings_in_use():
    """(model, cohort) of every set of sample vectors that a task asks for, each once."""
    asked = [
        (vectors_of(model), cohort)
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


def clinical_table():
    """What was known of patients at diagnosis, if the config names a table of it."""
    known = config["outcomes"]["clinical"]["table"]
    return ["<results>/outcomes/clinical.parquet"] if known else []


def cohorts_of(task):
    """The cohorts that a task tests on, after those of the corpus that models learned from."""
    settings = section_of(task)
    tested = {
        "imputation": lambda: settings["external_cohorts"],
        "disease_annotation": labelled_cohorts,
        "perturbation": lambda: [],  # its profiles are an outcome and no cohort
    }.get(task, lambda: [settings["cohort"]])
    return list(dict.fromkeys(config["expression"]["corpus"]["cohorts"] + tested()))


def exposed_samples(task):
    """{cohort: samples} of all that a task tests on; control profiles are no cohort of the config."""
    tables = {name: f"<results>/expression/{name}/samples.parquet" for name in cohorts_of(task)}
    if task == "perturbation":
        tables[task] = "<results>/evaluate/perturbation/pairs/samples.parquet"
    return tables


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
        "task": settings_of(task),
        "model": MODELS[model],
        "pretrain": pretrain if trained else None,
    }


def metrics_of(*tasks):
    return scores_of("metrics.parquet", *tasks)


def wanted(task, *steps):
    """The metrics of a task that its target asks for, with those of further steps that are on."""

    def files(wildcards):
        section_of(task)
        return metrics_of(task, *(step for step in steps if step in TASKS))

    return files


def ablation_table():
    """The comparison of gene graphs, if the config asks the report for it."""
    shown = EXPERIMENTS and config["evaluate"]["graph_ablation"].get("in_report")
    return ["<results>/evaluate/graph_ablation.parquet"] if shown else []


def wanted_ablation_table(wildcards):
    if not EXPERIMENTS:
        raise WorkflowError(
            "graph_ablation: the configuration leaves it out; set evaluate.imputation and "
            "evaluate.graph_ablation, for example to {graphs: [none, random, string], repeats: 3}"
        )
    return ["<results>/evaluate/graph_ablation.parquet"]


def units_of(*tasks):
    return scores_of("units.parquet", *tasks)


def scores_of(file, *tasks):
    """One file of every model, protocol and task."""
    return [
        f"<results>/evaluate/{task}/{protocol}/{model}/{file}"
        for task in tasks
        for protocol in protocols_of(task)
        for model in models_of(task)
    ]
