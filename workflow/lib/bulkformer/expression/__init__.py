"""What each sample expressed, on one gene axis: vocabulary, normalisation, quality, corpus."""
