//! The commands of `docs/walkthrough.md`, as they stand.

use std::process::Command;

use strongroom_softhsm_tests::program::{binary, repository, run};

#[test]
fn the_first_payment_by_hand_is_made_and_a_stranger_is_refused() {
    let binaries = binary("signerd");
    let folder = binaries.parent().expect("a target folder");
    assert!(binary("strongroom").starts_with(folder));
    let output = run(Command::new(repository("deploy/walkthrough")).arg(folder));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("walkthrough: paid and refused as it should be"),
        "{said}"
    );
}
