//! What every command has in common.

use crate::program::Place;

#[test]
fn usage_errors_are_code_2_in_both_forms() {
    let place = Place::new();
    let text = place.run("pki issue client");
    assert_eq!(text.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&text.stderr).contains("--name"));
    let error = place.fails("pki issue client", 2, "usage");
    assert!(error["message"].as_str().unwrap().contains("--name"));
    place.fails("no-such-command", 2, "usage");
    place.fails("pki revoke", 2, "usage");
    place.fails("pki revoke --name a --serial b", 2, "usage");
}

#[test]
fn help_and_version_are_answers() {
    let place = Place::new();
    for line in ["--help", "--version", "pki --help", "--json --help"] {
        let output = place.run(line);
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{line}"
        );
    }
}

#[test]
fn errors_as_text_say_why_and_what_next() {
    let place = Place::new();
    let output = place.run("pki list");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with("error[pki-no-authority]: pki holds no certificate authority\n"),
        "{text}"
    );
    assert!(text.contains("\n  next: "), "{text}");
}

#[test]
fn a_closed_pipe_does_not_change_the_exit_code() {
    use std::process::{Command, Stdio};
    let place = Place::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .current_dir(place.folder())
        .args(["pki", "init", "--name", "x"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
