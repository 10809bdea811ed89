"""A handful of genes with proteins, a tiny ESM2, and the step that embeds the one by the other."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.pretrain import protein_embeddings as step
from bulkformer.pretrain.protein_windows import WINDOW
from bulkformer.simulate.proteins import draw_protein, write_random_esm2

LONG = WINDOW + 300


@pytest.fixture(scope="module")
def sequences():
    """Residues of each gene's canonical protein; the third is longer than a window."""
    rng = np.random.default_rng(5)
    drawn = [draw_protein(rng, length) for length in (40, 75, LONG, 40, 200, 33, 90)]
    drawn[5] = "MU" + drawn[5][2:]  # selenocysteine has a token of its own
    drawn[6] = drawn[1]
    return {f"ENSG{number:011d}": sequence for number, sequence in enumerate(drawn, start=1)}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, sequences):
    """Files of the step by option: a tiny ESM2, proteins, annotation and a vocabulary."""
    folder = tmp_path_factory.mktemp("proteins")
    write_random_esm2(folder / "esm2/model.safetensors", seed=4)
    records, annotation = [], []
    for number, (gene, sequence) in enumerate(sequences.items(), start=1):
        # A longer protein of a transcript that is not canonical comes first.
        for protein, residues in ((100 + number, sequence + "AAAA"), (number, sequence)):
            records.append(
                f">ENSP{protein:011d}.2 pep chromosome:GRCh38:1:1:900:1 gene:{gene}.3 "
                f"transcript:ENST{protein:011d}.1 gene_biotype:protein_coding\n{residues}\n"
            )
        annotation.append(
            f'1\thavana\texon\t1\t900\t.\t+\t.\tgene_id "{gene}"; transcript_id '
            f'"ENST{number:011d}"; tag "Ensembl_canonical";\n'
        )
    (folder / "pep.fa").write_text("".join(records))
    (folder / "genes.gtf").write_text("".join(annotation))
    # Not the order of the proteins, and with a gene that has none.
    vocabulary = ["ENSG00000000099", *reversed(sequences)]
    pq.write_table(pa.table({"gene_id": vocabulary}), folder / "genes.parquet")
    return {
        "genes": folder / "genes.parquet",
        "esm2": folder / "esm2/model.safetensors",
        "peptides": folder / "pep.fa",
        "annotation": folder / "genes.gtf",
    }


@pytest.fixture
def embed(inputs, tmp_path):
    """Run the step: embed(windows, batch_residues, output=..., other inputs)."""

    def embed(windows="all", batch_residues=2048, output=None, **changed):
        output = output or tmp_path / "table.parquet"
        step.protein_embeddings(
            **(inputs | changed),
            windows=windows,
            batch_residues=batch_residues,
            state=tmp_path / "state",
            output=output,
        )
        return output

    return embed
