"""The gene_ontology step: connects genes that are annotated alike, whatever their expression.

Annotations that were themselves read off expression patterns (evidence IEP and HEP) are left out by
default, so that the graph owes nothing to expression data. Where there is no ontology, gene sets in
GMT serve as flat terms.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import write_json
from bulkformer.graph.edges import statistics, symmetric, write_graph
from bulkformer.graph.gene_sets import on_vocabulary
from bulkformer.graph.semantic import (
    LIN,
    RESNIK,
    SIMGIC,
    Blocks,
    best_match_blocks,
    information_content,
    nearest,
    simgic_blocks,
)
from bulkformer.sources.gene_sets import read_gmt, release_of
from bulkformer.sources.ontology import ASPECTS, Product, read_gaf, read_obo

if TYPE_CHECKING:
    from scipy.sparse import csr_array

WEIGHTS = {
    SIMGIC: "simGIC of the annotated terms",
    RESNIK: "Resnik similarity of terms over its largest value, best-match average",
    LIN: "Lin similarity of terms, best-match average",
}


class Annotations(NamedTuple):
    """Which genes have which terms.

    Attributes
    ----------
    direct, propagated : bool-like [n_genes, n_terms]; the latter includes the terms above
    ancestors : for each term itself and the terms above it
    group : int [n_terms], terms that share a root
    """

    direct: csr_array
    propagated: csr_array
    ancestors: list[list[int]]
    group: np.ndarray


def gene_ontology(
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    format: Annotated[str, Option(help="obo or gmt.")],
    similarity: Annotated[str, Option(help="resnik_bma, lin_bma or simgic.")],
    neighbours: Annotated[int, Option(help="Most similar genes kept for each gene.")],
    min_similarity: Annotated[float, Option(help="Least similarity of an edge.")],
    output: Annotated[Path, Option(help="Graph to write.")],
    summary: Annotated[Path, Option(help="Its JSON.")],
    ontology: Annotated[Path | None, Option(help="go-basic.obo.")] = None,
    associations: Annotated[Path | None, Option(help="goa_human.gaf.gz.")] = None,
    gene_sets: Annotated[list[Path] | None, Option(help="GMT files, for the format gmt.")] = None,
    aspects: Annotated[list[str] | None, Option(help="Namespaces that count.")] = None,
    evidence_left_out: Annotated[list[str] | None, Option(help="Evidence codes.")] = None,
) -> None:
    """Write the graph of each gene's most similarly annotated genes."""
    _check(format, similarity, ontology, associations, gene_sets, aspects)
    vocabulary = Vocabulary.load(genes)
    if format == "obo":
        files = [ontology, associations]
        annotated, made = read_annotations(
            ontology, associations, aspects, evidence_left_out or [], vocabulary
        )
    else:
        files = gene_sets
        annotated, made = read_sets(gene_sets, vocabulary)
    content = information_content(annotated.propagated, annotated.group)
    edges = symmetric(
        *nearest(similarity_blocks(annotated, content, similarity), neighbours, min_similarity)
    )
    if len(edges.source) == 0:
        raise InputError(
            f"{files[-1]}: no two vocabulary genes have a similarity >= {min_similarity}; lower "
            "graph.gene_ontology.min_similarity, or check that annotations and genes are human"
        )
    write_graph(output, edges, len(vocabulary))
    genes_of_term = annotated.propagated.sum(axis=0)
    write_json(
        summary,
        {
            "graph": output.stem,
            "kind": "gene_ontology",
            "origin": "external",
            "weight": WEIGHTS[similarity],
            "files": [path.name for path in files],
            "neighbours": neighbours,
            "min_similarity": min_similarity,
            **made,
            "genes_annotated": int((annotated.propagated.sum(axis=1) > 0).sum()),
            "terms_with_genes": int((genes_of_term > 0).sum()),
            "terms_a_gene": float(annotated.direct.sum() / max(len(vocabulary), 1)),
            **statistics(edges, len(vocabulary)),
        },
    )
    print(f"{output}: {len(edges.source) // 2} edges", file=sys.stderr)


def similarity_blocks(annotated: Annotations, content: np.ndarray, similarity: str) -> Blocks:
    """Return blocks of genes and their similarity with all genes, by the measure of that name."""
    if similarity == SIMGIC:
        return simgic_blocks(annotated.propagated, content)
    return best_match_blocks(annotated.direct, annotated.ancestors, content, similarity)


