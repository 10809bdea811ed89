"""What happened to patients, lines and cells: the tables that benchmarks predict."""
