"""Who is sampled: the four cohorts with their studies, patients, tissues and diseases.

The designs keep what makes the real cohorts hard: a corpus study covers one or two tissues, series
join studies, donors and patients give several samples, cases and controls share a series, and a few
deposited samples are no bulk RNA-seq at all.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from bulkformer.simulate.programs import ACTIVITIES

TISSUES = ["blood", "brain", "breast", "eye", "liver", "lung", "skin", "stomach"]
TISSUE_OF_DISEASE = {
    "breast carcinoma": "breast",
    "gastric carcinoma": "stomach",
    "uveal melanoma": "eye",
    "cholangiocarcinoma": "liver",
    "pulmonary fibrosis": "lung",
    "psoriasis": "skin",
    "dermatitis": "skin",
}
CANCER_OF_PROJECT = {
    "TCGA-BRCA": "breast carcinoma",
    "TCGA-CHOL": "cholangiocarcinoma",
    "TCGA-STAD": "gastric carcinoma",
    "TCGA-UVM": "uveal melanoma",
}
GTEX_TISSUES = ["blood", "brain", "liver", "lung", "stomach"]
TISSUES_PER_DONOR = 3
SERIES_DISEASES = ["psoriasis", "dermatitis"]  # one tissue, so that tissue cannot tell them apart
SERIES = 6
EXTRA_SAMPLES = 1 / 16  # share of patients with a second aliquot, and with an adjacent normal
SHIFTED_PROGRAMS = 5  # programs that a disease raises or lowers

# Standard deviations of activity, in units of the program's own scale.
TISSUE_SPREAD = np.array([0.65, 0.4, 0.4])  # program, branch, branch
SAMPLE_SPREAD = np.array([0.7, 0.75, 0.75])
STUDY_SPREAD = 0.25
PATIENT_SPREAD = 0.3
ALIQUOT_SPREAD = 0.1


@dataclass(frozen=True)
class Sample:
    """One deposited profile.

    `series` is the provider's comma list, `flaw` says why it is unfit; a copy names the sample that
    it repeats, and the one whose BioSample it states.
    """

    sample_id: str
    study_id: str
    patient_id: str
    tissue: str
    disease: str = "control"
    sample_type: str = ""
    series: str = ""
    flaw: str = ""
    copy_of: str = ""
    biosample_of: str = ""


@dataclass(frozen=True)
class Cohort:
    """Samples of one provider and the activity of every program in each of them.

    Attributes
    ----------
    activity : float array [n_samples, n_programs, ACTIVITIES]
    """

    name: str
    samples: list[Sample]
    activity: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class Biology:
    """What all cohorts share: activities [n_programs, ACTIVITIES] by tissue, shifts by disease."""

    tissue: dict[str, np.ndarray]
    disease: dict[str, np.ndarray]


def draw_biology(n_programs: int, rng: np.random.Generator) -> Biology:
    """Return the programs that characterise each tissue and those that each disease shifts."""
    tissue = {name: rng.normal(size=(n_programs, ACTIVITIES)) * TISSUE_SPREAD for name in TISSUES}
    disease = {"control": np.zeros((n_programs, ACTIVITIES))}
    for name in TISSUE_OF_DISEASE:
        shift = np.zeros((n_programs, ACTIVITIES))
        shifted = rng.permutation(n_programs)[:SHIFTED_PROGRAMS]
        shift[shifted, 0] = rng.uniform(0.8, 1.3, len(shifted)) * rng.choice([-1, 1], len(shifted))
        disease[name] = shift
    return Biology(tissue, disease)


def draw_corpus(
    n_studies: int, n_samples: int, biology: Biology, rng: np.random.Generator
) -> Cohort:
    """Return the pretraining corpus: `n_samples` good samples, then the unfit ones.

    Every eighth study shares a superseries with the next one, so that the two form one group.
    """
    sizes = 3 + rng.multinomial(n_samples - 3 * n_studies, rng.dirichlet(np.full(n_studies, 4.0)))
    numbers = iter(range(n_samples + 10))
    samples = []
    for study, size in enumerate(sizes):
        study_id = f"GSE{900_001 + study}"
        series = study_id
        if study % 8 in (0, 1):
            series = f"{study_id},GSE{950_001 + study // 8}"
        tissues = rng.permutation(TISSUES)[: rng.integers(1, 3)]
        known = [name for name, tissue in TISSUE_OF_DISEASE.items() if tissue in tissues]
        disease = rng.choice(known) if known and rng.random() < 0.7 else "control"
        for _ in range(size):
            tissue = str(rng.choice(tissues))
            is_case = TISSUE_OF_DISEASE.get(disease) == tissue and rng.random() < 0.5
            samples.append(
                Sample(
                    sample_id=f"GSM{9_000_001 + next(numbers)}",
                    study_id=study_id,
                    patient_id="",
                    tissue=tissue,
                    disease=str(disease) if is_case else "control",
                    series=series,
                )
            )
    flaws = ["single_cell_by_probability", "single_cell_by_source", "shallow", "empty"]
    unfit = [
        replace(samples[place], sample_id=f"GSM{9_000_001 + next(numbers)}", flaw=flaw)
        for place, flaw in enumerate(flaws)
    ]
    cohort = _with_activity("archs4", samples + unfit, biology, rng)
    # The same GSM twice: a second column under an accession that is already there.
    return Cohort(
        cohort.name,
        [*cohort.samples, replace(samples[-1], flaw="duplicate")],
        np.concatenate([cohort.activity, cohort.activity[len(samples) - 1 : len(samples)]]),
    )


def draw_tcga(n_patients: int, biology: Biology, rng: np.random.Generator) -> Cohort:
    """Return four cancer types with a few second aliquots and adjacent normals.

    A second aliquot comes from another vial (01B) or, for every second such patient, from the same
    vial: then two files carry one sample id, as many GDC sample sheets show.
    """
    projects = list(CANCER_OF_PROJECT)
    extra = rng.permutation(n_patients)
    n_extra = max(2, round(n_patients * EXTRA_SAMPLES))
    second = {int(patient): number for number, patient in enumerate(extra[:n_extra])}
    normal = {int(patient) for patient in extra[n_extra : 2 * n_extra]}
    letters = list("ABCDEFGHJKLMNPQRSTUVWXYZ")
    samples = []
    for patient in range(n_patients):
        project = projects[patient % len(projects)]
        disease = CANCER_OF_PROJECT[project]
        site = "".join(rng.choice(letters, size=2))
        patient_id = f"TCGA-{site}-{1001 + patient}"
        tumour = Sample(
            sample_id=f"{patient_id}-01A",
            study_id=project,
            patient_id=patient_id,
            tissue=TISSUE_OF_DISEASE[disease],
            disease=disease,
            sample_type="Primary Tumor",
        )
        samples.append(tumour)
        if patient in second:
            vial = "01A" if second[patient] % 2 else "01B"
            samples.append(replace(tumour, sample_id=f"{patient_id}-{vial}"))
        if patient in normal:
            samples.append(
                replace(
                    tumour,
                    sample_id=f"{patient_id}-11A",
                    disease="control",
                    sample_type="Solid Tissue Normal",
                )
            )
    return _with_activity("tcga", samples, biology, rng)


def draw_gtex(n_samples: int, biology: Biology, rng: np.random.Generator) -> Cohort:
    """Return normal tissues of donors who give TISSUES_PER_DONOR tissues each."""
    characters = list("ABCDEFGHJKLMNPQRSTUVWXYZ123456789")
    donors: list[str] = []
    while len(donors) * TISSUES_PER_DONOR < n_samples:
        donor = "GTEX-1" + "".join(rng.choice(characters, size=4))
        if donor not in donors:
            donors.append(donor)
    samples = []
    for number in range(n_samples):
        donor = donors[number // TISSUES_PER_DONOR]
        tissue = GTEX_TISSUES[number % len(GTEX_TISSUES)]
        aliquot = "".join(rng.choice(characters, size=5))
        place = f"{number % TISSUES_PER_DONOR + 1:04d}"
        samples.append(
            Sample(
                sample_id=f"{donor}-{place}-SM-{aliquot}",
                study_id="GTEx",
                patient_id=donor,
                tissue=tissue,
            )
        )
    return _with_activity("gtex", samples, biology, rng)


def draw_series(n_samples: int, biology: Biology, rng: np.random.Generator) -> Cohort:
    """Return case-control series: each has one disease and as many controls as cases."""
    samples = []
    for number in range(n_samples):
        series = number % SERIES
        disease = SERIES_DISEASES[series % len(SERIES_DISEASES)]
        is_case = (number // SERIES) % 2 == 0
        samples.append(
            Sample(
                sample_id=f"GSM{9_500_001 + number}",
                study_id=f"GSE{990_001 + series}",
                patient_id="",
                tissue=TISSUE_OF_DISEASE[disease],
                disease=disease if is_case else "control",
            )
        )
    return _with_activity("disignatlas", samples, biology, rng)


def _with_activity(
    name: str, samples: list[Sample], biology: Biology, rng: np.random.Generator
) -> Cohort:
    """Add up what tissue, disease, study, patient and chance do to each program's activity.

    Samples of one patient, tissue and disease are aliquots of one specimen: they share all but a
    little noise.
    """
    shape = next(iter(biology.tissue.values())).shape
    studies: dict[str, np.ndarray] = {}
    patients: dict[str, np.ndarray] = {}
    specimens: dict[tuple[str, str, str], np.ndarray] = {}
    activity = np.empty((len(samples), *shape))
    for row, sample in enumerate(samples):
        patient_id = sample.patient_id or f"{sample.sample_id} {row}"
        specimen = (patient_id, sample.tissue, sample.disease)
        if sample.study_id not in studies:
            studies[sample.study_id] = rng.normal(0, STUDY_SPREAD, shape)
        if patient_id not in patients:
            patients[patient_id] = rng.normal(0, PATIENT_SPREAD, shape)
        if specimen not in specimens:
            specimens[specimen] = rng.normal(size=shape) * SAMPLE_SPREAD
        activity[row] = (
            biology.tissue[sample.tissue]
            + biology.disease[sample.disease]
            + studies[sample.study_id]
            + patients[patient_id]
            + specimens[specimen]
            + rng.normal(0, ALIQUOT_SPREAD, shape)
        )
    return Cohort(name, samples, activity)
