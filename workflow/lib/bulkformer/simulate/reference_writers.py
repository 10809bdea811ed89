"""References in the formats of their providers: Ensembl GTF, HGNC table, STRING links and aliases.

STRING is where the planted graph can be seen without any expression: most planted edges are there
with high confidence, some are missing, and random pairs are there too, mostly with low scores.
"""

from pathlib import Path

import numpy as np

from bulkformer.files import atomic
from bulkformer.simulate.annotation import Annotation
from bulkformer.simulate.nomenclature import Nomenclature
from bulkformer.simulate.programs import Programs
from bulkformer.simulate.writers import gzip_text, tab_line

SEEN, CONFIDENT = 0.9, 0.85  # shares: planted edges in STRING; of those, with a score from 700
NOISE_EDGES = 3  # random pairs for each planted edge
CONFIDENT_NOISE = 0.06  # share of the random pairs with a score from 700
UNMAPPED = 0.01  # share of proteins without an Ensembl gene among the aliases


def write_gtf(path: Path, annotation: Annotation) -> None:
    """Write genes, transcripts and exons as Ensembl release 107 does; patches under their names."""
    with gzip_text(path) as file:
        file.write("#!genome-build GRCh38.p13\n#!genome-version GRCh38\n")
        file.write("#!genome-date 2013-12\n#!genome-build-accession GCA_000001405.28\n")
        file.write("#!genebuild-last-updated 2022-04\n")
        for row in range(len(annotation)):
            file.writelines(_gtf_lines(annotation, row))


def write_hgnc(path: Path, annotation: Annotation, nomenclature: Nomenclature) -> None:
    """Write the complete set: one row an approved symbol; lists with pipes stand in quotes."""
    header = ["hgnc_id", "symbol", "name", "locus_group", "prev_symbol", "alias_symbol"]
    with atomic(path) as partial, partial.open("w") as file:
        file.write(tab_line([*header, "ensembl_gene_id", "entrez_id"]))
        for row, hgnc_id in enumerate(nomenclature.hgnc_id):
            if not hgnc_id:
                continue
            coding = annotation.biotype[row] == "protein_coding"
            file.write(
                tab_line(
                    [
                        hgnc_id,
                        annotation.symbol[row],
                        f"simulated gene {row + 1}",
                        "protein-coding gene" if coding else "non-coding RNA",
                        _pipe_list(nomenclature.previous[row]),
                        _pipe_list(nomenclature.alias[row]),
                        annotation.gene_id[row],
                        nomenclature.entrez_id[row],
                    ]
                )
            )


def write_string(
    links: Path,
    aliases: Path,
    annotation: Annotation,
    programs: Programs,
    rng: np.random.Generator,
) -> None:
    """Write STRING v12 links (each edge in both directions, scores 150 to 999) and aliases.

    Some proteins have no Ensembl gene among their aliases; those of genes with a copy on a patch
    have two.
    """
    genes = np.flatnonzero(annotation.coding)
    number = np.zeros(len(annotation), dtype=np.int64)
    number[genes] = 900_001 + rng.permutation(len(genes))
    protein = [f"9606.ENSP00000{n}" if n else "" for n in number]

    pairs, scores = _string_edges(genes, programs, rng)
    pairs, scores = np.concatenate([pairs, pairs[:, ::-1]]), np.concatenate([scores, scores])
    order = np.lexsort((number[pairs[:, 1]], number[pairs[:, 0]]))
    with gzip_text(links) as file:
        file.write("protein1 protein2 combined_score\n")
        for (one, other), score in zip(pairs[order].tolist(), scores[order].tolist(), strict=True):
            file.write(f"{protein[one]} {protein[other]} {score}\n")

    unmapped = set(rng.permutation(genes)[: max(3, int(UNMAPPED * len(genes)))].tolist())
    copies: dict[str, list[int]] = {}
    for row in np.flatnonzero(annotation.patch):
        copies.setdefault(annotation.symbol[row], []).append(int(row))
    with gzip_text(aliases) as file:
        file.write("#string_protein_id\talias\tsource\n")
        for row in sorted(genes.tolist(), key=lambda gene: number[gene]):
            file.write(tab_line([protein[row], f"X{number[row]}", "UniProt_AC"]))
            if row in unmapped:
                continue
            symbol = annotation.symbol[row]
            for gene in [row, *copies.get(symbol, [])]:
                file.write(tab_line([protein[row], annotation.gene_id[gene], "Ensembl_gene"]))
            if symbol:
                file.write(tab_line([protein[row], symbol, "Ensembl_HGNC_symbol"]))


def _gtf_lines(annotation: Annotation, row: int) -> list[str]:
    transcripts = annotation.transcripts[row]
    strand, chromosome = annotation.strand[row], annotation.chromosome[row]
    symbol, biotype = annotation.symbol[row], annotation.biotype[row]
    name = f' gene_name "{symbol}";' if symbol else ""
    gene = (
        f'gene_id "{annotation.gene_id[row]}"; gene_version "{annotation.version[row]}";'
        f'{name} gene_source "ensembl_havana"; gene_biotype "{biotype}";'
    )

    def line(feature: str, start: int, end: int, attributes: str) -> str:
        place = [chromosome, "ensembl_havana", feature, start, end, ".", strand, "."]
        return tab_line([*place, attributes])

    ends = [interval for exons in transcripts for interval in exons]
    lines = [line("gene", min(s for s, _ in ends), max(e for _, e in ends), gene)]
    for number, exons in enumerate(transcripts, start=1):
        transcript = (
            f'{gene} transcript_id "ENST00000{900_001 + 2 * row + number}"; transcript_version "1";'
            f' transcript_source "ensembl_havana"; transcript_biotype "{biotype}"; tag "basic";'
        )
        if number == 1:
            transcript += ' tag "Ensembl_canonical";'
        lines.append(line("transcript", exons[0][0], exons[-1][1], transcript))
        # Ensembl lists exons in the direction of transcription.
        ordered = exons if strand == "+" else exons[::-1]
        lines += [
            line("exon", start, end, f'{transcript} exon_number "{place}";')
            for place, (start, end) in enumerate(ordered, start=1)
        ]
    return lines


def _pipe_list(symbols: list[str]) -> str:
    return f'"{"|".join(symbols)}"' if len(symbols) > 1 else "".join(symbols)


def _string_edges(
    genes: np.ndarray, programs: Programs, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return gene pairs int [n, 2] (each once, no pair twice) and their scores int [n]."""
    planted = np.stack([programs.source, programs.target], axis=1)
    seen = planted[rng.random(len(planted)) < SEEN]
    drawn = np.sort(rng.choice(genes, size=(NOISE_EDGES * len(planted), 2)), axis=1)
    drawn = np.unique(drawn[drawn[:, 0] < drawn[:, 1]], axis=0)
    base = genes.max() + 1
    noise = drawn[~np.isin(drawn @ [base, 1], planted @ [base, 1])]
    confident = np.concatenate(
        [rng.random(len(seen)) < CONFIDENT, rng.random(len(noise)) < CONFIDENT_NOISE]
    )
    low = 150 + (550 * rng.beta(1, 3, len(confident))).astype(int)
    high = rng.integers(700, 1000, len(confident))
    return np.concatenate([seen, noise]), np.where(confident, high, low)
