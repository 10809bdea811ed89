"""BulkFormer, end to end: raw counts to a pretrained model and six honest benchmarks."""

__version__ = "0.1.0"
