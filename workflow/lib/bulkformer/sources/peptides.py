"""Ensembl's protein sequences: one protein a gene, the canonical one where the GTF names it.

A protein language model needs one sequence a gene, whereas Ensembl lists the protein of every
transcript, and repeats genes on patches and haplotypes under other ids.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.ensembl import CHROMOSOMES, COPY_ON_Y
from bulkformer.sources.text_matrix import UNREADABLE, open_text

COLUMNS = ["gene_id", "protein_id", "transcript_id", "sequence", "chosen_by"]
CANONICAL, LONGEST = "canonical", "longest"
COPIES = "of copies on Y"
STOP, UNKNOWN = "*", "X"
# The twenty residues; U and O, which a stop codon can stand for; B, Z and X for what is not sure.
RESIDUES = re.compile(r"[ACDEFGHIKLMNPQRSTVWYUOBZX*]*")


class Peptide(NamedTuple):
    """One record: ids without versions, the chromosome as Ensembl writes it, residues."""

    gene: str  # as written, because only that tells a copy on Y in some releases
    protein_id: str
    transcript_id: str
    chromosome: str
    sequence: str


class Rank(NamedTuple):
    """Of the proteins of a gene, that with the lowest rank is taken."""

    on_y: bool
    other: bool  # than the protein of the canonical transcript
    minus_length: int
    protein_id: str

    @property
    def chosen_by(self) -> str:
        return LONGEST if self.other else CANONICAL


def read_peptides(path: Path, canonical: Mapping[str, str]) -> pd.DataFrame:
    """Choose one protein for every gene on the chromosomes 1 to 22, X, Y and MT.

    Parameters
    ----------
    path : `pep.all` FASTA of Ensembl, plain or gzipped; it is streamed
    canonical : gene -> transcript, both without version, as `ensembl.canonical_transcripts` reads
        it from the GTF of the same release

    Returns
    -------
    One row a gene, sorted by gene_id: gene_id, protein_id, transcript_id (no versions), sequence
    and chosen_by, which is "canonical", or "longest" where no protein of the canonical transcript
    is listed; of equally long ones that with the first protein_id. A stop that ends the sequence
    is no residue and is dropped; one inside, where translation reads on with a residue that nobody
    knows, becomes X. Selenocysteine stays U, which ESM2 has a token for. Of a gene with copies on
    X and Y, that on X counts. What was left out is counted on stderr.

    Raises
    ------
    InputError : not such a file, damaged, a protein that stands twice, no gene left, or a GTF of
        another release, known by not one canonical transcript that has a protein
    """
    left_out: Counter[str] = Counter()
    chosen = _best(_usable(path, left_out), canonical, left_out)
    if not chosen:
        raise InputError(
            f"{path}: no protein on the chromosomes 1 to 22, X, Y, MT; give Ensembl's human pep.all"
        )
    rows = [
        (gene, best.protein_id, best.transcript_id, best.sequence, rank.chosen_by)
        for gene, (rank, best) in sorted(chosen.items())
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    by = table["chosen_by"].value_counts()
    if canonical and CANONICAL not in by:
        raise InputError(
            f"{path}: none of its proteins belongs to a canonical transcript of the GTF; give both "
            "files of one release"
        )
    kept = ", ".join(f"{by.get(way, 0)} {way}" for way in (CANONICAL, LONGEST))
    counted = ", ".join(f"{number} {what} left out" for what, number in left_out.items() if number)
    print(f"{path}: {len(table)} genes, {kept}; {counted or 'nothing left out'}", file=sys.stderr)
    return table


def _best(
    peptides: Iterable[Peptide], canonical: Mapping[str, str], left_out: Counter[str]
) -> dict[str, tuple[Rank, Peptide]]:
    """Return the best protein of each gene, and count the copies on Y that lost to one on X."""
    chosen: dict[str, tuple[Rank, Peptide]] = {}
    on_y: Counter[str] = Counter()
    for peptide in peptides:
        gene_id = _unversioned(peptide.gene)
        rank = Rank(
            on_y=peptide.chromosome == "Y",
            other=canonical.get(gene_id) != peptide.transcript_id,
            minus_length=-len(peptide.sequence),
            protein_id=peptide.protein_id,
        )
        on_y[gene_id] += rank.on_y
        if gene_id not in chosen or rank < chosen[gene_id][0]:
            chosen[gene_id] = rank, peptide
    copies = sum(on_y[gene_id] for gene_id, (rank, _) in chosen.items() if not rank.on_y)
    left_out[COPIES] += copies
    return chosen


def _usable(path: Path, left_out: Counter[str]) -> Iterator[Peptide]:
    """Yield the proteins with residues on the assembled chromosomes, and count the others."""
    seen: set[tuple[str, str]] = set()
    for peptide in _peptides(path):
        name = peptide.protein_id, peptide.chromosome
        if peptide.chromosome not in CHROMOSOMES:
            left_out["on patches, haplotypes or scaffolds"] += 1
        elif COPY_ON_Y.search(peptide.gene):
            left_out[COPIES] += 1
        elif not peptide.sequence:
            left_out["without residues"] += 1
        elif name in seen:
            raise InputError(
                f"{path}: the protein {name[0]} stands twice on chromosome {name[1]}; fetch the "
                "file again"
            )
        else:
            seen.add(name)
            yield peptide


def _peptides(path: Path) -> Iterator[Peptide]:
    for number, header, sequence in _records(path):
        # The description comes last and is free text.
        protein, _, rest = header.partition(" description:")[0].partition(" ")
        kind, *words = rest.split() or [""]
        fields = dict(word.partition(":")[::2] for word in words[1:])
        place = words[0].split(":") if words else []
        if not (kind == "pep" or kind.startswith("pep:")) or len(place) < 3 or not protein:
            raise InputError(
                f"{path}: line {number} '>{header[:60]}' is no header of an Ensembl protein (ENSP… "
                "pep chromosome:…); give pep.all.fa.gz"
            )
        if not fields.get("gene") or not fields.get("transcript"):
            raise InputError(
                f"{path}: line {number} names no gene: and transcript: of {protein}; give "
                "pep.all.fa.gz and not predicted proteins"
            )
        if not sequence:
            raise InputError(f"{path}: {protein} (line {number}) is empty; fetch the file again")
        if not RESIDUES.fullmatch(sequence):
            wrong = sorted(set(RESIDUES.sub("", sequence)))
            raise InputError(
                f"{path}: {protein} (line {number}) holds {wrong[0]!r}, which is no residue; fetch "
                "the file again"
            )
        yield Peptide(
            gene=fields["gene"],
            protein_id=_unversioned(protein),
            transcript_id=_unversioned(fields["transcript"]),
            chromosome=place[2],
            sequence=sequence.removesuffix(STOP).replace(STOP, UNKNOWN),
        )


def _records(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the line number of the header, the header and the sequence as written."""
    header, start, lines = None, 0, []
    try:
        with open_text(path) as handle:
            for number, line in enumerate(handle, start=1):
                line = line.strip()
                if line.startswith(">"):
                    if header is not None:
                        yield start, header, "".join(lines)
                    header, start, lines = line[1:], number, []
                elif line and header is None:
                    raise InputError(
                        f"{path}: begins with '{line[:40]}' and not with the '>' of FASTA; fetch "
                        "it again"
                    )
                else:
                    lines.append(line)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read to its end ({error}); fetch it again") from error
    if header is not None:
        yield start, header, "".join(lines)


def _unversioned(name: str) -> str:
    return name.partition(".")[0]
