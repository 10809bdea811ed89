# Needs only the simulate section. Makes a small universe with known truth in the providers' own
# formats, at the places where the downloads would land, so that the demo walks the true path.
SIMULATED = {
    "archs4": "<resources>/archs4/human_gene_v2.5.h5",
    "gdc_counts": "<resources>/gdc/star_counts.tar",
    "gdc_sheet": "<resources>/gdc/sample_sheet.tsv",
    "gtex_counts": "<resources>/gtex/GTEx_Analysis_v10_RNASeQCv2.4.2_gene_reads.gct.gz",
    "gtex_attributes": "<resources>/gtex/GTEx_Analysis_v10_Annotations_SampleAttributesDS.txt",
    "ncbi_counts": "<resources>/disignatlas/raw_counts.tar",
    "ncbi_samples": "<resources>/disignatlas/samples.tsv",
    "ncbi_annotation": "<resources>/ncbi/Human.GRCh38.p13.annot.tsv.gz",
    "string_links": "<resources>/string/9606.protein.links.v12.0.txt.gz",
    "string_aliases": "<resources>/string/9606.protein.aliases.v12.0.txt.gz",
    "gtf": "<resources>/ensembl/Homo_sapiens.GRCh38.107.gtf.gz",
    "hgnc": "<resources>/hgnc/hgnc_complete_set.txt",
    "truth_genes": "<resources>/simulate/genes.parquet",
    "truth_edges": "<resources>/simulate/edges.parquet",
    "truth_samples": "<resources>/simulate/samples.parquet",
}


rule simulate:
    """Write the universe that the demo and the tests know the truth of."""
    output:
        **SIMULATED,
    log:
        "<logs>/simulate/universe.log",
    benchmark:
        "<benchmarks>/simulate/universe.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        universe=flags(config.get("simulate", {}) | {"seed": config["seed"]}),
        outputs=lambda wildcards, output: flags(dict(output.items())),
    shell:
        "python -m bulkformer.simulate.universe {params.universe} {params.outputs} > {log} 2>&1"


rule simulate_cell_lines:
    """Fix the cell lines that expression, dependency, response and perturbation all speak of."""
    input:
        truth_samples=SIMULATED["truth_samples"],
    output:
        "<resources>/simulate/cell_lines.parquet",
    log:
        "<logs>/simulate/cell_lines.log",
    benchmark:
        "<benchmarks>/simulate/cell_lines.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        seed=config["seed"],
    shell:
        "python -m bulkformer.simulate.cell_lines --truth-samples {input.truth_samples}"
        " --seed {params.seed} --output {output} > {log} 2>&1"


rule simulate_ontology:
    """Write what is known of the invented genes: ontology, annotations and gene sets."""
    input:
        truth_genes=SIMULATED["truth_genes"],
        hgnc=SIMULATED["hgnc"],
    output:
        ontology="<resources>/go/go-basic.obo",
        associations="<resources>/go/goa_human.gaf.gz",
        gene_sets="<resources>/msigdb/h.all.v2024.1.Hs.symbols.gmt",
    log:
        "<logs>/simulate/ontology.log",
    benchmark:
        "<benchmarks>/simulate/ontology.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        seed=config["seed"],
    shell:
        "python -m bulkformer.simulate.ontology --truth-genes {input.truth_genes}"
        " --hgnc {input.hgnc} --seed {params.seed} --ontology {output.ontology}"
        " --associations {output.associations} --gene-sets {output.gene_sets} > {log} 2>&1"


rule simulate_string_channels:
    """Divide STRING's scores among its channels, for graphs that take only some of them."""
    input:
        links=SIMULATED["string_links"],
    output:
        detailed="<resources>/string/9606.protein.links.detailed.v12.0.txt.gz",
        info="<resources>/string/9606.protein.info.v12.0.txt.gz",
    log:
        "<logs>/simulate/string_channels.log",
    benchmark:
        "<benchmarks>/simulate/string_channels.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        seed=config["seed"],
    shell:
        "python -m bulkformer.simulate.string_channels --links {input.links} --seed {params.seed}"
        " --detailed {output.detailed} --info {output.info} > {log} 2>&1"


rule simulate_proteins:
    """Write proteins of the invented genes and a tiny ESM2, for gene identities from proteins."""
    input:
        gtf=SIMULATED["gtf"],
        truth_genes=SIMULATED["truth_genes"],
    output:
        collect(
            "<resources>/esm2/{name}",
            name=["config.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"],
        ),
        peptides="<resources>/ensembl/Homo_sapiens.GRCh38.pep.all.fa.gz",
        weights="<resources>/esm2/model.safetensors",
    log:
        "<logs>/simulate/proteins.log",
    benchmark:
        "<benchmarks>/simulate/proteins.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        seed=config["seed"],
    shell:
        "python -m bulkformer.simulate.proteins --gtf {input.gtf} --truth-genes {input.truth_genes}"
        " --seed {params.seed} --peptides {output.peptides} --weights {output.weights}"
        " > {log} 2>&1"


