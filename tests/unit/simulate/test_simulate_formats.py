"""The files have the form and the quirks of their providers."""

import gzip
import hashlib
import tarfile

import h5py
import numpy as np
import pandas as pd
import pytest


def read_lines(path):
    with gzip.open(path, "rt") as file:
        return file.read().splitlines()


@pytest.fixture(scope="module")
def genes(simulated):
    return pd.read_parquet(simulated["truth_genes"]).set_index("gene_id")


@pytest.fixture(scope="module")
def star_files(simulated):
    with tarfile.open(simulated["gdc_counts"]) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def test_archs4_holds_chunked_uint32_counts_of_genes_by_samples(simulated):
    with h5py.File(simulated["archs4"]) as file:
        expression = file["data/expression"]
        assert expression.dtype == np.uint32
        assert expression.shape == (213, 56)
        assert expression.chunks is not None
        assert expression.compression == "gzip"
        samples = file["meta/samples"]
        assert {len(values) for values in samples.values()} == {56}
        assert {len(values) for values in file["meta/genes"].values()} == {213}
        assert file["meta/info/version"].asstr()[()] == "2.5"
        assert samples["characteristics_ch1"].asstr()[0].startswith("tissue: ")


def test_archs4_series_lists_connect_studies(simulated):
    with h5py.File(simulated["archs4"]) as file:
        lists = set(file["meta/samples/series_id"].asstr()[:])
    pairs = sorted(series.split(",") for series in lists if "," in series)
    assert len(lists) == 8 + 3  # copies have a series of their own
    assert len(pairs) == 2
    assert pairs[0][0] != pairs[1][0]
    assert pairs[0][1] == pairs[1][1]


def test_archs4_ends_with_samples_that_quality_control_must_drop(simulated):
    with h5py.File(simulated["archs4"]) as file:
        meta = file["meta/samples"]
        accession = meta["geo_accession"].asstr()[:]
        probability = meta["singlecellprobability"][:]
        source = meta["library_source"].asstr()[:]
        counts = file["data/expression"][:].T
        reads = meta["alignedreads"][:]
    by_probability, by_source, shallow, empty, duplicate = range(48, 53)
    assert np.flatnonzero(probability >= 0.5).tolist() == [by_probability]
    assert source[by_probability] == "transcriptomic"
    assert np.flatnonzero(source == "transcriptomic single cell").tolist() == [by_source]
    assert reads[shallow] < 0.2 * reads[:48].min()
    assert counts[empty].sum() == 0
    assert accession[duplicate] == accession[47]
    assert (counts[duplicate] == counts[47]).all()
    assert len(set(accession[:52])) == 52


def test_gdc_tar_holds_one_folder_a_file_that_the_sheet_and_the_manifest_name(
    simulated, star_files
):
    sheet = pd.read_csv(simulated["gdc_sheet"], sep="\t")
    manifest = star_files["MANIFEST.txt"].decode().splitlines()[1:]
    assert list(sheet) == [
        "File ID",
        "File Name",
        "Data Category",
        "Data Type",
        "Project ID",
        "Case ID",
        "Sample ID",
        "Sample Type",
    ]
    members = set(star_files) - {"MANIFEST.txt"}
    assert members == set(sheet["File ID"] + "/" + sheet["File Name"])
    assert {line.split("\t")[1] for line in manifest} == members
    for line in manifest:
        _, name, md5, size, _ = line.split("\t")
        assert hashlib.md5(star_files[name], usedforsecurity=False).hexdigest() == md5
        assert len(star_files[name]) == int(size)


def test_star_counts_have_summary_rows_versions_and_y_copies(star_files, genes):
    name = next(iter(star_files))
    lines = star_files[name].decode().splitlines()
    assert name.endswith(".rna_seq.augmented_star_gene_counts.tsv")
    assert lines[0] == "# gene-model: GENCODE v36"
    assert lines[1].split("\t")[:4] == ["gene_id", "gene_name", "gene_type", "unstranded"]
    assert [line.split("\t")[0] for line in lines[2:6]] == [
        "N_unmapped",
        "N_multimapping",
        "N_noFeature",
        "N_ambiguous",
    ]
    assert all(line.split("\t")[1:3] == ["", ""] for line in lines[2:6])
    rows = [line.split("\t") for line in lines[6:]]
    ids = [row[0] for row in rows]
    assert sum(gene_id.endswith("_PAR_Y") for gene_id in ids) == 3
    assert {gene_id.split(".")[0] for gene_id in ids} < set(genes.index)
    assert all("." in gene_id for gene_id in ids)
    assert sum(float(row[6]) for row in rows) == pytest.approx(1e6, abs=1)
    assert all(int(row[3]) == int(row[4]) + int(row[5]) for row in rows)
    assert len(ids) < genes.shape[0]  # the older gene model lacks some genes


def test_tcga_has_second_aliquots_repeated_sample_ids_and_adjacent_normals(simulated):
    sheet = pd.read_csv(simulated["gdc_sheet"], sep="\t")
    assert sheet["Sample ID"].str.fullmatch(r"TCGA-[A-Z]{2}-\d{4}-(01A|01B|11A)").all()
    assert (sheet["Sample ID"].str[:12] == sheet["Case ID"]).all()
    normal = sheet["Sample ID"].str[13:15] == "11"
    assert (sheet["Sample Type"] == "Solid Tissue Normal").tolist() == normal.tolist()
    assert 0.05 < normal.sum() / sheet["Case ID"].nunique() < 0.1
    assert sheet["Sample ID"].str.endswith("01B").any()
    assert sheet["Sample ID"].duplicated().any()
    assert sheet["Project ID"].nunique() == 4


