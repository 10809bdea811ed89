"""What the data of a task do not allow to say: how few they are, and what their values are not.

Read from what the stages wrote about cohorts and outcomes; no data set is known by name here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulkformer.report.cells import count, is_missing, label, plural
from bulkformer.report.conclusions import comparison_title
from bulkformer.report.glance import headlines
from bulkformer.report.inputs import Inputs
from bulkformer.report.tables import FEW_GROUPS
from bulkformer.report.views import Comparison

SMALL = 100  # samples, lines, patients or deaths below which the page warns
COUNTS = ("counts", "expected_counts")  # units from which library size and TPM follow
MOST_GENES = 0.9  # a cohort that measured a smaller share of the vocabulary is warned of


@dataclass(frozen=True)
class Limit:
    """One fact about the data of a task; a grave one weakens what may be concluded."""

    text: str
    grave: bool = False
    few: str = ""  # the same in two or three words, for the first table


def limits(inputs: Inputs, task: str, pairs: Sequence[Comparison]) -> list[Limit]:
    """Return what a reader of a task must know of its data, grave or not."""
    outcomes = {str(outcome.get("table")): outcome for outcome in inputs.outcomes}
    settings = inputs.provenance["config"].get("evaluate", {}).get(task, {}) or {}
    found = [
        *of_outcomes(task, outcomes, settings),
        *of_cohorts(inputs, settings),
        *of_groups(pairs),
    ]
    return list({limit.text: limit for limit in found}.values())


def few_of(inputs: Inputs, task: str, compared: Sequence[Comparison]) -> str:
    """Return what makes the data of a task's headline small or unlike others, in a few words."""
    config = inputs.provenance["config"]
    own = headlines([pair for pair in compared if pair.task == task], config)
    words = [limit.few for limit in limits(inputs, task, own) if limit.few]
    return "; ".join(dict.fromkeys(words))


def of_outcomes(
    task: str, outcomes: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]
) -> list[Limit]:
    """Return what the outcome tables of a task say about themselves."""
    if task == "prognosis":
        return of_survival(outcomes.get("survival", {}), settings)
    if task == "drug_response":
        return of_response(outcomes.get("response", {}))
    if task == "gene_essentiality":
        return of_dependency(outcomes.get("dependency", {}))
    if task == "perturbation":
        return of_perturbation(outcomes.get("perturbation", {}))
    return []


def of_survival(survival: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Limit]:
    """Return patients and deaths: deaths, not patients, decide what can be learned."""
    endpoint = settings.get("endpoint")
    events = (survival.get("events") or {}).get(endpoint)
    if events is None:
        return []
    few = f"{count(events)} events" if events < SMALL else ""
    return [
        Limit(
            f"{count(survival.get('patients'))} patients have a follow-up, with {count(events)} "
            f"events of {endpoint}: events, not patients, decide how much can be told.",
            bool(few), few,
        )
    ]  # fmt: skip


def of_response(response: Mapping[str, Any]) -> list[Limit]:
    """Return lines and drugs."""
    lines, drugs = response.get("cell_lines"), response.get("drugs")
    if lines is None:
        return []
    few = f"{count(lines)} lines, {count(drugs)} drugs" if min(lines, drugs or 0) < SMALL else ""
    said = f"{count(lines)} cell lines and {count(drugs)} drugs have a response."
    return [Limit(said, bool(few), few)]


def of_dependency(dependency: Mapping[str, Any]) -> list[Limit]:
    """Return lines and genes, and whether the table holds calls in place of effects."""
    lines = (dependency.get("joined") or {}).get("cell_lines")
    if lines is None:
        return []
    few = f"{count(lines)} lines" if lines < SMALL else ""
    genes = count(dependency["joined"].get("genes"))
    said = f"{count(lines)} cell lines were screened for {genes} genes."
    found = [Limit(said, bool(few), few)]
    if dependency.get("binary"):
        found.append(
            Limit(
                "The table holds calls, needed or not, and no effects: correlations are those "
                "with 0 and 1, and nothing is known of how much a gene is needed.",
                True, "yes/no calls",
            )
        )  # fmt: skip
    return found


def of_perturbation(perturbation: Mapping[str, Any]) -> list[Limit]:
    """Return treated profiles and measured genes."""
    treated = perturbation.get("treated")
    if treated is None:
        return []
    genes = (perturbation.get("joined") or {}).get("genes")
    few = f"{count(treated)} treated profiles" if treated < SMALL else f"{count(genes)} genes"
    return [
        Limit(
            f"{count(treated)} treated profiles of {count(perturbation.get('perturbagens'))} "
            f"compounds in {count(perturbation.get('cell_lines'))} cell lines, with "
            f"{count(perturbation.get('controls'))} controls.",
            treated < SMALL, few,
        ),
        Limit(f"{count(genes)} genes were measured, as intensities and not as reads.", True),
    ]  # fmt: skip


def of_cohorts(inputs: Inputs, settings: Mapping[str, Any]) -> list[Limit]:
    """Return what the expression of a task's cohorts is not."""
    named = [settings.get("cohort"), *(settings.get("external_cohorts") or ())]
    named += [data.get("cohort") for data in settings.get("datasets") or ()]
    found = []
    for coverage in inputs.coverage:
        name, unit = coverage.get("cohort"), coverage.get("unit")
        if name not in named:
            continue
        kept, share = coverage.get("samples_kept"), coverage.get("vocabulary_share")
        if kept is not None and kept < SMALL:
            found.append(Limit(f"{name}: {count(kept)} samples.", True))
        if not is_missing(unit) and unit not in COUNTS:
            found.append(
                Limit(
                    f"{name}: the file states {unit_words(coverage)}, not counts: neither library "
                    "size nor what was left out of the sum is known.",
                    True,
                )
            )
        if share is not None and share < MOST_GENES:
            measured = f"{count(coverage.get('genes_measured'))} of "
            measured += f"{count(coverage.get('vocabulary_genes'))} genes"
            found.append(
                Limit(f"{name}: {measured} of the vocabulary were measured.", True, measured)
            )
    return found


def unit_words(coverage: Mapping[str, Any]) -> str:
    """Write what the values of a file are."""
    transform = coverage.get("transform")
    unit = {"tpm": "TPM"}.get(str(coverage["unit"]), label(coverage["unit"]))
    return unit + (f" as {transform}" if transform else "")


def of_groups(pairs: Sequence[Comparison]) -> list[Limit]:
    """Return datasets whose main strict measure rests on few groups."""
    found = []
    for pair in pairs:
        measure = pair.strict[0]
        rows = [pair.row(model, measure) for model in pair.models()]
        row = next((row for row in rows if row is not None), None)
        if row is not None and not is_missing(row["ci_unit"]) and row["n_groups"] < FEW_GROUPS:
            groups = f"{count(row['n_groups'])} {plural(label(row['ci_unit']))}"
            found.append(
                Limit(
                    f"{comparison_title(pair)}: the main strict number rests on {groups}; an "
                    "interval over so few is itself uncertain.",
                    True, groups,
                )
            )  # fmt: skip
    return found
