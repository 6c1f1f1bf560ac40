"""What ``pytest -m smoke`` runs: of each room and each promise one test or a few, in under half a minute on one core.

An entry is a file, a test of it or one of its cases; one that is no more stops pytest with its name.
"""
SMOKE = {
    "the house is in order": ["test_layout.py", "test_deprecation.py"],
    "layers and losses": [
        "test_layers.py", "test_losses.py", "test_ntk.py::test_a_hundred_steps_are_those_of_pytorch_on_v",
        "test_costs.py::test_sorted_quantiles_do_not_cross_and_are_trained_as_without",
        "test_costs.py::test_ordinal_is_the_cross_entropy_of_its_thresholds",
        "test_calibration.py::test_the_log_loss_is_least"],
    "the kernel does what the reference says": [
        *(f"test_kernel.py::test_kernel_agrees_with_reference[{case}]" for case in (
            "relu-cross_entropy-softmax-float32", "tanh-squared_error-identity-float64",
            "gelu-binary_cross_entropy-logistic-float32", "silu-huber-identity-float32")),
        "test_kernel.py::test_per_layer_activations", "test_kernel.py::test_blas_agrees_with_reference",
        "test_kernel.py::test_the_kernel_refuses_arrays_that_do_not_fit",
        "test_linear.py::test_kernel_agrees_with_reference[hinge-3-float64]",
        "test_linear.py::test_averaged_sgd_follows_a_transcription",
        "test_extras.py::test_weights_and_smoothing_agree_with_the_reference[cross_entropy-softmax-float32]",
        "test_extras.py::test_dropout_agrees_with_the_reference[relu-float32]",
        "test_extras.py::test_limits_and_averages_agree_with_the_reference",
        "test_rows.py::test_kernel_agrees_with_reference",
        "test_rows.py::test_skipping_zeros_changes_no_bit[500-33-float32]",
        "test_rows.py::test_a_few_rows_equal_many", "test_functions.py::test_extremes",
        "test_muon.py::test_it_follows_its_papers"],
    "gradients are those of the costs": [
        "test_gradient.py::test_the_check_passes_on_real_digits",
        "test_gradient.py::test_a_gradient_wrong_by_a_tenth_of_a_percent_fails",
        "test_linear.py::test_gradients_are_those_of_the_costs"],
    "every instruction set, any number of threads: the same bits": [
        "test_functions.py::test_the_same_bits_on_every_instruction_set_with_fma",
        "test_isa.py::test_one_set_is_chosen_and_the_blas_follows_it",
        *(f"test_threads.py::test_any_number_of_threads_gives_the_same_bits[{case}]" for case in (
            "sizes0-relu-optimizer0-100-float32", "sizes1-logistic-optimizer1-10-float64")),
        "test_threads.py::test_a_team_that_adapts_gives_the_same_bits",
        "test_threads.py::test_children_forked_while_threads_train",
        "test_predictor.py::test_the_answers_are_those_of_predict"],
    "files of earlier versions load and predict the same": ["test_golden.py"],
    "a network trains, predicts, is saved and loaded": [
        "test_training.py::test_epochs_are_shuffled_mini_batch_steps_with_the_last_one_weighted_rightly",
        "test_training.py::test_the_same_seed_gives_the_same_bits_and_another_does_not",
        "test_training.py::test_class_weights_act_on_training_alone",
        "test_training.py::test_divergence_says_where_and_keeps_the_last_good_epoch",
        "test_training.py::test_callbacks_are_called_in_order_and_may_stop_the_run",
        "test_training.py::test_ctrl_c_between_batches_leaves_a_usable_network",
        "test_accuracy.py::test_digits_97_percent_in_two_seconds_after_import",
        "test_schedules.py", "test_optimizers.py",
        "test_modelfile.py::test_round_trip", "test_modelfile.py::test_damaged_files_are_refused_in_words",
        "test_modelfile.py::test_a_save_that_fails_names_the_path_and_leaves_the_old_file"],
    "a run goes on from its checkpoint to the same bits": [
        "test_checkpoint.py::test_a_run_that_was_interrupted_goes_on_to_the_same_bits",
        "test_checkpoint.py::test_every_step_of_a_run_is_one_to_go_on_from",
        "test_checkpoint.py::test_a_checkpoint_of_another_run_is_refused",
        "test_checkpoint.py::test_early_stopping_and_a_reduced_rate_go_on_too"],
    "streams train as arrays do": ["test_linear.py::test_streams_take_labels_and_weights_of_classes",
                                   "test_feeds.py"],
    "experiments with descents": ["test_descent.py::test_noise_agrees_with_brute_force",
                                  "test_descent.py::test_a_race_is_run_from_the_same_start_and_told",
                                  "test_descent.py::test_a_surface_is_the_cost_of_its_points"],
    "the command trains and predicts on tables": [
        "test_cli.py::test_classes_are_learned_and_come_back_as_strings[flowers.csv]",
        "test_cli.py::test_quantities_come_back_in_their_own_unit",
        "test_train_command.py::test_a_finished_run_says_how_to_go_on",
        "test_predict_command.py::test_the_columns_of_the_input_are_kept", "test_table.py"],
    "estimators are scikit-learn's": [
        "test_estimators_mlp.py::test_three_epochs_from_equal_weights_are_equal",
        "test_estimators_mlp.py::test_pickles_hold_plain_arrays_and_predict_the_same",
        "test_estimators_sgd.py::test_a_classifier_makes_scikit_learns_steps",
        "test_estimators_sgd.py::test_a_regressor_makes_scikit_learns_steps",
        "test_estimators_sgd.py::test_the_fit_ends_by_scikit_learns_rule"],
    "networks go elsewhere and come back": [
        "test_interop_c.py::test_float64", "test_interop_onnx.py::test_networks_come_back_equal",
        "test_interop_torch.py::test_the_units_of_outputs_come_last"],
    "rounds on many machines are one mathematics": [
        "test_local_sgd.py::test_sums_are_the_same_whoever_adds_up",
        "test_local_sgd.py::test_a_share_may_be_computed_again",
        "test_local_sgd.py::test_segments_cover_every_epoch_once"],
    "pictures": ["test_plots.py::test_every_plot_takes_axes_returns_them_and_says_what_they_show[history]"],
}
ENTRIES = [entry for entries in SMOKE.values() for entry in entries]
FILES = {entry.partition("::")[0] for entry in ENTRIES}


def matches(entry: str, test: str) -> bool:
    """Whether a test, ``file::name[case]``, belongs to an entry."""
    return test == entry or test.startswith((f"{entry}::", f"{entry}["))


def mark(items, whole: bool) -> list[str]:
    """Marks the tests of the list; the entries of collected files that no test belongs to, if the files are whole."""
    found: set[str] = set()
    files = {item.path.name for item in items}
    for item in items:
        test = f"{item.path.name}::{item.nodeid.partition('::')[2]}"
        belongs = [entry for entry in ENTRIES if matches(entry, test)]
        if belongs:
            item.add_marker("smoke")
            found.update(belongs)
    return [entry for entry in ENTRIES if whole and entry.partition("::")[0] in files and entry not in found]
