"""Which test answers which threat: the names stand here, so that none of them goes unnoticed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

#: Threats of this stage, what they are about, and the tests that would fail.
THREATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "T1": (
        "spellings of a path, in every field of every route",
        (
            "web/test_app.py::test_every_field_of_every_route_has_one_spelling",
            "web/test_bad_input.py::test_bad_path",
            "web/test_targets.py::test_other_spellings_are_refused",
            "model/test_paths.py::test_other_spellings_are_refused",
        ),
    ),
    "T2": (
        "a path and a reference parse to what they print, and from nothing else",
        (
            "model/test_paths.py::test_parsing_and_printing_are_inverse",
            "plugins/conan/test_references.py::test_whatever_parses_prints_its_shortest_form",
            "plugins/conan/test_paths.py::test_a_path_is_of_conan_in_one_way_only",
        ),
    ),
    "T3": (
        "names that a disk could not hold or would confuse",
        (
            "plugins/conan/test_references.py::test_a_name_outside_the_alphabet_is_refused",
            "plugins/conan/test_references.py::test_lengths_are_bounded",
            "model/test_paths.py::test_unusual_names_are_kept_as_they_are",
        ),
    ),
    "T4": (
        "links that somebody planted in the data folder",
        ("plugins/filesystem/test_disk.py::test_link_in_an_objects_place_is_not_followed",),
    ),
    "T5": (
        "a package that is not what its file name and subdir say",
        (
            "plugins/conda/test_archives.py::test_an_index_that_is_not_of_the_file_is_refused",
            "plugins/conda/test_archives.py::test_inner_names_are_of_the_file",
            "plugins/conda/test_routes.py::test_a_package_that_is_not_what_its_name_says_is_refused",
        ),
    ),
    "T7": (
        "packages that unpack to more than anybody has",
        (
            "plugins/conda/test_archives.py::test_bombs_are_refused_in_little_memory",
            "plugins/conda/test_archives.py::test_a_window_that_wants_much_memory_is_refused",
            "plugins/conda/test_archives.py::test_sparse_files_are_refused",
        ),
    ),
    "T8": (
        "a ZIP that two clients would read differently",
        (
            "plugins/conda/test_archives.py::test_a_zip_that_clients_could_read_differently_is_refused",
        ),
    ),
    "T9": (
        "members of an archive that lead out of it",
        (
            "plugins/conda/test_archives.py::test_a_member_that_leads_elsewhere_is_refused",
            "plugins/conda/test_archives.py::test_links_outside_and_devices_are_refused",
            "plugins/conda/test_archives.py::test_a_member_behind_a_link_is_refused",
        ),
    ),
    "T10": (
        "entry points and listings that lead out of an environment",
        (
            "plugins/conda/test_archives.py::test_entry_points_that_lead_elsewhere_are_refused",
            "plugins/conda/test_archives.py::test_a_listing_that_leads_elsewhere_is_refused",
        ),
    ),
    "T11": (
        "JSON that costs its reader more than its sender",
        ("plugins/conda/test_archives.py::test_json_that_is_no_honest_description_is_refused",),
    ),
    "T12": (
        "archives that are cut off, and what stands behind their end",
        (
            "plugins/conda/test_archives.py::test_a_package_that_is_cut_off_is_refused",
            "plugins/conda/test_archives.py::test_an_old_package_that_is_cut_off_is_refused",
            "plugins/conda/test_archives.py::test_bytes_behind_an_old_package_are_refused",
            "plugins/conda/test_archives.py::test_bytes_behind_the_end_of_a_tar_are_refused",
        ),
    ),
    "T6": (
        "names that are ours alone",
        ("web/test_app.py::test_there_are_no_other_names",),
    ),
    "T13": (
        "signed tokens that are not what they seem",
        (
            "plugins/oauth/test_id_tokens.py::test_nobody_has_signed_it",
            "plugins/oauth/test_id_tokens.py::test_what_is_public_does_not_sign",
            "plugins/oauth/test_id_tokens.py::test_a_symmetric_key_of_the_provider_is_none",
            "plugins/oauth/test_id_tokens.py::test_a_token_brings_no_keys",
            "plugins/oauth/test_id_tokens.py::test_a_name_of_a_key_is_only_a_name",
            "plugins/oauth/test_id_tokens.py::test_wrong_claims_are_refused",
            "plugins/oauth/test_id_tokens.py::test_clocks_may_differ_a_little",
        ),
    ),
    "T20": (
        "people whom nobody may name",
        (
            "web/test_visitors.py::test_nobody_else_names_anybody",
            "web/test_visitors.py::test_a_name_that_was_added_to_is_refused",
            "web/test_visitors.py::test_without_the_settings_nobody_is_named",
        ),
    ),
    "T21": (
        "cookies, and forms from elsewhere",
        (
            "web/test_visitors.py::test_a_change_has_to_be_meant",
            "web/test_visitors.py::test_no_route_changes_anything_by_a_cookie_alone",
            "plugins/oauth/test_flows.py::test_the_cookie_is_kept_close",
            "plugins/oauth/test_flows.py::test_the_session_is_a_new_one",
            "plugins/oauth/test_routes.py::test_a_form_from_elsewhere_signs_nobody_in",
            "browser/test_sign_in.py::test_another_site_changes_nothing",
        ),
    ),
    "T22": (
        "sign-in with others: whose answer it is, and where it leads",
        (
            "plugins/oauth/test_flows.py::test_an_answer_is_good_once",
            "plugins/oauth/test_flows.py::test_another_browser_is_refused",
            "plugins/oauth/test_flows.py::test_the_code_is_traded_with_what_only_we_know",
            "plugins/oauth/test_flows.py::test_next_leads_nowhere_else",
        ),
    ),
    "T31": (
        "addresses that the server must not connect to",
        (
            "registry/test_egress.py::test_addresses_inside_are_not_public",
            "registry/test_egress.py::test_spellings_of_this_machine_are_refused",
            "registry/test_egress.py::test_other_urls_are_refused",
            "registry/test_upstream.py::test_the_checked_address_is_connected_to",
            "registry/test_upstream.py::test_each_redirect_is_checked",
        ),
    ),
    "T42": (
        "ranges and their conditions",
        (
            "web/test_conditions.py::test_first_and_last_byte",
            "web/test_conditions.py::test_suffix",
            "web/test_conditions.py::test_other_fields_mean_the_whole",
            "web/test_conditions.py::test_range_of_what_the_client_has_begun",
            "web/test_responding.py::test_range_is_a_slice",
        ),
    ),
    "T43": (
        "bodies without an end, header fields without one, clients that stall",
        (
            "web/test_bodies.py::test_chunked_excess_is_refused_on_its_way",
            "web/test_bad_input.py::test_bad_request",
            "web/test_conditions.py::test_long_fields_are_answered_like_short_ones",
            "cli/test_server.py::test_stalled_client_has_an_end",
        ),
    ),
    "T44": (
        "requests hidden in others",
        (
            "web/test_app_served.py::test_refused_body_is_no_request",
            "web/test_app_served.py::test_contradictory_framing_is_refused",
        ),
    ),
    "T45": (
        "a Host that is not ours",
        (
            "web/test_forwarding.py::test_other_hosts_are_refused",
            "web/test_forwarding.py::test_nobody_else_is_believed",
            "web/test_forwarding.py::test_public_url_goes_before_everything",
        ),
    ),
    "T49": (
        "answers that grow with a number in the question",
        (
            "web/test_bad_input.py::test_numbers_in_a_query_change_nothing",
            "plugins/api/test_paging.py::test_limits_have_a_cap",
            "web/test_bad_input.py::test_bad_request",
        ),
    ),
    "T50": (
        "what an error tells",
        (
            "web/test_app.py::test_surprises_are_logged_and_not_told",
            "web/test_problems.py::test_a_surprise_tells_nothing",
            "web/test_problems.py::test_secrets_in_a_message_are_hidden",
            "web/test_app.py::test_hidden_is_like_missing",
            "web/test_bad_input.py::test_bad_request",
        ),
    ),
    "T51": (
        "a process that ends anywhere",
        (
            "faults/test_crash_matrix.py::test_whatever_ends_anywhere_is_done_or_not_begun",
            "faults/test_crash_matrix.py::test_a_first_start_that_ends_anywhere_is_made_up_for",
            "kill/test_kill.py::test_killed_server_leaves_nothing_half_done",
            "kill/test_killed_fleet.py::test_killed_fleet_leaves_nothing_half_done",
            "registry/test_backups.py::test_a_backup_that_was_cut_off_is_none",
            "registry/test_backups.py::test_a_restore_that_was_cut_off_goes_on",
        ),
    ),
    "T52": (
        "one file from several at once",
        (
            "registry/test_uploads_at_once.py::test_exactly_one_wins_where_nothing_may_be_replaced",
            "registry/test_uploads_at_once.py::test_the_last_one_is_there_where_it_may_be_replaced",
            "catalog/test_writers.py::test_two_who_upload_the_last_files_make_it_whole",
            "histories/test_histories.py::test_every_history_has_an_order",
        ),
    ),
    "T53": (
        "collectors beside those who name the same bytes again",
        (
            "faults/test_collectors.py::test_collectors_take_nothing_that_somebody_uses",
            "registry/test_backups.py::test_the_collector_waits_for_a_backup",
            "registry/test_checking.py::test_an_upload_that_began_before_the_quarantine_stores_its_bytes",
        ),
    ),
    "T54": (
        "no space, or no quota, at any stage",
        (
            "registry/test_full_anywhere.py::test_no_space_at_any_stage_changes_nothing",
            "registry/test_files.py::test_a_quota_counts_what_is_kept",
            "registry/test_uploading.py::test_a_quota_stops_at_the_file_that_does_not_fit",
            "promises/test_promises_of_upkeep.py::test_a_quota_is_kept",
            "web/test_bad_input.py::test_bad_request",
            "disk/test_full_disk.py::test_full_disk_refuses_and_recovers",
        ),
    ),
    "T55": (
        "bytes that change in the storage",
        (
            "registry/test_checking.py::test_what_is_damaged_is_served_no_more",
            "registry/test_checking.py::test_twenty_times_a_twentieth_is_everything_once",
            "registry/test_checking.py::test_an_upload_of_the_same_bytes_heals",
            "registry/test_repairing.py::test_a_backup_brings_back_what_is_lost_cut_or_changed",
            "registry/test_repairing.py::test_another_repocore_brings_them_back",
        ),
    ),
    "T56": (
        "backups of what is written to, and what they are worth",
        (
            "registry/test_drill.py::test_what_is_restored_is_what_there_was_at_that_moment",
            "registry/test_backups.py::test_a_backup_is_restored_row_by_row_and_byte_by_byte",
            "registry/test_backups.py::test_a_damaged_backup_is_not_restored",
        ),
    ),
    "T57": (
        "clocks that are set",
        (
            "faults/test_clocks.py::test_clocks_that_jump_lose_nothing",
            "faults/test_clocks.py::test_tokens_end_by_the_clock_of_the_database",
            "faults/test_clocks.py::test_logins_end_by_the_clocks_of_servers",
            "registry/test_access.py::test_a_clock_that_is_set_makes_nobody_remembered_for_longer",
            "promises/test_promises.py::test_times_never_go_back",
        ),
    ),
    "T58": (
        "secrets and control characters in logs",
        (
            "web/test_app.py::test_planted_secrets_are_nowhere",
            "web/test_exchanges.py::test_no_canary_sings",
            "logs/test_redacting.py::test_secrets_are_hidden",
            "logs/test_writing.py::test_lines_are_redacted",
        ),
    ),
    "T60": (
        "keys that are changed, and keys that somebody else has",
        (
            "plugins/test_bearer.py::test_old_logins_outlive_their_key_unless_it_is_revoked",
            "registry/test_accounts.py::test_a_new_signing_key_keeps_old_logins",
            "plugins/oauth/test_id_tokens.py::test_keys_rotate",
        ),
    ),
    "T62": (
        "plugins that raise, hang, or take all memory",
        (
            "registry/test_bad_plugins.py::test_a_request_fails_whose_plugin_fails",
            "registry/test_bad_plugins.py::test_who_listens_and_fails_holds_up_nobody",
            "registry/test_bad_plugins.py::test_a_plugin_that_hangs_hangs_alone",
            "registry/test_bad_plugins.py::test_a_job_that_fails_fails_alone",
            "registry/test_indexing.py::test_an_indexer_that_fails_leaves_what_was_there",
        ),
    ),
    "T63": (
        "settings that are read anew and are wrong",
        ("cli/test_serving.py::test_settings_are_read_anew",),
    ),
    "T64": (
        "what is called that nobody named, and what we depend on",
        (
            "house/test_no_calls_home.py::test_an_import_asks_nobody",
            "house/test_no_calls_home.py::test_a_registry_at_work_asks_nobody",
        ),
    ),
}


@pytest.mark.parametrize("threat", THREATS)
def test_threat_has_its_tests(threat: str) -> None:
    """Each named test is there."""
    for name in THREATS[threat][1]:
        file, _, function = name.partition("::")
        text = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", text, re.MULTILINE), name
