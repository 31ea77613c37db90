//! Help is an interface: every command's is a snapshot.

use crate::harness::Case;

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    let root = tracebook::cli::command();
    insta::assert_snapshot!("help", Case::empty().run("--help").expect_exit(0).stdout());
    for command in root.get_subcommands().map(clap::Command::get_name) {
        let help = Case::empty().run(&format!("{command} --help")).expect_exit(0).stdout();
        insta::assert_snapshot!(format!("help_{command}"), help);
    }
}

#[test]
fn every_command_has_an_example_in_its_help() {
    let root = tracebook::cli::command();
    for command in root.get_subcommands() {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains(&format!("tracebook {}", command.get_name())), "{}", command.get_name());
    }
}

#[test]
fn version_is_data_and_mistakes_are_exit_2() {
    Case::empty().run("--version").expect_exit(0).expect_stdout("tracebook [VERSION]\n");
    Case::empty().run("generat").expect_exit(2).expect_stderr("generate");
    Case::empty().run("").expect_exit(2).expect_stderr("Usage:");
    Case::empty().run("generate --lookback soon").expect_exit(2).expect_stderr("7d, 36h");
    Case::empty().run("generate --start yesterday").expect_exit(2).expect_stderr("2026-08-23T17:00:00Z");
    Case::empty().run("generate --lookback 1d --lookback-hours 24").expect_exit(2);
}