def test_gtex_gct_states_its_dimensions_and_donors_give_several_tissues(simulated):
    lines = read_lines(simulated["gtex_counts"])
    n_genes, n_samples = map(int, lines[1].split("\t"))
    header = lines[2].split("\t")
    attributes = pd.read_csv(simulated["gtex_attributes"], sep="\t").set_index("SAMPID")
    assert lines[0] == "#1.2"
    assert header[:2] == ["Name", "Description"]
    assert (n_genes, n_samples) == (len(lines) - 3, len(header) - 2) == (n_genes, 15)
    assert sum(line.split("\t")[0].endswith("_PAR_Y") for line in lines) == 3
    assert set(header[2:]) < set(attributes.index)
    assert (attributes["SMAFRZE"] != "RNASEQ").any()
    of_donor = attributes.loc[header[2:], "SMTS"].groupby([name[:10] for name in header[2:]])
    assert (of_donor.nunique() == 3).all()


def test_the_two_copies_of_a_pseudoautosomal_gene_add_up(simulated):
    rows = [line.split("\t") for line in read_lines(simulated["gtex_counts"])[3:]]
    copies = [row for row in rows if row[0].endswith("_PAR_Y")]
    on_x = {row[0]: sum(map(int, row[2:])) for row in rows}
    for row in copies:
        share = sum(map(int, row[2:])) / max(1, on_x[row[0].removesuffix("_PAR_Y")])
        assert share < 0.2


def test_each_series_has_one_disease_and_as_many_controls(simulated):
    samples = pd.read_csv(simulated["ncbi_samples"], sep="\t")
    assert list(samples) == ["sample_id", "study_id", "tissue", "disease"]
    for _, series in samples.groupby("study_id"):
        assert series["disease"].nunique() == 2
        assert (series["disease"] == "control").sum() == len(series) / 2
    cases = samples[samples["disease"] != "control"]
    assert (cases.groupby("disease")["study_id"].nunique() == 3).all()


def test_string_lists_each_pair_in_both_directions_and_mostly_trusts_planted_ones(simulated):
    links = pd.read_csv(simulated["string_links"], sep=" ")
    aliases = pd.read_csv(simulated["string_aliases"], sep="\t")
    pairs = set(zip(links["protein1"], links["protein2"], strict=True))
    assert list(links) == ["protein1", "protein2", "combined_score"]
    assert {(b, a) for a, b in pairs} == pairs
    assert len(pairs) == len(links)
    assert links["combined_score"].between(150, 999).all()
    assert links["protein1"].str.fullmatch(r"9606\.ENSP\d{11}").all()

    assert list(aliases) == ["#string_protein_id", "alias", "source"]
    mapped = aliases[aliases["source"] == "Ensembl_gene"]
    assert aliases["#string_protein_id"].nunique() - mapped["#string_protein_id"].nunique() == 3
    assert (mapped["#string_protein_id"].value_counts() == 2).sum() == 3  # copies on patches

    edges = pd.read_parquet(simulated["truth_edges"])
    protein = dict(zip(mapped["alias"], mapped["#string_protein_id"], strict=True))
    score = links.set_index(["protein1", "protein2"])["combined_score"]
    known = edges["source"].isin(protein) & edges["target"].isin(protein)
    planted = [
        score.get((protein[a], protein[b]), 0)
        for a, b in edges.loc[known, ["source", "target"]].to_numpy()
    ]
    assert 0.65 < np.mean(np.array(planted) >= 700) < 0.85
    assert (links["combined_score"] >= 700).mean() < 0.4


def test_the_gtf_has_overlapping_exons_patches_and_a_gene_without_a_name(simulated, genes):
    lines = read_lines(simulated["gtf"])
    table = pd.DataFrame([line.split("\t") for line in lines if not line.startswith("#")])
    assert lines[0] == "#!genome-build GRCh38.p13"
    assert set(table[2]) == {"gene", "transcript", "exon"}
    table["gene_id"] = table[8].str.extract(r'gene_id "(ENSG\d{11})"')
    rows = table[table[2] == "gene"]
    assert rows["gene_id"].tolist() == genes.index.tolist()
    assert (~rows[8].str.contains("gene_name")).sum() == 1
    assert rows[0].str.startswith("CHR_").sum() == 3
    assert rows[8].str.contains('gene_biotype "protein_coding"').sum() == 203
    exons = table[table[2] == "exon"].astype({3: int, 4: int})
    summed = (exons[4] - exons[3] + 1).groupby(exons["gene_id"]).sum()
    assert (summed > genes["length_bp"].reindex(summed.index)).all()


def test_hgnc_has_quoted_lists_and_an_ambiguous_alias(simulated):
    text = simulated["hgnc"].read_text().splitlines()
    assert text[0].split("\t")[:2] == ["hgnc_id", "symbol"]
    assert sum("ALTBOTH" in line for line in text) == 2
    listed = [line for line in text if "|" in line]
    assert listed
    assert all('"' in line for line in listed)
