"""BulkFormer in plain PyTorch: the network of the paper and its successor `bulkformer-latest`.

Read in this order: `embedding`, `graph_convolution`, `attention`, `performer`, `bulkformer`,
`bulkformer_latest`; then `checkpoint` (our run folders) and `released` (the authors' files).
"""
