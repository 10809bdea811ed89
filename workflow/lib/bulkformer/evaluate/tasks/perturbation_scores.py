"""Perturbation: what a row of its predictions holds, and what is measured on it.

Levels correlate near 1 whatever a compound does, because genes differ far more than treatments
change them; that is what was published. What a model knows of a *treatment* shows in the change
from matched controls; what it knows beyond "all compounds do this", in the correlation that is left
when the mean change of the training profiles is given (`pearson_delta_beyond_mean`). The deviation
form, which subtracts that mean from both, stands beside it: where the mean does not hold, as in
another cell line, it is high for whoever predicts nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate import measures
from bulkformer.evaluate.perturbation_intervals import Crossed
from bulkformer.evaluate.statistics import Estimate
from bulkformer.evaluate.task import PROTOCOLS, Score, Scoring, Task
from bulkformer.evaluate.tasks.perturbation_values import Profiles, means, read_values
from bulkformer.evaluate.units import UnitScores

NAME = pa.dictionary(pa.int32(), pa.string())
GENES = pa.list_(pa.float32())
# One row a tested profile and head; the lists are over the genes that the schema metadata names
# ("genes", JSON). Changes are treated less `control`; `train_mean` is the mean change of the
# training rows. One Parquet row group a head and fold.
PREDICTIONS = pa.schema(
    [
        ("task", NAME),
        ("dataset", NAME),
        ("protocol", NAME),
        ("regime", NAME),
        ("model", NAME),
        ("head", NAME),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
        ("repeat", pa.int32()),
        ("sample_id", NAME),
        ("group", NAME),
        ("compound", NAME),
        ("cell_id", NAME),
        ("time_h", pa.float64()),
        ("dose_um", pa.float64()),
        ("controls", NAME),
        ("control_set", NAME),
        ("target_id", NAME),
        ("y_true", GENES),
        ("y_pred", GENES),
        ("train_mean", GENES),
        ("control", GENES),
    ]
)
PRIMARY = {"legacy": "pearson_level", "strict": "pearson_delta_beyond_mean"}
# Which profiles share a score: what a regime generalises to, and what its profiles share besides.
# Either alone would make every interval too narrow, see perturbation_intervals.
UNITS_OF = {
    "held_out_cells": ("cell", "compound"),
    "held_out_compounds_and_cells": ("cell", "compound"),
    "held_out_plates": ("plates", "compound"),
}
OF_COMPOUNDS = ("compound", "control set")  # of every other regime
STRENGTHS = ("weak", "middle", "strong")  # thirds of the profiles by how much truly changes
LESS_IS_BETTER = "mae"


def score(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[Score]:
    """Score each dataset, regime and head over all repeats, and each of several repeats."""
    for key, profiles in read_values(predictions, scoring.settings["top_genes"]).items():
        scorer = _Scorer(scoring, dict(key), profiles, *_condition(predictions))
        repeats = np.unique(profiles.repeat)
        yield from scorer.scores(None)
        if len(repeats) > 1:
            for repeat in repeats.tolist():
                yield from scorer.scores(repeat)


def units(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[UnitScores]:
    """Score each unit of both kinds, by which models are compared in pairs.

    A difference that shows over one kind only is one of these compounds, or of these wells.
    """
    for key, profiles in read_values(predictions, scoring.settings["top_genes"]).items():
        about = dict(key)
        for kind in UNITS_OF.get(about["regime"], OF_COMPOUNDS):
            names, of = np.unique(profiles.unit[kind], return_inverse=True)
            for metric, values in profiles.values.items():
                if metric != LESS_IS_BETTER:
                    yield UnitScores(
                        **about,
                        condition=_condition(predictions)[0],
                        metric=metric,
                        unit_kind=kind,
                        unit=names.tolist(),
                        value=means(values, of, len(names)),
                    )


def _condition(predictions: pq.ParquetFile) -> tuple[str, float]:
    """Return the words that stand in every row, so that no table can show a number without them,
    and the share of the vocabulary that was measured."""
    about = predictions.schema_arrow.metadata
    measured, vocabulary = int(about[b"measured_genes"]), int(about[b"vocabulary_genes"])
    return f"intensities, {measured} of {vocabulary} genes", measured / vocabulary


@dataclass(frozen=True)
class _Scorer:
    """Makes the scores of one dataset, regime and head; `share` of the vocabulary was measured."""

    scoring: Scoring
    key: Mapping[str, str]
    profiles: Profiles
    condition: str
    share: float

    def scores(self, repeat: int | None) -> Iterator[Score]:
        """Score the profiles of one repeat, or of all: a unit's value is over all of them."""
        profiles = self.profiles
        kind, other = UNITS_OF.get(self.key["regime"], OF_COMPOUNDS)
        chosen = np.isin(profiles.repeat, profiles.repeat if repeat is None else [repeat])
        n_repeats = len(np.unique(profiles.repeat[chosen]))
        shared = (profiles.unit[name][chosen] for name in (kind, other))
        crossed = Crossed.of(self.scoring.bootstrap, *shared)

        def row(
            metric: str, aggregation: str, estimate: Estimate, known: np.ndarray, **more: Any
        ) -> Score:
            return Score(
                **self.key,
                condition=self.condition,
                metric=metric,
                aggregation=aggregation,
                estimate=estimate,
                n=int(known.sum()) // n_repeats,
                n_groups=len(np.unique(crossed.unit[known])),
                n_seeds=n_repeats,
                repeat=repeat,
                ci_unit=f"{kind} and {other}",
                **more,
            )

        parts = [
            ({"group_kind": group_kind, "group": group}, groups == group)
            for group_kind, groups in self._parts(chosen).items()
            for group in sorted(set(groups))
        ]
        for metric, every in profiles.values.items():
            values = every[chosen]
            known = np.isfinite(values)
            yield row(metric, "mean_over_groups", crossed.mean(values), known)
            yield row(metric, "median_over_groups", crossed.median(values), known)
            for about, part in parts:
                estimate = crossed.take(part).mean(values[part])
                yield row(metric, "mean_over_groups", estimate, known & part, **about)
        every = np.ones(len(crossed.unit), dtype=bool)
        for metric, moments in profiles.moments.items():
            estimate = crossed.pooled(moments[chosen], measures.pearson)
            yield row(metric, "pooled", estimate, every)
        lost = np.isnan(profiles.values["pearson_delta"][chosen])
        estimate = Estimate(float(lost.sum()) / n_repeats)
        yield row("profiles_without_correlation", "pooled", estimate, lost)
        yield row("share_of_genes_measured", "pooled", Estimate(self.share), every)

    def _parts(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parts that are scored apart: by strength of response, and by controls."""
        strength = self.profiles.strength[chosen]
        third = np.searchsorted(np.quantile(strength, [1 / 3, 2 / 3]), strength, side="right")
        return {
            "response_strength": np.array(STRENGTHS)[third],
            "controls": self.profiles.unit["controls"][chosen],
        }


def heads(protocol: str, settings: Mapping[str, Any]) -> Sequence[str]:
    """Return the heads that a protocol fits on what a model makes of the control profiles."""
    return ("level_network",) if protocol == "legacy" else tuple(settings["strict"]["heads"])


TASK = Task(
    name="perturbation",
    unit="treated profile",
    target="change from matched controls",
    primary={name: (metric, "mean_over_groups") for name, metric in PRIMARY.items()},
    predictions=PREDICTIONS,
    heads=heads,
    score=score,
    units=units,
    paired=PRIMARY,
    # Both kinds have the larger p of the two, so that naming one loses nothing.
    paired_units={regime: kinds[:1] for regime, kinds in UNITS_OF.items()}
    | dict.fromkeys(["random_compounds", "held_out_compounds"], OF_COMPOUNDS[:1]),
    headline={
        "legacy": {"regime": ["random_compounds"]},
        "strict": {"regime": ["held_out_compounds"]},
    },
    null="mean_delta",
    null_knows=dict.fromkeys(
        PROTOCOLS, "knows the mean change of all compounds and nothing of this one"
    ),
)
