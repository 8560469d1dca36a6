//! Proofs with processes: this executable is the main process, its workers, its readers and its victims.
//!
//! A worker process is the same executable started again, so this binary has no test harness: `main` first serves,
//! then plays the role that its arguments name, and else runs the named tests below one after the other and reports
//! as a harness does.
#![expect(
    clippy::print_stdout,
    reason = "roles answer on stdout, and the tests' results are printed as a harness does"
)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod any_schedule;
mod by_name;
mod crowd;
mod deaths;
mod deeds;
mod equality;
mod failures;
mod forks;
mod hostile;
mod kills;
mod namespaces;
mod readers;
mod rights;
mod roles;
mod rubbish;
mod runner;
mod sandbox;
mod scenes;
/// What the test of random schedules is made of, which knows no processes.
#[path = "../schedules/mod.rs"]
mod schedules;
mod support;
mod takeover;
mod timeline;
mod torn;

use runner::{Test, soak, test};

/// All tests.
const TESTS: &[Test] = &[
    test("equality::pairs_that_keep_their_lists", equality::with_pairs),
    test("equality::the_same_bytes_for_every_pool_ring_and_cadence", equality::every_pool_ring_and_cadence),
    test("equality::the_same_bytes_where_main_helps", equality::where_main_helps),
    test("equality::the_same_bytes_with_ghosts", equality::with_ghosts),
    test("equality::many_frames_in_one_pass_are_frames_one_by_one", equality::many_frames_in_one_pass),
    test("equality::frames_gone_back_and_run_again", equality::gone_back_and_run_again),
    test("any_schedule::the_same_bytes_by_processes_that_die", any_schedule::by_processes_that_die),
    test("deaths::at_every_named_point", deaths::at_every_named_point),
    test("deaths::at_random_points", deaths::at_random_points),
    test("deaths::in_a_sort", deaths::in_a_sort),
    test("deaths::before_they_take_a_job", deaths::before_they_take_a_job),
    test("deaths::at_random_instants", deaths::at_random_instants),
    test("deaths::from_their_first_instant_on", deaths::from_their_first_instant_on),
    soak("deaths::soak_at_random_instants_and_points", deaths::soak),
    test("crowd::for_a_moment", crowd::for_a_moment),
    soak("crowd::soak_of_a_crowd", crowd::soak),
    test("kills::a_few_dozen", kills::a_few_dozen),
    soak("kills::as_many_as_wanted", kills::as_many_as_wanted),
    test("torn::a_few_million_rows", torn::a_few_million_rows),
    soak("torn::as_many_rows_as_wanted", torn::as_many_rows_as_wanted),
    test("failures::a_job_that_always_kills_its_worker", failures::a_job_that_always_kills_its_worker),
    test("failures::a_kernel_that_panics_or_errs", failures::a_kernel_that_panics_or_errs),
    test("failures::a_kernel_that_hangs", failures::a_kernel_that_hangs),
    test("failures::a_closed_simulation", failures::a_closed_simulation),
    test("failures::registrations_that_differ", failures::registrations_that_differ),
    test("failures::an_executable_that_never_serves", failures::an_executable_that_never_serves),
    test("failures::a_worker_cannot_write_what_is_undeclared", failures::a_worker_cannot_write_what_is_undeclared),
    test("sandbox::every_deed_is_refused", sandbox::every_deed_is_refused),
    test("sandbox::a_refusal_is_a_failure_like_any_other", sandbox::a_refusal_is_a_failure_like_any_other),
    test("sandbox::without_one_the_deeds_are_let_through", sandbox::without_one_the_deeds_are_let_through),
    test("sandbox::nothing_is_written_while_a_worker_is_set_up", sandbox::nothing_is_written_while_a_worker_is_set_up),
    test("sandbox::the_same_bytes", sandbox::the_same_bytes),
    test("sandbox::deaths_are_recovered", sandbox::deaths_are_recovered),
    test("sandbox::worlds_and_programs_grow", sandbox::worlds_and_programs_grow),
    test("sandbox::what_cannot_be_shut_in", sandbox::what_cannot_be_shut_in),
    test("sandbox::what_a_system_lacks_is_named", sandbox::what_a_system_lacks_is_named),
    test("forks::a_forked_process_reads_and_changes_nothing", forks::reads_and_changes_nothing),
    test("forks::a_forked_process_builds_nothing", forks::builds_nothing),
    test("by_name::the_same_bytes_as_of_rust_types", by_name::the_same_bytes),
    test("by_name::what_is_missing_is_said", by_name::what_is_missing),
    test("readers::every_row_of_every_pinned_generation", readers::every_row_of_every_pinned_generation),
    test("readers::a_stopped_reader", readers::a_stopped_reader),
    test("readers::a_killed_reader_frees_its_pin", readers::a_killed_reader_frees_its_pin),
    test("readers::a_live_holder_makes_publications_skip", readers::a_live_holder_makes_publications_skip),
    test("readers::a_reader_cannot_write", readers::a_reader_cannot_write),
    test("rights::a_reader_of_the_same_user", rights::a_reader_of_the_same_user),
    test("rights::a_reader_of_another_user", rights::a_reader_of_another_user),
    test("namespaces::a_reader_and_a_sender", namespaces::a_reader_and_a_sender),
    test("namespaces::a_writer_and_its_workers", namespaces::a_writer_and_its_workers),
    test("namespaces::a_worker_of_its_own", namespaces::a_worker_of_its_own),
    test("namespaces::who_has_the_number_of_another", namespaces::who_has_the_number_of_another),
    test("takeover::a_killed_writer_is_taken_over_bit_for_bit", takeover::bit_for_bit),
    test("takeover::a_worker_that_outlives_its_main", takeover::a_worker_that_outlives_its_main),
    test("takeover::memory_of_workers_goes_with_a_killed_main", takeover::memory_of_workers),
    test("takeover::live_and_stale_regions_are_told_apart", takeover::live_and_stale),
    test("timeline::every_event_of_every_process", timeline::every_event_of_every_process),
    test("timeline::of_dying_workers", timeline::of_dying_workers),
    test("rubbish::damaged_regions_are_errors_to_readers", rubbish::to_readers),
    test("rubbish::damaged_regions_are_errors_to_writers", rubbish::to_writers),
    test("rubbish::truncated_and_foreign_files_are_errors", rubbish::truncated_and_foreign),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "role") {
        match args.get(1).map(String::as_str) {
            // A worker that never serves.
            Some("deaf") => return,
            // A program that serves too late: it starts a simulation first.
            Some("forgetful") => return failures::forgetful(),
            _ => {}
        }
    }
    // A worker's arguments name its schedule.
    let schedule = args.get(1).cloned().unwrap_or_default();
    let served = if schedule == "by-name" {
        hypostyle::dynamic::serve(by_name::kernels)
    } else {
        hypostyle::serve(|| {
            support::enter_worker();
            if schedule == "reaching" {
                sandbox::make_a_file();
            }
            any_schedule::named(&schedule).unwrap_or_else(|| scenes::schedule(&schedule))
        })
    };
    match served {
        Ok(false) => {}
        Ok(true) => return,
        // Main is told by other means, if it is there still.
        Err(_) => std::process::exit(3),
    }
    if args.first().is_some_and(|arg| arg == "role") {
        return roles::play(&args[1..]);
    }
    std::process::exit(runner::run(TESTS, &args));
}
