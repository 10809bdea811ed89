"""Knowledge of the invented genes as its providers write it: go-basic.obo, GAF 2.2 and GMT.

A process stands for each planted program and four parts of it for genes that are regulated alike,
so that genes of one program are annotated alike. What readers have to survive is there as well:
obsolete terms, alternative ids, NOT, other species, old symbols, names of two genes, strangers.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.files import atomic
from bulkformer.simulate.writers import gzip_text, tab_line
from bulkformer.sources.hgnc import read_hgnc

ROOTS = {
    "biological_process": "GO:0008150",
    "molecular_function": "GO:0003674",
    "cellular_component": "GO:0005575",
}
FIRST_ID = 9_000_001  # far above what GO has assigned
PARTS = 4
PROGRAMS_IN_A_GROUP = 4
ANNOTATED = 0.9  # share of the genes; the others are unknown, as many real ones are
STRAY = 0.15  # share of genes with a term of another program as well
DENIED = 0.3  # share of genes of which NOT says that they are in another program
FROM_EXPRESSION = 0.2  # share of genes with a stray term that expression patterns suggested
OLD_SYMBOL = 0.5  # share of renamed genes that still go by their old symbol
UNDER_SYNONYM = 0.02  # share of genes under a name that nobody knows, with their symbol as synonym
IN_THE_SET = 0.7  # share of a program's genes that its set lists
ADDRESS = "https://www.gsea-msigdb.org/gsea/msigdb/human/geneset/"


class Gene(NamedTuple):
    """A protein-coding gene: its symbol, one earlier or other name or "", program and part."""

    symbol: str
    other_name: str
    program: int
    part: int


class Term(NamedTuple):
    """A stanza of the ontology; `lines` follow its id, name and namespace."""

    go_id: str
    name: str
    namespace: str
    lines: list[str]


def ontology(
    truth_genes: Annotated[Path, Option(help="program of each gene")],
    hgnc: Annotated[Path, Option(help="HGNC complete set: other names of the genes")],
    seed: Annotated[int, Option()],
    ontology: Annotated[Path, Option(help="go-basic.obo to write")],
    associations: Annotated[Path, Option(help="goa_human.gaf.gz to write")],
    gene_sets: Annotated[Path, Option(help="GMT to write")],
) -> None:
    """Write what is known of the genes; the same truth and seed give the same bytes."""
    rng = np.random.default_rng([seed, *b"ontology"])
    genes, shared_name = read_genes(truth_genes, hgnc)
    n_programs = 1 + max(gene.program for gene in genes)
    terms, part_ids = draw_terms(n_programs)
    write_obo(ontology, terms)
    write_gaf(associations, genes, part_ids, shared_name, rng)
    write_gmt(gene_sets, genes, n_programs, shared_name, rng)


def read_genes(truth_genes: Path, hgnc: Path) -> tuple[list[Gene], str]:
    """Return the named coding genes, and a name that two genes share ("" without one).

    The part of a gene says on which side of its program's branches its loadings lie, regardless of
    sign, because genes that rise and fall together are regulated alike.
    """
    table = pq.read_table(truth_genes).to_pylist()
    names = {
        row["symbol"]: [*row["previous"], *row["aliases"]]
        for row in read_hgnc(hgnc)[["symbol", "previous", "aliases"]].to_dict("records")
    }
    every = sorted(name for each in names.values() for name in each)
    shared = next((a for a, b in pairwise(every) if a == b), "")
    genes = []
    for row in table:
        if not row["in_vocabulary"] or not row["symbol"]:
            continue
        program = -1 if row["program"] is None else row["program"]
        own, *branches = row["loadings"]
        sides = [branch * own > 0 for branch in branches[:2]]
        other = [name for name in names.get(row["symbol"], []) if name != shared]
        genes.append(
            Gene(row["symbol"], other[0] if other else "", program, sides[0] + 2 * sides[1])
        )
    return genes, shared


def draw_terms(n_programs: int) -> tuple[list[Term], list[list[str]]]:
    """Return all terms, and the ids of the parts of each program.

    Groups of programs are below the root, programs below groups (is_a), parts below programs
    (part_of). `regulates` leads to the next program and carries no annotation upwards.
    """
    number = iter(range(FIRST_ID, FIRST_ID + 100_000))
    process = "biological_process"
    terms = [Term(go_id, name, name, []) for name, go_id in ROOTS.items()]

    def add(name: str, *lines: str, namespace: str = process) -> str:
        go_id = f"GO:{next(number)}"
        terms.append(Term(go_id, name, namespace, list(lines)))
        return go_id

    n_groups = -(-n_programs // PROGRAMS_IN_A_GROUP)
    groups = [add(f"group {g + 1}", _is_a(terms[0])) for g in range(n_groups)]
    programs: list[str] = []
    parts: list[list[str]] = []
    for program in range(n_programs):
        above = f"is_a: {groups[program // PROGRAMS_IN_A_GROUP]} ! group"
        programs.append(add(f"program {program + 1}", above))
        lines = [
            f"relationship: part_of {programs[-1]} ! program {program + 1}",
            _is_a(terms[0]),
        ]
        if program:
            lines.append(f"relationship: regulates {programs[-2]} ! program {program}")
        parts.append([])
        for part in range(PARTS):
            alternative = f"alt_id: GO:{FIRST_ID + 200_000 + PARTS * program + part}"
            parts[-1].append(add(f"program {program + 1}, part {part + 1}", alternative, *lines))
    terms.append(
        Term(f"GO:{FIRST_ID + 300_000}", "obsolete program", process, ["is_obsolete: true"])
    )
    add("binding", _is_a(terms[1]), namespace="molecular_function")
    add("cytosol", _is_a(terms[2]), namespace="cellular_component")
    return terms, parts


def write_obo(path: Path, terms: list[Term]) -> None:
    """Write OBO 1.2 with the header and the typedefs of go-basic."""
    with atomic(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write("format-version: 1.2\ndata-version: releases/2024-06-17\nontology: go\n")
        for term in sorted(terms):
            file.write(f"\n[Term]\nid: {term.go_id}\nname: {term.name}\n")
            file.write(f'namespace: {term.namespace}\ndef: "Invented: {term.name}." [GOC:none]\n')
            file.writelines(f"{line}\n" for line in term.lines)
        for relation in ["part_of", "regulates"]:
            file.write(f"\n[Typedef]\nid: {relation}\nname: {relation.replace('_', ' ')}\n")


def write_gaf(
    path: Path,
    genes: list[Gene],
    parts: list[list[str]],
    shared_name: str,
    rng: np.random.Generator,
) -> None:
    """Write GAF 2.2; some genes go by old symbols, some by a name that only synonyms explain."""
    with gzip_text(path) as file:
        file.write("!gaf-version: 2.2\n!\n!generated-by: nobody\n!date-generated: 2024-06-17\n")

        def write(
            number: int,
            symbol: str,
            term: str,
            evidence: str = "IDA",
            relation: str = "involved_in",
            synonyms: str = "",
            aspect: str = "P",
            taxon: str = "taxon:9606",
        ) -> None:
            product = f"X9{number:05d}"  # no UniProt accession begins like this
            what = ["UniProtKB", product, symbol, relation, term, "PMID:0", evidence, ""]
            about = [aspect, "invented protein", synonyms or f"{symbol}_HUMAN", "protein", taxon]
            file.write(tab_line([*what, *about, "20240617", "UniProt", "", ""]))

        def stray(gene: Gene) -> str:
            other = (gene.program + 1 + int(rng.integers(len(parts) - 1))) % len(parts)
            return parts[other][int(rng.integers(PARTS))]

        for number, gene in enumerate(genes):
            draws = rng.random(6)
            symbol, synonyms = gene.symbol, ""
            if gene.other_name and draws[0] < OLD_SYMBOL:
                symbol = gene.other_name
            elif draws[0] > 1 - UNDER_SYNONYM:
                symbol, synonyms = f"STRANGE{number}", f"{gene.symbol}|NOBODY{number}"
            if gene.program >= 0 and draws[1] < ANNOTATED:
                term = parts[gene.program][gene.part]
                if draws[1] < ANNOTATED / 10:
                    term = _alternative(term, parts)
                evidence = "IEA" if draws[1] > ANNOTATED / 2 else "IMP"
                taxon = "taxon:9606|taxon:1280" if draws[1] < ANNOTATED / 50 else "taxon:9606"
                write(number, symbol, term, evidence, synonyms=synonyms, taxon=taxon)
            else:
                write(number, symbol, ROOTS["biological_process"], "ND", synonyms=synonyms)
            if draws[2] < STRAY:
                write(number, symbol, stray(gene), synonyms=synonyms)
            if draws[3] < DENIED:
                write(number, symbol, stray(gene), relation="NOT|involved_in", synonyms=synonyms)
            if draws[4] < FROM_EXPRESSION:
                write(number, symbol, stray(gene), "IEP", synonyms=synonyms)
            if draws[5] < STRAY / 5:
                write(number, symbol, f"GO:{FIRST_ID + 300_000}", synonyms=synonyms)
            function = ROOTS["molecular_function"]
            write(number, symbol, function, "ND", "enables", synonyms, aspect="F")
        last = len(genes)
        if shared_name:
            write(last, shared_name, parts[0][0])
        write(last + 1, "STRANGER1", parts[0][0])
        write(last + 2, genes[0].symbol, parts[-1][0], taxon="taxon:10090")


def write_gmt(
    path: Path, genes: list[Gene], n_programs: int, shared_name: str, rng: np.random.Generator
) -> None:
    """Write one set a program; renamed genes stand under their old symbol in some."""
    with atomic(path) as partial, partial.open("w", encoding="utf-8") as file:
        for program in range(n_programs):
            name = f"HALLMARK_PROGRAM_{program + 1}"
            members = []
            for gene in genes:
                kept, renamed = rng.random(2)
                if gene.program == program and kept < IN_THE_SET:
                    old = gene.other_name and renamed < OLD_SYMBOL
                    members.append(gene.other_name if old else gene.symbol)
            strangers = ["STRANGER1", *([shared_name] if shared_name and program == 0 else [])]
            file.write(tab_line([name, ADDRESS + name, *sorted(members), *strangers]))


def _is_a(term: Term) -> str:
    return f"is_a: {term.go_id} ! {term.name}"


def _alternative(term: str, parts: list[list[str]]) -> str:
    place = [each for program in parts for each in program].index(term)
    return f"GO:{FIRST_ID + 200_000 + place}"


if __name__ == "__main__":
    command(ontology)
