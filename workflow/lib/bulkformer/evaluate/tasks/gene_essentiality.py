"""Fits heads on the training lines, or genes, of each fold and saves what they say of the others.

Folds come from the frozen manifest, dependencies from the outcomes stage, vectors and tokens from
the embed stage. No number is computed here: the metrics step reads the predictions. A release is
18,000 genes by 1,100 lines, so predictions are written a run of genes at a time.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.embed.tokens import TokenStore
from bulkformer.errors import InputError
from bulkformer.evaluate.records import equals
from bulkformer.evaluate.seeds import fold_seed
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.tasks import gene_essentiality_unseen as unseen
from bulkformer.evaluate.tasks.gene_essentiality_data import (
    Dependencies,
    Units,
    cell_line_ids,
    own_columns,
    read_dependencies,
    tested_lines,
)
from bulkformer.evaluate.tasks.gene_essentiality_heads import (
    ONE_BY_ONE,
    HeadSettings,
    Lines,
    TrainingLines,
    fit_head,
    means,
    most_selective,
    trials,
)
from bulkformer.evaluate.tasks.gene_essentiality_scores import (
    GENES,
    N_GENES,
    PREDICTIONS,
    TOKEN_HEAD,
    heads_of,
)
from bulkformer.evaluate.tasks.gene_essentiality_tokens import (
    NetworkSettings,
    TokenRows,
    fit_token_network,
    held_for_validation,
)
from bulkformer.evaluate.vectors import read_vectors
from bulkformer.files import atomic

ROWS_IN_GROUP = 1_000_000


def gene_essentiality(
    protocol: Annotated[str, Option(help="legacy or strict.")],
    model: Annotated[str, Option()],
    embedder: Annotated[str, Option(help="What made the vectors, as in the models table.")],
    split: Annotated[Path, Option(help="Manifest of the task.")],
    samples: Annotated[Path, Option(help="samples.parquet of the cohort of cell lines.")],
    cell_lines: Annotated[Path, Option(help="cell_lines.parquet.")],
    dependency: Annotated[Path, Option(help="dependency.parquet.")],
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    embeddings: Annotated[Path, Option(help="samples.parquet of the model.")],
    settings: Annotated[str, Option(help="Section gene_essentiality of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    tokens: Annotated[Path | None, Option(help="Gene tokens of the model, if it has any.")] = None,
    head: Annotated[list[str] | None, Option(help="Heads in place of the protocol's own.")] = None,
) -> None:
    """Predict the dependency of every line on every gene by heads that never saw its fold."""
    chosen = json.loads(settings)
    manifest = read_manifest(split, "gene_essentiality", protocol)
    units = tested_lines(manifest, split)
    lines = cell_line_ids(samples, cell_lines, units.sample_id)
    truth = read_dependencies(dependency, lines, chosen["endpoint"])
    vectors = read_vectors(embeddings, units.sample_id)
    predictor = FoldPredictor(
        units,
        truth,
        Lines(vectors, units.lineage, own_columns(genes, truth.genes, embedder, vectors.shape[1])),
        HeadSettings(chosen["components"], chosen["trees"]),
        NetworkSettings(**chosen["token_head"] | {"hidden": tuple(chosen["token_head"]["hidden"])}),
        tokens,
        chosen["single_targets"],
        seed,
    )
    names = head or heads_of(protocol, has_tokens=tokens is not None)
    with (
        atomic(output) as partial,
        pq.ParquetWriter(partial, PREDICTIONS, compression="zstd") as writer,
    ):
        writer.add_key_value_metadata({N_GENES: str(len(truth.genes))})
        for regime in sorted(set(manifest["regime"].to_pylist())):
            rows = manifest.filter(pa.array(equals(manifest, "regime", regime)))
            for name in names:
                about = {"task": "gene_essentiality", "dataset": rows["dataset"][0].as_py()}
                about |= {"protocol": protocol, "regime": regime, "model": model, "head": name}
                about |= {"seed": seed, "tuning_trials": trials(name)}
                for part in predictor.out_of_fold(rows, name, about):
                    writer.write_table(part)
    print(f"{len(lines)} cell lines, {len(truth.genes)} genes", file=sys.stderr)


@dataclass(frozen=True)
class Fold:
    """Predictions of one fold: lines `rows` by genes `columns`, and training means to compare."""

    rows: np.ndarray
    columns: np.ndarray
    predicted: np.ndarray
    train_mean: np.ndarray


@dataclass(frozen=True)
class FoldPredictor:
    """Predicts fold by fold, from all that is known; heads are handed the training part alone."""

    units: Units
    truth: Dependencies
    lines: Lines
    head_settings: HeadSettings
    network_settings: NetworkSettings
    tokens: Path | None
    single_targets: int | None
    seed: int

    def out_of_fold(self, rows: pa.Table, head: str, about: dict[str, Any]) -> Iterator[pa.Table]:
        """Fit `head` once a fold and repeat; yield the predictions of what was left out."""
        by_gene = rows["group_kind"][0].as_py() == GENES
        if by_gene and head not in (*unseen.HEADS, TOKEN_HEAD):
            return
        for repeat in sorted(set(rows["repeat"].to_pylist())):
            one = rows.filter(pa.array(rows["repeat"].to_numpy() == repeat))
            fold_of = dict(zip(one["unit"].to_pylist(), one["fold"].to_pylist(), strict=True))
            group_of = dict(zip(one["unit"].to_pylist(), one["group"].to_pylist(), strict=True))
            group, names = self.units.group, self.units.sample_id
            if not by_gene:  # a line of unknown lineage has no fold of lineages
                group = np.array([group_of.get(name, "") for name in names], dtype=object)
            # What inner folds may not part: patients, or lineages where whole ones are held out.
            bound = np.unique(
                names if about["protocol"] == "legacy" else group.astype(str), return_inverse=True
            )[1]
            for fold in sorted(set(fold_of.values())):
                seed = fold_seed(self.seed, about["regime"], repeat, fold)
                held = {unit for unit, at in fold_of.items() if at == fold}
                others = fold_of.keys() - held
                found = (
                    self.held_genes(head, held, others, seed)
                    if by_gene
                    else self.held_lines(head, held, others, bound, seed)
                )
                yield from self.tables(found, group, about | {"repeat": repeat, "fold": fold})

    def held_lines(
        self, head: str, held: set[str], others: set[str], bound: np.ndarray, seed: int
    ) -> Fold:
        """Fit on the other lines, predict those that are held out."""
        train, test = (
            np.flatnonzero([name in chosen for name in self.units.sample_id])
            for chosen in (others, held)
        )
        effects = self.truth.values[train]
        columns = np.arange(len(self.truth.genes))
        if head == TOKEN_HEAD:
            predicted, columns = self.by_tokens((train, test), None, bound[train], seed)
        else:
            if head in ONE_BY_ONE:
                columns = most_selective(effects, self.single_targets)
            training = TrainingLines(self.lines.take(train), effects[:, columns], bound[train])
            fitted = fit_head(head, training, self.head_settings, seed)
            predicted = fitted.predict(self.lines.take(test))
        return Fold(test, columns, predicted, means(effects)[columns])

    def held_genes(self, head: str, held: set[str], others: set[str], seed: int) -> Fold:
        """Fit on the other genes in all lines, predict those that are held out."""
        train, test = (
            np.flatnonzero([gene in chosen for gene in self.truth.genes])
            for chosen in (others, held)
        )
        effects = self.truth.values[:, train]
        everyone = np.arange(len(self.units.sample_id))
        if head == TOKEN_HEAD:
            predicted, test = self.by_tokens((everyone, everyone), (train, test), train, seed)
        else:
            has_own = self.lines.own is not None
            expression = self.lines.expression() if has_own else None
            fitted = unseen.fit_unseen(head, effects, expression[:, train] if has_own else None)
            nothing = np.zeros((len(everyone), len(test)))
            predicted = fitted.predict(expression[:, test] if has_own else nothing)
        mean = np.full(len(test), np.nanmean(effects, dtype=np.float64))
        return Fold(everyone, test, predicted, mean)

    def by_tokens(
        self,
        lines: tuple[np.ndarray, np.ndarray],
        genes: tuple[np.ndarray, np.ndarray] | None,
        bound: np.ndarray,
        seed: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fit one network to training lines and genes, and predict the others.

        `lines` and `genes` (None: all that have a token) are those to train on and to predict,
        `bound` the codes of training lines, or genes, that validation must not split. Returns
        predictions [lines, genes], and which genes they are.
        """
        if self.tokens is None:
            raise InputError("token_mlp needs --tokens; run the embed stage for this model")
        store = TokenStore(self.tokens)
        place_of = {gene: place for place, gene in enumerate(store.genes) if store.known[place]}
        place = np.array([place_of.get(gene, -1) for gene in self.truth.genes])
        train_genes, test_genes = (
            columns[place[columns] >= 0]
            for columns in genes or (np.arange(len(place)), np.arange(len(place)))
        )
        names = np.array(self.units.sample_id, dtype=object)
        effects = self.truth.values[np.ix_(lines[0], train_genes)]
        if genes is None:
            stopping = np.tile(held_for_validation(bound, seed)[:, None], len(train_genes))
        else:
            stopping = np.tile(held_for_validation(train_genes, seed), (len(lines[0]), 1))
        fitted = fit_token_network(
            TokenRows(store, names[lines[0]].tolist(), place[train_genes]),
            effects,
            stopping,
            self.network_settings,
            seed,
        )
        rows = TokenRows(store, names[lines[1]].tolist(), place[test_genes])
        return fitted.predict(rows), test_genes

    def tables(self, fold: Fold, group: np.ndarray, about: dict[str, Any]) -> Iterator[pa.Table]:
        """Lay a fold out as rows of predictions.parquet, gene by gene, some genes at a time."""
        truth = self.truth.values[np.ix_(fold.rows, fold.columns)]
        dependent = self.truth.dependent[np.ix_(fold.rows, fold.columns)]
        step = max(1, ROWS_IN_GROUP // len(fold.rows))
        of_rows = {
            "sample_id": np.array(self.units.sample_id, dtype=object)[fold.rows],
            "group": group[fold.rows],
            "lineage": self.units.lineage[fold.rows],
        }
        names = {
            name: np.unique(values.astype(str), return_inverse=True)
            for name, values in of_rows.items()
        }
        for start in range(0, len(fold.columns), step):
            now = slice(start, start + step)
            place, line = np.nonzero(~np.isnan(truth[:, now]).T)
            if not len(line):
                continue
            call = dependent[:, now].T[place, line]
            columns = {
                name: pa.DictionaryArray.from_arrays(codes[line].astype(np.int32), known.tolist())
                for name, (known, codes) in names.items()
            }
            genes = [self.truth.genes[column] for column in fold.columns[now]]
            columns["target_id"] = pa.DictionaryArray.from_arrays(place.astype(np.int32), genes)
            columns["y_true"] = pa.array(truth[:, now].T[place, line])
            columns["y_pred"] = pa.array(fold.predicted[:, now].T[place, line].astype(np.float32))
            columns["train_mean"] = pa.array(fold.train_mean[now][place].astype(np.float32))
            columns["dependent"] = pa.array(call == 1, mask=call < 0)
            yield pa.table(
                [_column(field, columns, about, len(line)) for field in PREDICTIONS],
                schema=PREDICTIONS,
            )


def _column(field: pa.Field, columns: dict[str, Any], about: dict[str, Any], n: int) -> pa.Array:
    """Return a column of the table, which is one value throughout unless `columns` has it."""
    if field.name in columns:
        return columns[field.name]
    value = about[field.name]
    if pa.types.is_dictionary(field.type):
        return pa.DictionaryArray.from_arrays(np.zeros(n, dtype=np.int32), [value])
    return pa.array(np.full(n, value), field.type)


if __name__ == "__main__":
    command(gene_essentiality)
