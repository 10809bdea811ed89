"""Ensembl's proteins: one a gene."""

import gzip

import pytest

from bulkformer.errors import InputError
from bulkformer.sources.ensembl import canonical_transcripts
from bulkformer.sources.peptides import read_peptides

DESCRIPTION = " description:a gene:like thing, transcript:X [Source:HGNC Symbol;Acc:HGNC:1]"


def gene_id(number):
    return f"ENSG{number:011}"


def transcript_id(number):
    return f"ENST{number:011}"


def protein(number, gene, sequence, chromosome="1", *, suffix="", kind="pep", ending=DESCRIPTION):
    """One record, wrapped as Ensembl wraps it; protein and transcript share their number."""
    lines = [sequence[at : at + 60] for at in range(0, len(sequence), 60)]
    place = "scaffold" if "." in chromosome else "chromosome"
    header = (
        f">ENSP{number:011}.2 {kind} {place}:GRCh38:{chromosome}:10:90:-1 "
        f"gene:{gene_id(gene)}.5{suffix} transcript:{transcript_id(number)}.3 "
        f"gene_biotype:protein_coding transcript_biotype:protein_coding gene_symbol:A-B{ending}"
    )
    return "\n".join([header, *lines]) + "\n"


@pytest.fixture
def read(tmp_path):
    def read(*records, canonical=()):
        path = tmp_path / "pep.all.fa.gz"
        path.write_bytes(gzip.compress("".join(records).encode()))
        chosen = {gene_id(gene): transcript_id(number) for gene, number in dict(canonical).items()}
        return read_peptides(path, chosen).set_index("gene_id")

    return read


def test_the_canonical_protein_of_a_gene_is_chosen_though_another_is_longer(read):
    table = read(
        protein(1, 7, "M" * 130),
        protein(2, 7, "MKV" * 41),
        protein(3, 5, "MA"),
        canonical={7: 2, 5: 3},
    )
    assert table.index.tolist() == [gene_id(5), gene_id(7)]
    assert table.loc[gene_id(7)].tolist() == [
        "ENSP00000000002",
        transcript_id(2),
        "MKV" * 41,
        "canonical",
    ]


def test_without_a_canonical_one_the_longest_counts_and_of_equals_that_with_the_first_id(read):
    records = [
        *(protein(9, 7, "MKVA"), protein(8, 7, "MKVL"), protein(1, 7, "MK")),
        protein(4, 5, "MA"),
    ]
    for order in (records, records[::-1]):
        table = read(*order, canonical={5: 4, 7: 99})
        assert table["protein_id"].tolist() == ["ENSP00000000004", "ENSP00000000008"]
        assert table["chosen_by"].tolist() == ["canonical", "longest"]


def test_patches_haplotypes_and_copies_on_y_are_left_out(read, capsys):
    table = read(
        protein(1, 1, "MKVAA", "CHR_HSCHR7_2_CTG6"),
        protein(2, 2, "MKVAA", "KI270728.1"),
        protein(3, 3, "MKVAA", "Y"),
        protein(3, 3, "MK", "X"),
        protein(4, 4, "MK", "Y"),
        protein(5, 5, "MKVAA", "Y", suffix="_PAR_Y"),
        protein(6, 6, "MK", "MT"),
    )
    assert table.index.tolist() == [gene_id(number) for number in (3, 4, 6)]
    assert table["sequence"].tolist() == ["MK"] * 3
    said = capsys.readouterr().err
    assert "3 genes, 0 canonical, 3 longest" in said
    assert "2 on patches, haplotypes or scaffolds left out, 2 of copies on Y left out" in said


def test_an_end_stop_is_no_residue_an_inner_one_is_unknown_and_selenocysteine_stays(read, capsys):
    table = read(
        protein(1, 1, "MKU*VC*"), protein(2, 2, "MKV*"), protein(3, 2, "MKA"), protein(4, 4, "*")
    )
    assert table["sequence"].tolist() == ["MKUXVC", "MKV"]  # no longer than MKA
    assert "1 without residues left out" in capsys.readouterr().err


