# Where the assessment of the run lies, and how it is to be made.
ASSESS = config["pretrain"]["assess"]


def assessment(file):
    return f"<results>/pretrain/{config['pretrain']['run']}.assessment/{file}"
