"""Ensembl: which genes there are, what they are called, and how long their exons are together.

Only genes on the assembled chromosomes are kept: patches and alternative haplotypes repeat genes of
the primary assembly under other ids, which would count the same reads twice.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.text_matrix import UNREADABLE, open_bytes, open_text

CHROMOSOMES = frozenset([*map(str, range(1, 23)), "X", "Y", "MT"])
COLUMNS = ["gene_id", "symbol", "entrez", "other_entrez", "length_bp", "biotype", "chromosome"]
TABLE = ["id", "eff_length", "entrez", "symbol", "chr", "biotype"]
ATTRIBUTE = re.compile(r'(\w+) "([^"]*)"')
COPY_ON_Y = re.compile("_PAR_Y|^ENSGR")  # GENCODE 25 to 43, and before
CANONICAL = 'tag "Ensembl_canonical"'  # Ensembl 103 and GENCODE 37, and later
UNION_EXON, CANONICAL_TRANSCRIPT = "union_exon", "canonical_transcript"


def read_annotation(format: str, path: Path, lengths: str = UNION_EXON) -> pd.DataFrame:
    """Read the genes of an annotation.

    Parameters
    ----------
    format : "gtf" for an Ensembl or GENCODE GTF, or "table" for a TSV with the columns id,
        eff_length, entrez, symbol, chr, biotype; each plain or gzipped
    lengths : "union_exon" for the bases that any exon covers, "canonical_transcript" for those of
        the transcript that Ensembl calls canonical (GTF only)

    Returns
    -------
    One row a gene, in file order: gene_id (Ensembl, no version), symbol (the gene_id where there is
    none), entrez (str or None), other_entrez (list), length_bp (int), biotype, chromosome (1..22,
    X, Y, MT). A gene with several Entrez ids has None as its own, because choosing one would be a
    guess, and all of them in other_entrez, because each of them means the gene. What was left out
    is counted on stderr.

    Raises
    ------
    InputError : not such a file, or no gene left
    """
    readers = {"gtf": _read_gtf, "table": _read_table}
    if format not in readers:
        raise InputError(f"annotation format '{format}' is unknown; known are {', '.join(readers)}")
    if lengths == CANONICAL_TRANSCRIPT and format != "gtf":
        raise InputError(
            f"{path}: only a GTF knows canonical transcripts; set expression.vocabulary.lengths to "
            f"{UNION_EXON}, or give a GTF"
        )
    genes, left_out = readers[format](path, lengths)
    if genes.empty:
        raise InputError(
            f"{path}: no gene on the chromosomes 1 to 22, X, Y, MT; give a human annotation and "
            "its format"
        )
    counted = ", ".join(f"{count} {what}" for what, count in left_out.items() if count)
    print(f"{path}: {len(genes)} genes; {counted or 'nothing left out'}", file=sys.stderr)
    return genes[COLUMNS].reset_index(drop=True)


def canonical_transcripts(path: Path) -> dict[str, str]:
    """Return gene -> canonical transcript of a GTF, both without version.

    Genes and copies that `read_annotation` leaves out are left out here too. Empty for releases
    that do not tag canonical transcripts. Raises InputError for a file that is no GTF, or a gene
    with two canonical transcripts.
    """
    chosen: dict[str, tuple[str, str]] = {}
    for chromosome, _, _, attributes, is_canonical in _gtf_rows(path):
        gene_id, transcript_id = attributes["gene_id"], attributes.get("transcript_id")
        if not is_canonical or chromosome not in CHROMOSOMES or COPY_ON_Y.search(gene_id):
            continue
        if not transcript_id:
            raise InputError(
                f"{path}: a canonical exon of {gene_id} has no transcript_id; give a GTF"
            )
        gene_id, transcript_id = gene_id.partition(".")[0], transcript_id.partition(".")[0]
        home, known = chosen.setdefault(gene_id, (chromosome, transcript_id))
        if home == chromosome and known != transcript_id:
            raise InputError(
                f"{path}: {gene_id} has two canonical transcripts, {known} and {transcript_id}; "
                "fetch the file again"
            )
    return {gene_id: transcript_id for gene_id, (_, transcript_id) in chosen.items()}


def _read_gtf(path: Path, lengths: str) -> tuple[pd.DataFrame, dict[str, int]]:
    genes: dict[str, tuple[str, str, str]] = {}
    exons: dict[str, list[tuple[int, int]]] = defaultdict(list)
    elsewhere, copies = set(), set()
    canonical: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for chromosome, feature, span, attributes, is_canonical in _gtf_rows(path):
        gene_id = attributes["gene_id"]
        if chromosome not in CHROMOSOMES:
            elsewhere.add(gene_id)
            continue
        if COPY_ON_Y.search(gene_id):
            copies.add(gene_id)
            continue
        gene_id = gene_id.partition(".")[0]
        biotype = attributes.get("gene_biotype") or attributes.get("gene_type", "")
        symbol = attributes.get("gene_name") or gene_id
        home = genes.setdefault(gene_id, (symbol, biotype, chromosome))[2]
        # Where X and Y recombine, some releases give the copy on Y the id of the gene on X.
        if home != chromosome:
            copies.add(gene_id)
        elif feature == "exon":
            exons[gene_id].append(span)
            if is_canonical:
                canonical[gene_id].append(span)
    if lengths == CANONICAL_TRANSCRIPT:
        if without := sorted(exons.keys() - canonical.keys()):
            raise InputError(
                f"{path}: {len(without)} genes have no transcript with {CANONICAL}, first "
                f"{without[0]}; give Ensembl 103 or later, or set expression.vocabulary.lengths to "
                f"{UNION_EXON}"
            )
        exons = canonical
    table = pd.DataFrame(
        [
            (gene_id, symbol, None, [], union_length(exons[gene_id]), biotype, chromosome)
            for gene_id, (symbol, biotype, chromosome) in genes.items()
            if gene_id in exons
        ],
        columns=COLUMNS,
    )
    return table, {
        "on patches, haplotypes or scaffolds left out": len(elsewhere),
        "copies on Y left out": len(copies),
        "without exons left out": len(genes) - len(table),
    }


def _gtf_rows(path: Path) -> Iterator[tuple[str, str, tuple[int, int], dict[str, str], bool]]:
    """Yield chromosome, feature, (start, end), attributes of every gene and exon, if canonical."""
    try:
        with open_text(path) as handle:
            for number, line in enumerate(handle, start=1):
                if line.startswith("#") or not line.strip():
                    continue
                try:
                    chromosome, _, feature, start, end, _, _, _, rest = line.split("\t", 8)
                    span = int(start), int(end)
                except ValueError as error:
                    raise InputError(
                        f"{path}: line {number} is not GTF ({error}); fetch the file again, or "
                        "correct expression.vocabulary.format"
                    ) from error
                if feature in ("gene", "exon"):
                    attributes = dict(ATTRIBUTE.findall(rest))
                    if "gene_id" not in attributes:
                        raise InputError(
                            f"{path}: line {number} has no gene_id; give a GTF, not a GFF3 file"
                        )
                    # Tags repeat, so the attributes hold only the last of them.
                    yield _chromosome(chromosome), feature, span, attributes, CANONICAL in rest
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read to its end ({error}); fetch it again") from error


def union_length(exons: list[tuple[int, int]]) -> int:
    """Return the bases that at least one exon covers; both ends of (start, end) belong to it."""
    covered, reach = 0, 0
    for start, end in sorted(exons):
        covered += max(0, end - max(start - 1, reach))
        reach = max(reach, end)
    return covered


def _read_table(path: Path, _lengths: str) -> tuple[pd.DataFrame, dict[str, int]]:
    try:
        with open_bytes(path) as handle:
            # Descriptions hold single quotation marks, and "NA" could be a symbol.
            table = pd.read_csv(
                handle, sep="\t", dtype=str, usecols=TABLE, quoting=3, keep_default_na=False
            )
    except (*UNREADABLE, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a table with the columns {', '.join(TABLE)} ({error}); "
            "correct the file, or expression.vocabulary.format"
        ) from error
    table["gene_id"] = table["id"].str.strip().str.partition(".")[0]
    table["chromosome"] = table["chr"].map(_chromosome)
    on_chromosome = table["chromosome"].isin(CHROMOSOMES) & ~table["id"].str.contains(COPY_ON_Y)
    table["length_bp"] = pd.to_numeric(table["eff_length"], errors="coerce")
    garbled = table["length_bp"].isna() & ~table["eff_length"].isin(["", "NA"])
    if garbled.any():
        row = table[garbled].iloc[0]
        raise InputError(
            f"{path}: the eff_length '{row['eff_length']}' of {row['gene_id']} is not a number; "
            "correct it, or leave it empty"
        )
    genes = table[on_chromosome]
    grouped = genes.groupby("gene_id", sort=False)
    merged = grouped.agg(
        symbol=("symbol", "first"),
        biotype=("biotype", "first"),
        chromosome=("chromosome", "first"),
        length_bp=("length_bp", "max"),
    ).reset_index()
    numbers = genes["entrez"].str.replace(r"\.0$", "", regex=True)
    numbers = numbers[numbers.str.fullmatch(r"\d+")]
    entrez = numbers.groupby(genes.loc[numbers.index, "gene_id"]).agg(["nunique", "first"])
    single = entrez.loc[entrez["nunique"] == 1, "first"]
    merged["entrez"] = merged["gene_id"].map(single).astype(object)
    merged["entrez"] = merged["entrez"].where(merged["entrez"].notna(), None)
    owners = genes.loc[numbers.index, "gene_id"]
    shared = owners.isin(entrez.index[entrez["nunique"] > 1])
    several = numbers[shared].groupby(owners[shared]).agg(lambda ids: sorted(set(ids))).to_dict()
    merged["other_entrez"] = [several.get(gene_id, []) for gene_id in merged["gene_id"]]
    unnamed = merged["symbol"].isin(["", "NA"])
    merged["symbol"] = merged["symbol"].mask(unnamed, merged["gene_id"])
    has_length = merged["length_bp"] > 0
    kept = merged[has_length].assign(length_bp=lambda t: t["length_bp"].round().astype("int64"))
    return kept, {
        "rows on patches or haplotypes left out": int((~on_chromosome).sum()),
        "without a length left out": int((~has_length).sum()),
        "with several Entrez ids, all of them kept and none preferred": len(several),
    }


def _chromosome(name: str) -> str:
    """UCSC and GENCODE write chr1 and chrM for Ensembl's 1 and MT."""
    name = name.strip().removeprefix("chr")
    return "MT" if name == "M" else name
