# The runs of the graph ablation: which graphs, how often, and with which settings.
ABLATION = config["evaluate"]["graph_ablation"]
ABLATION_RUNS = [f"{graph}_{n}" for graph in ABLATION["graphs"] for n in range(ABLATION["repeats"])]


def ablation_run(file):
    """A file of the run folder of one graph and repeat."""
    return f"<results>/pretrain/{config['pretrain']['run']}_{{graph}}_{{repeat}}/{file}"


def ablation_settings():
    """The settings of pretraining with what the ablation says in place of its own."""
    by_hand = {key: ABLATION[key] for key in ["dim", "layers", "heads"] if ABLATION.get(key)}
    size = {"preset": ABLATION.get("preset")} if ABLATION.get("preset") or by_hand else {}
    length = {"epochs": ABLATION["epochs"]} if ABLATION.get("epochs") else {}
    return {
        "model": config["pretrain"]["model"] | size | by_hand,
        "training": config["pretrain"]["training"] | length,
        "validation": config["pretrain"]["validation"],
    }


def ablation_model(graph):
    """The row that the models table would hold for the network of one graph."""
    return {
        "model": f"bulkformer_{graph}",
        "embedder": "bulkformer",
        "kind": "foundation",
        "weights": "trained",
        "settings": '{"pooling": "max"}',
    }


def ablation_configuration(graph):
    """Everything in the config that shapes the numbers of one graph, to be hashed."""
    return {
        "task": IMPUTATION,
        "model": ablation_model(graph),
        "pretrain": ablation_settings() | {"graph": graph},
    }


def ablation_files(file):
    """One file of every run, graphs in the order of the config."""
    return [f"<results>/evaluate/graph_ablation/{run}/{file}" for run in ABLATION_RUNS]