def read_annotations(
    ontology: Path,
    associations: Path,
    aspects: Sequence[str],
    evidence_left_out: Sequence[str],
    vocabulary: Vocabulary,
) -> tuple[Annotations, dict[str, Any]]:
    """Return the terms of the vocabulary genes, and what was read and left out, ready for JSON.

    Annotations with obsolete or unknown terms do not count. Terms above a term count in its own
    aspect only, so that the choice of aspects says which knowledge went into the graph.
    """
    terms = read_obo(ontology)
    products, rows = read_gaf(associations, aspects, evidence_left_out)
    place, matched = place_products(products, vocabulary)
    pairs: set[tuple[int, int]] = set()
    obsolete = unknown = 0
    for product, gene in zip(products, place, strict=True):
        for term in product.terms:
            if term not in terms.place:
                obsolete += term in terms.obsolete
                unknown += term not in terms.obsolete
            elif gene >= 0 and terms.aspects[terms.place[term]] in aspects:
                pairs.add((gene, terms.place[term]))
    if not pairs:
        raise InputError(
            f"{associations}: no product is a vocabulary gene with a term of {ontology}; give both "
            "files of one release, and a vocabulary with gene symbols"
        )
    ancestors = [
        [above for above in each if terms.aspects[above] == terms.aspects[at]]
        for at, each in enumerate(terms.ancestors())
    ]
    names = sorted(set(terms.aspects))
    group = np.array([names.index(aspect) for aspect in terms.aspects])
    return _annotated(sorted(pairs), ancestors, group, len(vocabulary)), {
        "aspects": list(aspects),
        "evidence_left_out": list(evidence_left_out),
        "ontology_version": terms.version,
        "terms": len(terms.terms),
        "terms_obsolete": len(terms.obsolete),
        "annotations": {
            **rows,
            "with_obsolete_term": obsolete,
            "with_unknown_term": unknown,
            "genes_and_terms": len(pairs),
        },
        "products": matched,
    }


def read_sets(paths: Sequence[Path], vocabulary: Vocabulary) -> tuple[Annotations, dict[str, Any]]:
    """Return membership in gene sets as terms that have no terms above them."""
    pairs: list[tuple[int, int]] = []
    collections = []
    n_sets = 0
    for path in paths:
        sets = read_gmt(path)
        members, counts = on_vocabulary(sets, vocabulary)
        pairs += [(gene, n_sets + at) for at, genes in enumerate(members) for gene in genes]
        n_sets += len(sets)
        name, version = release_of(path)
        collections.append({"collection": name, "version": version, **counts})
    if not pairs:
        raise InputError(f"{paths[0]}: no set has a gene of the vocabulary; give human gene sets")
    alone = [[at] for at in range(n_sets)]
    group = np.zeros(n_sets, dtype=int)
    return _annotated(pairs, alone, group, len(vocabulary)), {"collections": collections}


def place_products(
    products: Sequence[Product], vocabulary: Vocabulary
) -> tuple[list[int], dict[str, int]]:
    """Return the vocabulary index of each gene product, -1 where it is not one gene, and counts.

    A product goes by its symbol. Where the vocabulary does not know it, a synonym serves if all
    known synonyms mean one gene and no other product bears that gene's symbol.
    """
    known, ambiguous = vocabulary.names("symbol")
    place = [known.get(product.symbol, -1) for product in products]
    claimed = set(place)
    by_synonym = shared = 0
    for at, product in enumerate(products):
        if place[at] >= 0:
            continue
        meant = {known[name] for name in product.synonyms if name in known}
        if product.symbol in ambiguous or len(meant) > 1:
            shared += 1
        elif len(meant) == 1 and not meant & claimed:
            place[at] = meant.pop()
            by_synonym += 1
    return place, {
        "read": len(products),
        "by_symbol": sum(at >= 0 for at in place) - by_synonym,
        "by_synonym": by_synonym,
        "ambiguous": shared,
        "unmatched": sum(at < 0 for at in place) - shared,
    }


def _annotated(
    pairs: Sequence[tuple[int, int]], ancestors: list[list[int]], group: np.ndarray, n_genes: int
) -> Annotations:
    from scipy.sparse import csr_array  # slow to import

    n_terms = len(ancestors)
    row, column = np.array(pairs, dtype=np.int64).T
    direct = csr_array((np.ones(len(row), np.float32), (row, column)), shape=(n_genes, n_terms))
    lengths = np.array([len(each) for each in ancestors])
    above = csr_array(
        (
            np.ones(lengths.sum(), np.float32),
            np.concatenate([np.array(each, dtype=np.int64) for each in ancestors]),
            np.concatenate([[0], np.cumsum(lengths)]),
        ),
        shape=(n_terms, n_terms),
    )
    propagated = (direct @ above).tocsr()
    propagated.data[:] = 1
    propagated.sort_indices()
    return Annotations(direct, propagated, ancestors, group)


def _check(
    format: str,
    similarity: str,
    ontology: Path | None,
    associations: Path | None,
    gene_sets: Sequence[Path] | None,
    aspects: Sequence[str] | None,
) -> None:
    section = "graph.gene_ontology"
    if format not in ("obo", "gmt"):
        raise InputError(f"{section}.format '{format}' is unknown; write obo or gmt")
    if similarity not in WEIGHTS:
        raise InputError(
            f"{section}.similarity '{similarity}' is unknown; known are {', '.join(WEIGHTS)}"
        )
    if format == "obo":
        if ontology is None or associations is None:
            raise InputError(
                f"{section}: the format obo needs ontology (go-basic.obo) and associations "
                "(goa_human.gaf.gz)"
            )
        if wrong := sorted(set(aspects or [""]) - set(ASPECTS.values())):
            raise InputError(
                f"{section}.aspects: '{wrong[0]}' is none; write {', '.join(ASPECTS.values())}"
            )
    elif not gene_sets:
        raise InputError(f"{section}: the format gmt needs gene_sets, a list of GMT files")
    elif similarity != SIMGIC:
        raise InputError(
            f"{section}.similarity: gene sets have no terms above them, without which {similarity} "
            f"means nothing; write {SIMGIC}"
        )


if __name__ == "__main__":
    command(gene_ontology)