def test_headers_of_old_releases_and_without_a_description_are_read(read):
    table = read(protein(1, 1, "MK", kind="pep:known", ending=""), protein(2, 2, "MK", ending="\r"))
    assert table["transcript_id"].tolist() == [transcript_id(1), transcript_id(2)]


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([], "no protein on the chromosomes"),
        ([protein(1, 1, "MK", "CHR_HG1_PATCH")], "no protein on the chromosomes"),
        (["<!doctype html><html>"], r"begins with '<!doctype html>.*fetch it again"),
        ([protein(1, 1, "ATG", kind="cdna")], r"line 1 '>ENSP.*no header of an Ensembl protein"),
        ([">ENSP1|ENST1|ENSG1|-|A|12\nMK\n"], "no header of an Ensembl protein"),
        ([">\nMK\n"], "no header of an Ensembl protein"),
        (
            [protein(1, 1, "MK"), ">GENSCAN1 pep chromosome:GRCh38:1:1:9:1 transcript:G1\nMK\n"],
            "line 3 names no gene: and transcript: of GENSCAN1",
        ),
        ([protein(1, 1, ""), protein(2, 2, "MK")], r"ENSP00000000001\.2 \(line 1\) is empty"),
        ([protein(1, 1, "MK1L")], r"ENSP00000000001\.2 \(line 1\) holds '1'"),
        (
            [protein(1, 1, "MK"), protein(1, 1, "ML")],
            "ENSP00000000001 stands twice on chromosome 1",
        ),
    ],
)
def test_what_is_no_file_of_proteins_is_refused(read, records, complaint):
    with pytest.raises(InputError, match=complaint):
        read(*records)


def test_a_cut_file_is_refused(tmp_path):
    path = tmp_path / "pep.all.fa.gz"
    content = gzip.compress("".join(protein(n, n, "MKV" * n) for n in range(1, 60)).encode())
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read to its end"):
        read_peptides(path, {})


def test_a_gtf_of_another_release_is_refused(read):
    with pytest.raises(InputError, match="give both files of one release"):
        read(protein(1, 1, "MK"), canonical={1: 50})


def gtf_line(feature, gene, transcript, *, chromosome="1", canonical=True):
    tags = 'tag "basic"; tag "Ensembl_canonical"; tag "MANE_Select";' if canonical else 'tag "x";'
    ids = f'gene_id "{gene}"; transcript_id "{transcript}"; {tags}'
    return f"{chromosome}\thavana\t{feature}\t1\t9\t.\t+\t.\t{ids}\n"


def test_the_tag_of_the_gtf_names_the_canonical_transcript(tmp_path):
    path = tmp_path / "genes.gtf"
    path.write_text(
        gtf_line("exon", gene_id(1), transcript_id(1), canonical=False)
        + gtf_line("exon", gene_id(1), transcript_id(2)) * 2
        + gtf_line("exon", f"{gene_id(3)}.4", f"{transcript_id(3)}.7", chromosome="chrX")
        + gtf_line("exon", f"{gene_id(3)}.4", f"{transcript_id(9)}.7", chromosome="chrY")
        + gtf_line("exon", f"{gene_id(3)}.4_PAR_Y", transcript_id(8), chromosome="chrY")
        + gtf_line("exon", gene_id(5), transcript_id(5), chromosome="KI270728.1")
    )
    chosen = {gene_id(1): transcript_id(2), gene_id(3): transcript_id(3)}
    assert canonical_transcripts(path) == chosen
    path.write_text(path.read_text() + gtf_line("exon", gene_id(1), transcript_id(6)))
    with pytest.raises(InputError, match=r"has two canonical transcripts, .*2 and .*6"):
        canonical_transcripts(path)
    path.write_text(gtf_line("exon", gene_id(1), ""))
    with pytest.raises(InputError, match="no transcript_id"):
        canonical_transcripts(path)
    path.write_text(gtf_line("exon", gene_id(1), transcript_id(1), canonical=False))
    assert canonical_transcripts(path) == {}
