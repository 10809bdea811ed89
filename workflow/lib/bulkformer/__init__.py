"""BulkFormer, end to end: raw counts to a pretrained model and six honest benchmarks."""

from bulkformer import imports

__version__ = "0.1.0"

imports.postpone("anndata", "matplotlib", "pandas", "torch")
