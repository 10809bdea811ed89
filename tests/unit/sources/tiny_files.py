"""A tiny file in the format of each public source, for tests of the way from server to disk."""

import gzip
import io
import json
import random
import tarfile
import zipfile

import h5py
import numpy as np
from openpyxl import Workbook
from safetensors.numpy import save

# First lines of text files, by the end of the name or by the source; rows of numbers follow.
HEADERS = {
    ".gct.gz": "#1.2\n100\t1\nName\tDescription\tGTEX-1",
    "gtex": "SAMPID\tSMTS\tSMTSD",
    "recount3": "## annotation=G026\n##date.generated=2020\ngene_id\tSRR000001",
    "ncbi": "GeneID\tSymbol\tDescription\tGeneType\tEnsemblGeneID\tLength",
    "disignatlas": "dataset_id,gse,disease",
    "toil": "sample\tTCGA-AA-0001-01",
    "gdsc": "DRUG_ID,SCREENING_SITE,DRUG_NAME",
    "cell_model_passports": "model_id,model_name,BROAD_ID",
    "depmap": ",A1BG (1),A2M (2)",
    "l1000": "inst_id\trna_plate\tpert_id",
    "string": "protein1 protein2 combined_score",
    "hgnc": "hgnc_id\tsymbol\tprev_symbol",
    ".gtf.gz": '#!genome-build GRCh38.p13\n1\thavana\tgene\t1\t9\t.\t+\t.\tgene_id "ENSG1";',
    ".fa.gz": ">ENSP00000000001.1 pep gene:ENSG00000000001.1\nMKV",
    ".gmt": "HALLMARK_HYPOXIA\thttps://example.org\tA1BG\tA2M",
    ".obo": "format-version: 1.2\n\n[Term]\nid: GO:0008150\nname: biological_process\n",
    ".gaf.gz": "!gaf-version: 2.2\nUniProtKB\tP1\tA1BG\tenables\tGO:0008150",
}


def tiny(source: str, file: str) -> bytes:
    """Return about 2 kB that open like the file `source`/`file`, the same every time."""
    if file.endswith((".h5", ".h5ad")):
        return _hdf5("data/expression" if source == "archs4" else "X")
    if file.endswith(".gctx.gz"):
        return gzip.compress(_hdf5("0/DATA/0/matrix"), mtime=0)
    if file.endswith(".xlsx"):
        return _workbook()
    if file.endswith((".zip", ".pt")):  # torch keeps its tensors in a zip archive
        return _zip("archive/data.pkl" if file.endswith(".pt") else "response.csv")
    if file.endswith(".tar"):
        return _tar()
    if file.endswith(".safetensors"):
        return save({"weight": np.arange(500, dtype=np.float32)})
    if file.endswith(".pkl"):
        return b"\x80\x04" + random.Random(0).randbytes(2000)
    if file.endswith(".json"):
        return json.dumps({"model_type": "esm", "rows": list(range(300))}).encode()
    ending = next((end for end in HEADERS if end.startswith(".") and file.endswith(end)), source)
    header = HEADERS.get(ending, "id,value")
    rows = "".join(f"ENSG{number:011d}\t{number}\t{number % 7}\n" for number in range(100))
    text = f"{header}\n{rows}".encode()
    return gzip.compress(text, mtime=0) if file.endswith(".gz") else text


def _hdf5(name: str) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset(name, data=np.arange(200, dtype=np.uint32).reshape(20, 10))
    return buffer.getvalue()


def _workbook() -> bytes:
    buffer, book = io.BytesIO(), Workbook()
    book.active.append(["bcr_patient_barcode", "OS", "OS.time"])
    book.save(buffer)
    return buffer.getvalue()


def _zip(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), random.Random(0).randbytes(2000))
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("counts.tsv")
        member.size = 2000
        archive.addfile(member, io.BytesIO(random.Random(0).randbytes(2000)))
    return buffer.getvalue()
