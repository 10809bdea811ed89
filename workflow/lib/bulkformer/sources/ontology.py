"""The Gene Ontology: its terms (OBO) and what is known of human gene products (GAF 2).

An annotation to a term holds for every term above it along is_a and part_of; other relations, such
as regulates, do not carry it upwards.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bulkformer.errors import InputError
from bulkformer.sources.text_matrix import UNREADABLE, open_text

UPWARD = ("is_a", "part_of")
HUMAN = "taxon:9606"
ASPECTS = {"P": "biological_process", "F": "molecular_function", "C": "cellular_component"}
# Columns of GAF 2.x, counted from 0: http://geneontology.org/docs/go-annotation-file-gaf-format-2.2
OBJECT, SYMBOL, QUALIFIER, TERM, EVIDENCE, ASPECT, SYNONYMS, TAXON = 1, 2, 3, 4, 6, 8, 10, 12
FEWEST_COLUMNS = 15  # the last two may be left out


@dataclass(frozen=True)
class Ontology:
    """Terms that are in use.

    Attributes
    ----------
    terms, aspects : n_terms ids ("GO:0008150") and namespaces ("biological_process"), sorted by id
    parents : for each term the positions of the terms right above it, by is_a or part_of
    place : position of every id, alternative ids included
    obsolete : ids of terms that are no longer in use
    version : data-version of the file, "" if it has none
    """

    terms: list[str]
    aspects: list[str]
    parents: list[list[int]]
    place: dict[str, int]
    obsolete: frozenset[str]
    version: str

    def ancestors(self) -> list[list[int]]:
        """Return for each term the sorted positions of itself and of every term above it."""
        found: list[set[int] | None] = [None] * len(self.terms)
        for start in range(len(self.terms)):
            waiting = [start]
            while waiting:
                term = waiting[-1]
                later = [parent for parent in self.parents[term] if found[parent] is None]
                if found[term] is None and later:
                    waiting += later
                    continue
                if found[term] is None:
                    above = (found[parent] for parent in self.parents[term])
                    found[term] = {term}.union(*above)
                waiting.pop()
        return [sorted(each) for each in found]


@dataclass
class Product:
    """A gene product: its symbol, its other names, and the terms that it is annotated with."""

    symbol: str
    synonyms: list[str]
    terms: set[str]


def read_obo(path: Path) -> Ontology:
    """Read go-basic.obo; obsolete terms and relations other than is_a and part_of are left out.

    Raises InputError if the file is no ontology, or if its terms form a circle.
    """
    import networkx  # slow to import, like obonet, which needs it
    import obonet

    try:
        with open_text(path) as handle:
            graph = obonet.read_obo(handle, ignore_obsolete=False)
    except (*UNREADABLE, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a readable OBO file ({error}); fetch it again") from error
    obsolete = {term for term, about in graph.nodes(data=True) if "is_obsolete" in about}
    # A term that is only pointed at has no stanza, hence no name.
    kept = {term for term, about in graph.nodes(data=True) if "name" in about} - obsolete
    if not kept:
        raise InputError(f"{path}: no term that is in use; give go-basic.obo of the Gene Ontology")
    upward = networkx.DiGraph(
        (child, parent)
        for child, parent, relation in graph.edges(keys=True)
        if relation in UPWARD and child in kept and parent in kept
    )
    if not networkx.is_directed_acyclic_graph(upward):
        circle = networkx.find_cycle(upward)
        raise InputError(
            f"{path}: {circle[0][0]} is above itself; give go-basic.obo, which has no circles"
        )
    terms = sorted(kept)
    place = {term: at for at, term in enumerate(terms)}
    other = {
        alternative: place[term]
        for term in terms
        for alternative in graph.nodes[term].get("alt_id", [])
        if alternative not in place
    }
    return Ontology(
        terms,
        [graph.nodes[term].get("namespace", "") for term in terms],
        [sorted(place[p] for p in upward.successors(t)) if t in upward else [] for t in terms],
        place | other,
        frozenset(obsolete),
        str(graph.graph.get("data-version", "")),
    )


def read_gaf(
    path: Path, aspects: Collection[str], evidence_left_out: Collection[str]
) -> tuple[list[Product], dict[str, int]]:
    """Read the annotations of human gene products.

    Parameters
    ----------
    path : plain or gzipped GAF 2.x
    aspects : namespaces to read, values of `ASPECTS`
    evidence_left_out : evidence codes whose annotations do not count

    Returns
    -------
    Products sorted by their database id, each with at least one term, and the number of rows that
    were read and left out, by reason. A row with the qualifier NOT says what a product does not do.

    Raises
    ------
    InputError : a file that is no GAF 2, or a row with too few columns
    """
    products: dict[str, Product] = {}
    counts = dict.fromkeys(
        ["rows", "rows_not", "rows_of_other_species", "rows_of_other_aspects", "rows_by_evidence"],
        0,
    )
    version = ""
    try:
        with open_text(path) as handle:
            for number, line in enumerate(handle, start=1):
                if line.startswith("!"):
                    if line.startswith("!gaf-version:"):
                        version = line.partition(":")[2].strip()
                    continue
                if not line.strip():
                    continue
                if not version.startswith("2"):
                    raise InputError(
                        f"{path}, line {number}: no line '!gaf-version: 2.…' before it; give "
                        "goa_human.gaf.gz of the Gene Ontology"
                    )
                cells = line.rstrip("\r\n").split("\t")
                if len(cells) < FEWEST_COLUMNS:
                    raise InputError(
                        f"{path}, line {number}: {len(cells)} columns, and GAF 2 has 15 to 17; "
                        "the file is damaged, fetch it again"
                    )
                counts["rows"] += 1
                if "NOT" in cells[QUALIFIER].split("|"):
                    counts["rows_not"] += 1
                elif cells[TAXON].partition("|")[0] != HUMAN:
                    counts["rows_of_other_species"] += 1
                elif ASPECTS.get(cells[ASPECT]) not in aspects:
                    counts["rows_of_other_aspects"] += 1
                elif cells[EVIDENCE] in evidence_left_out:
                    counts["rows_by_evidence"] += 1
                else:
                    product = products.get(cells[OBJECT])
                    if product is None:
                        names = [name.strip() for name in cells[SYNONYMS].split("|")]
                        product = Product(cells[SYMBOL].strip(), list(filter(None, names)), set())
                        products[cells[OBJECT]] = product
                    product.terms.add(cells[TERM])
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read to its end ({error}); fetch it again") from error
    if not products:
        raise InputError(
            f"{path}: no annotation of a human gene product is left of {counts['rows']} rows; give "
            "goa_human.gaf.gz, or correct graph.gene_ontology.aspects and evidence_left_out"
        )
    return [products[each] for each in sorted(products)], counts
