"""What the model learns: masked expression values, from samples that share a study with no test."""
