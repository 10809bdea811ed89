"""Which tests show that the files of each source are parsed and that its traps are covered.

A test compares this list with the tests that pytest collects, and docs/sources_matrix.md with it.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Coverage:
    """Tests of one source, as file::function below tests/unit.

    parsed : shows that the format is read
    traps : what is special about the source -> the test that shows how it is met
    """

    parsed: str
    traps: dict[str, str] = field(default_factory=dict)

    @property
    def tests(self) -> list[str]:
        return [self.parsed, *self.traps.values()]


def tests_of(file: str, parsed: str, /, **traps: str) -> Coverage:
    """Return the coverage of a source; a trap of another file is given as file::function."""
    named = {
        trap.replace("_", " ").replace("PAR Y", "PAR_Y"): test
        if "::" in test
        else f"{file}::{test}"
        for trap, test in traps.items()
    }
    return Coverage(parsed if "::" in parsed else f"{file}::{parsed}", named)


IDENTIFIERS = "expression/test_expression_identifiers.py"
COHORT = "expression/test_expression_cohort.py"
CATALOGUE = "sources/test_sources_catalogue.py"
RELEASED = "model/test_model_released.py"
ANNOTATION = "sources/test_sources_annotation.py"
PEPTIDES = "sources/test_sources_peptides.py"

COVERAGE = {
    "archs4": tests_of(
        "sources/test_sources_archs4.py",
        "test_blocks_together_are_the_transposed_matrix",
        genes_by_samples="test_blocks_together_are_the_transposed_matrix",
        two_spellings_of_gene_ids="test_both_spellings_and_both_string_types_of_gene_ids_are_read",
        comma_list_of_series="test_series_lists_are_kept_whole_and_repeated_samples_stay",
        superseries_join_studies="expression/test_expression_groups.py::"
        "test_a_superseries_joins_the_studies_that_it_holds",
        single_cells_by_probability_and_library_source="expression/test_expression_quality.py::"
        "test_single_cells_are_found_by_probability_and_by_library_source",
        repeated_samples=f"{COHORT}::"
        "test_a_repeated_sample_of_archs4_and_its_single_cells_are_dropped",
        one_profile_under_two_names="expression/test_expression_duplicates.py::"
        "test_a_reupload_is_found_and_nothing_else_is",
        column_chunks="sources/test_sources_archs4_chunks.py::"
        "test_stripes_end_with_chunks_unless_memory_forbids",
    ),
    "ncbi": tests_of(
        "sources/test_sources_ncbi_counts.py",
        "test_one_file_is_read_as_well",
        blanks_quotes_and_shared_ensembl_ids="simulate/test_simulate_cohort_formats.py::"
        "test_ncbi_annotation_has_blanks_quotes_and_shared_ensembl_ids",
        many_Entrez_ids_of_one_gene="expression/test_expression_genes.py::"
        "test_several_entrez_ids_of_one_gene_are_summed_in_counts",
        one_Entrez_id_of_two_genes=f"{IDENTIFIERS}::"
        "test_an_entrez_id_of_two_genes_is_dropped_and_listed",
    ),
    "disignatlas": tests_of(
        "sources/test_sources_ncbi_counts.py",
        "test_series_are_read_one_after_the_other_and_aligned_by_gene_id",
        sample_in_several_series="test_a_sample_of_several_series_belongs_to_all_of_them",
        series_without_counts="sources/test_sources_download_packed.py::"
        "test_series_are_packed_in_order_and_those_without_counts_are_named",
        microarray_datasets="outcomes/test_outcomes_perturbation.py::"
        "test_microarrays_and_other_organisms_are_no_rna_seq",
        academic_use_only=f"{CATALOGUE}::"
        "test_sources_with_restrictions_ask_for_their_licence_to_be_accepted",
    ),
    "recount3": tests_of(
        "sources/test_sources_recount3.py",
        "test_base_coverage_is_divided_by_the_mean_length_of_mapped_reads",
        coverage_and_no_counts="test_base_coverage_is_divided_by_the_mean_length_of_mapped_reads",
        runs_are_summed="test_runs_of_a_sample_are_summed_after_the_division",
        comment_lines="test_any_number_of_comments_is_skipped",
        PAR_Y="test_the_copy_on_y_keeps_its_own_row",
    ),
    "gtex": tests_of(
        "sources/test_sources_gct.py",
        "test_counts_keep_the_order_of_the_file",
        dimension_line="test_dimensions_that_the_content_does_not_have_are_refused",
        donor_from_the_id="test_tissue_and_donor_are_known",
        version_suffixes=f"{IDENTIFIERS}::test_versions_and_copies_on_y_are_summed_in_counts",
        PAR_Y="simulate/test_simulate_formats.py::"
        "test_the_two_copies_of_a_pseudoautosomal_gene_add_up",
    ),
    "gdc": tests_of(
        "sources/test_sources_gdc.py",
        "test_counts_are_unstranded_in_the_order_of_the_tar_without_read_totals",
        N_rows="test_counts_are_unstranded_in_the_order_of_the_tar_without_read_totals",
        version_suffixes_and_PAR_Y="simulate/test_simulate_formats.py::"
        "test_star_counts_have_summary_rows_versions_and_y_copies",
        several_aliquots="test_aliquots_of_one_sample_stay_apart",
        normals_among_tumours="simulate/test_simulate_formats.py::"
        "test_tcga_has_second_aliquots_repeated_sample_ids_and_adjacent_normals",
        pages_and_MD5_of_the_list="sources/test_sources_download_packed.py::"
        "test_counts_and_sheet_of_the_gdc_are_what_the_reader_reads",
        paths_out_of_the_archive="test_members_that_lead_out_of_the_archive_are_refused",
    ),
    "tcga_cdr": tests_of(
        "outcomes/test_outcomes_survival.py",
        "test_the_simulated_workbook_loses_exactly_its_flaws",
        not_available="sources/test_sources_tcga_cdr.py::"
        "test_a_cell_that_says_not_available_is_no_value",
        no_event_no_time_or_time_0="test_a_row_that_says_nothing_is_dropped_and_counted",
        redacted_cases="test_redacted_cases_stay_where_the_config_says_so",
        barcodes_with_dots="test_barcodes_with_dots_and_of_samples_name_the_patient",
    ),
    "toil": tests_of(
        "sources/test_sources_xena.py",
        "test_expected_counts_come_back_from_their_logarithms",
        log2_of_count_plus_1="sources/test_sources_transform.py::test_linear_values_come_back",
        wrong_offset="sources/test_sources_transform.py::"
        "test_an_offset_of_one_is_refused_where_a_thousandth_is_said",
        expected_counts_are_fractions=f"{COHORT}::"
        "test_expected_counts_may_be_fractions_and_have_a_library_size",
        phenotypes_are_not_utf8="test_a_phenotype_table_that_is_not_utf8_gives_the_labels",
        patients_and_donors="test_patients_and_donors_are_part_of_the_sample_ids",
    ),
    "gdsc": tests_of(
        "outcomes/test_outcomes_response.py",
        "sources/test_sources_gdsc.py::test_a_workbook_gives_one_row_a_curve_with_ids_as_text",
        quoted_commas_and_no_SMILES="sources/test_sources_gdsc.py::"
        "test_the_list_of_compounds_has_quoted_commas_and_no_structures",
        one_compound_with_two_ids="test_two_ids_of_one_compound_are_one_row",
        one_compound_in_both_screens="test_one_compound_in_two_screens_keeps_both_screens",
        misspelt_names="test_a_misspelt_drug_is_found_by_its_id_and_listed",
        lines_by_Sanger_id="outcomes/test_outcomes_cell_lines.py::"
        "test_both_kinds_of_id_lead_to_the_line",
        other_bytes_under_one_name=f"{CATALOGUE}::"
        "test_two_files_of_one_name_are_told_apart_by_their_checksum",
        licence_to_accept=f"{CATALOGUE}::"
        "test_sources_with_restrictions_ask_for_their_licence_to_be_accepted",
    ),
    "cell_model_passports": tests_of(
        "outcomes/test_outcomes_cell_lines.py",
        "test_the_passports_fill_the_sanger_id_that_depmap_lacks",
        contradictions="test_a_contradiction_is_listed_and_depmap_holds",
        lines_without_an_ACH_id="test_a_line_without_an_ach_id_keeps_its_sanger_id",
    ),
    "depmap": tests_of(
        "sources/test_sources_depmap.py",
        "test_tpm_of_the_default_profiles_come_back",
        log2_of_TPM_plus_1="test_tpm_of_the_default_profiles_come_back",
        symbol_and_Entrez_columns="test_genes_are_plain_entrez_ids",
        several_profiles_of_a_model="test_several_profiles_without_a_default_are_refused",
        patient_and_lineage="test_lines_carry_patient_and_lineage",
        missing_scores="outcomes/test_outcomes_dependency.py::"
        "test_an_empty_cell_gives_no_row_and_an_unknown_name_is_counted",
        renamed_columns_of_later_releases="sources/test_sources_depmap_tables.py::"
        "test_later_releases_put_other_columns_first_and_several_profiles_a_model",
        web_page_with_status_200="sources/test_sources_depmap_tables.py::"
        "test_a_web_page_is_no_table",
        old_symbols="outcomes/test_outcomes_dependency.py::"
        "test_genes_are_found_by_entrez_and_not_by_an_old_symbol",
    ),
    "l1000": tests_of(
        "sources/test_sources_l1000.py",
        "test_profiles_and_genes_are_found_by_id",
        only_landmarks_are_measured="test_only_genes_that_were_measured_are_landmarks",
        minus_666_is_missing="test_minus_666_is_missing_among_values_and_doses",
        controls_by_plate="outcomes/test_outcomes_perturbation.py::"
        "test_a_compound_is_compared_with_its_solvent_on_its_plate_or_else_of_its_line",
        tens_of_GB="test_stripes_give_the_same_values_as_one_piece",
        dose_units="test_doses_are_micromolar_or_missing",
    ),
    "prnet": tests_of(
        "sources/test_sources_prnet.py",
        "test_the_chosen_profiles_are_read_from_disk",
        drug_names_with_cell_lines="test_drug_names_lose_their_cell_line_and_controls_have_no_compound",
        frozen_splits="test_frozen_splits_come_along_and_doses_where_there_are_any",
    ),
    "bulkformer_2025_05": tests_of(
        "sources/test_sources_gene_lists.py",
        "test_the_stray_row_of_one_copy_is_dropped_and_said",
        stray_row_35991="test_the_stray_row_of_one_copy_is_dropped_and_said",
        old_data_with_new_weights=f"{RELEASED}::"
        "test_weights_of_the_june_2025_preprint_are_recognised_and_refused",
    ),
    "bulkformer": tests_of(
        "sources/test_sources_gene_lists.py",
        "test_the_papers_list_keeps_its_own_order",
        genes_by_id_and_not_by_place="expression/test_expression_genes.py::"
        "test_a_published_list_is_the_vocabulary_in_its_own_order",
        graph_as_released=f"{RELEASED}::"
        "test_the_released_graph_is_read_as_source_target_and_weight",
        pickles_are_pinned=f"{CATALOGUE}::test_a_pickle_is_fetched_only_where_its_checksum_is_pinned",
    ),
    "bulkformer_repository": tests_of(
        "expression/test_expression_genes.py",
        "test_the_papers_lengths_replace_those_of_exons_and_a_missing_one_is_1000",
        other_lengths_than_exons="sources/test_sources_gene_lists.py::"
        "test_the_papers_lengths_are_another_definition_than_the_union_of_exons",
    ),
    "bulkformer_weights": tests_of(
        RELEASED,
        "test_sizes_are_inferred_from_the_shapes",
        malicious_pickle="test_a_malicious_pickle_is_refused_and_nothing_of_it_runs",
        page_in_place_of_weights="test_a_page_in_place_of_weights_is_refused",
    ),
    "bulkformer_latest": tests_of(
        RELEASED,
        "test_a_manifest_that_disagrees_with_the_bundle_is_refused",
        tampered_bytes="test_a_tampered_byte_anywhere_in_a_bundle_is_noticed",
        order_of_genes="test_a_bundle_whose_genes_are_out_of_order_is_refused",
        gene_list_of_its_own="sources/test_sources_gene_lists.py::"
        "test_the_latest_list_brings_lengths_and_counts_its_genes",
    ),
    "string": tests_of(
        "sources/test_sources_string_db.py",
        "test_protein_pairs_become_undirected_gene_pairs_with_the_best_score",
        every_edge_twice="test_protein_pairs_become_undirected_gene_pairs_with_the_best_score",
        unmapped_proteins="test_protein_pairs_become_undirected_gene_pairs_with_the_best_score",
        proteins_of_two_genes="test_a_protein_of_two_genes_links_both",
        channels="test_the_channels_of_a_list_are_combined_by_strings_formula",
        another_species="test_links_of_another_species_than_the_aliases_are_refused",
        scores_on_another_scale="test_scores_on_another_scale_are_refused",
    ),
    "ensembl": tests_of(
        ANNOTATION,
        "test_gene_length_is_the_union_of_all_exons",
        patches_haplotypes_and_PAR_Y="test_only_assembled_chromosomes_count_and_copies_on_y_do_not",
        genes_without_a_name="test_a_gene_without_a_name_goes_by_its_id",
        canonical_transcripts="expression/test_expression_genes.py::"
        "test_a_gene_is_as_long_as_its_canonical_transcript_where_that_is_asked",
        canonical_proteins=f"{PEPTIDES}::"
        "test_the_canonical_protein_of_a_gene_is_chosen_though_another_is_longer",
        proteins_on_patches_and_Y=f"{PEPTIDES}::"
        "test_patches_haplotypes_and_copies_on_y_are_left_out",
        stops_and_selenocysteine=f"{PEPTIDES}::"
        "test_an_end_stop_is_no_residue_an_inner_one_is_unknown_and_selenocysteine_stays",
        proteins_and_GTF_of_two_releases=f"{PEPTIDES}::test_a_gtf_of_another_release_is_refused",
    ),
    "hgnc": tests_of(
        ANNOTATION,
        "test_names_are_lists_and_genes_without_ensembl_id_stay",
        ambiguous_names_are_never_guessed=f"{IDENTIFIERS}::"
        "test_ambiguous_symbols_are_listed_and_never_guessed",
        approved_before_previous_before_alias=f"{IDENTIFIERS}::"
        "test_an_approved_symbol_beats_a_previous_one_and_that_an_alias",
        damaged_symbols=f"{IDENTIFIERS}::test_damaged_symbols_are_listed_and_not_repaired",
    ),
    "msigdb": tests_of(
        "sources/test_sources_gene_sets.py",
        "test_a_set_has_a_name_and_its_genes_each_once",
        version_in_the_name="test_collection_and_version_stand_in_the_file_name",
        genes_outside_the_vocabulary="graph/test_graph_gene_sets.py::"
        "test_members_are_vocabulary_genes_and_all_others_are_counted",
        no_KEGG_or_BioCarta=f"{CATALOGUE}::test_no_gene_sets_of_kegg_or_biocarta_are_fetched",
    ),
    "go": tests_of(
        "sources/test_sources_ontology.py",
        "test_a_term_is_below_what_it_is_and_what_it_is_part_of",
        obsolete_terms_and_alternative_ids="test_obsolete_terms_are_gone_and_alternative_ids_"
        "lead_to_their_term",
        NOT_annotations="test_a_relation_that_only_contains_the_letters_is_no_denial",
        evidence_that_does_not_count="test_terms_are_gathered_by_product_and_what_does_not_count_"
        "is_counted",
    ),
    "esm2": tests_of(
        "sources/test_sources_esm2.py",
        "test_a_checkpoint_says_its_width_layers_and_tokens",
        pickle_in_place_of_weights="test_a_pickle_is_never_opened",
        HTML_page_or_LFS_pointer="test_pages_and_pointers_in_place_of_a_file_are_recognised",
        cut_weights="test_a_cut_or_prolonged_file_is_refused",
        another_width="test_weights_of_another_width_than_the_configuration_are_refused",
        missing_layer="test_a_missing_layer_is_named_and_so_is_one_too_many",
        relatives_of_ESM2="test_configurations_of_other_models_are_refused",
        unread_tensors="test_heads_and_tables_that_nobody_reads_may_be_absent",
    ),
}