rule simulate_cohort_formats:
    """Publish samples once more, through other pipelines: toil, recount3, and cell lines of DepMap."""
    input:
        archs4=SIMULATED["archs4"],
        gdc_counts=SIMULATED["gdc_counts"],
        gdc_sheet=SIMULATED["gdc_sheet"],
        gtex_counts=SIMULATED["gtex_counts"],
        gtex_attributes=SIMULATED["gtex_attributes"],
        hgnc=SIMULATED["hgnc"],
        truth_genes=SIMULATED["truth_genes"],
        truth_samples=SIMULATED["truth_samples"],
        cell_lines=rules.simulate_cell_lines.output[0],
    output:
        toil_counts="<resources>/toil/TcgaTargetGtex_gene_expected_count.gz",
        toil_phenotype="<resources>/toil/TcgaTargetGTEX_phenotype.txt.gz",
        toil_probemap="<resources>/toil/gencode.v23.annotation.gene.probemap",
        recount3_sums="<resources>/recount3/sra.gene_sums.SRP009615.G026.gz",
        recount3_metadata="<resources>/recount3/sra.recount_qc.SRP009615.MD.gz",
        depmap_expression="<resources>/depmap/OmicsExpressionProteinCodingGenesTPMLogp1.csv",
    log:
        "<logs>/simulate/cohort_formats.log",
    benchmark:
        "<benchmarks>/simulate/cohort_formats.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        inputs=lambda wildcards, input: flags(dict(input.items())),
        outputs=lambda wildcards, output: flags(dict(output.items())),
        seed=config["seed"],
    shell:
        "python -m bulkformer.simulate.cohort_formats {params.inputs} {params.outputs}"
        " --seed {params.seed} > {log} 2>&1"


rule simulate_outcomes:
    """Write what became of patients, lines and treated cells; expression can explain it."""
    input:
        truth_genes=SIMULATED["truth_genes"],
        truth_samples=SIMULATED["truth_samples"],
        cell_lines="<resources>/simulate/cell_lines.parquet",
        hgnc=SIMULATED["hgnc"],
    output:
        tcga_cdr="<resources>/tcga_cdr/TCGA-CDR-SupplementalTableS1.xlsx",
        disignatlas="<resources>/disignatlas/dis_info_datasets.csv",
        models="<resources>/depmap/Model.csv",
        passports="<resources>/cell_model_passports/model_list.csv",
        effect="<resources>/depmap/CRISPRGeneEffect.csv",
        probability="<resources>/depmap/CRISPRGeneDependency.csv",
        gdsc1="<resources>/gdsc/GDSC1_fitted_dose_response_27Oct23.xlsx",
        gdsc2="<resources>/gdsc/GDSC2_fitted_dose_response_27Oct23.xlsx",
        compounds="<resources>/gdsc/screened_compounds_rel_8.5.csv",
        gctx="<resources>/l1000/GSE92742_Broad_LINCS_Level3_INF_mlr12k_n1319138x12328.gctx.gz",
        profiles="<resources>/l1000/GSE92742_Broad_LINCS_inst_info.txt.gz",
        landmarks="<resources>/l1000/GSE92742_Broad_LINCS_gene_info.txt.gz",
        perturbagens="<resources>/l1000/GSE92742_Broad_LINCS_pert_info.txt.gz",
        prnet="<resources>/prnet/Lincs_L1000.h5ad",
        truth="<resources>/simulate/outcomes.json",
    log:
        "<logs>/simulate/outcomes.log",
    benchmark:
        "<benchmarks>/simulate/outcomes.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        files=lambda wildcards, input, output: flags(dict(input.items()) | dict(output.items())),
        seed=config["seed"],
    shell:
        "python -m bulkformer.simulate.outcomes {params.files} --seed {params.seed} > {log} 2>&1"


rule recovery:
    """Compare every graph with the planted one: only a simulated universe knows the answer."""
    input:
        graphs=collect("<results>/graph/{graph}.parquet", graph=GRAPHS),
        genes="<results>/expression/genes.parquet",
        truth_genes=SIMULATED["truth_genes"],
        truth_edges=SIMULATED["truth_edges"],
        corpus="<results>/expression/corpus.parquet",
        stores=of_corpus("log_tpm.arrow"),
    output:
        collect("<results>/graph/{graph}.recovery.json", graph=GRAPHS),
    log:
        "<logs>/simulate/recovery.log",
    benchmark:
        "<benchmarks>/simulate/recovery.jsonl"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        stores=lambda wildcards, input: flags({"store": list(input.stores)}),
        graphs=lambda wildcards, input, output: flags(
            {"graph": list(input.graphs), "output": list(output)}
        ),
    shell:
        "python -m bulkformer.simulate.recovery {params.graphs} --genes {input.genes}"
        " --truth-genes {input.truth_genes} --truth-edges {input.truth_edges}"
        " --corpus {input.corpus} {params.stores} > {log} 2>&1"
