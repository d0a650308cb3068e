//! How an appliance is begun: what `--bootstrap` shows people before it makes anything, and when it makes nothing.

use std::{
    fs,
    process::{Command, Output},
};

use policy::bundle::MANIFEST;
use strongroom_softhsm_tests::{program::run, signerd::signerd, world::World};

/// The fingerprint of the manifest by another program, as people compare it.
fn sha256sum(world: &World) -> String {
    let output = run(Command::new("sha256sum").arg(world.policy().join(MANIFEST)));
    let line = String::from_utf8(output.stdout).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The value of a line.
fn shown<'a>(said: &'a str, name: &str) -> &'a str {
    let line = said.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {said}")).trim()
}

#[test]
fn the_fingerprint_is_that_of_the_manifest_and_is_shown_before_anything_is_made() {
    let world = World::new();
    // Where it cannot make anything, it has shown what it would have begun.
    fs::write(world.data(), "in the way").unwrap();
    let failed = signerd(&world.config(), &["--bootstrap"]);
    assert!(!failed.status.success());
    let before = said(&failed);
    let fingerprint = sha256sum(&world);
    assert_eq!(shown(&before, "bundle "), format!("sha256:{fingerprint}"));
    assert!(!before.contains("journal "), "{before}");
    assert_eq!(fs::read_to_string(world.data()).unwrap(), "in the way");
    fs::remove_file(world.data()).unwrap();

    let made = signerd(&world.config(), &["--bootstrap"]);
    assert!(made.status.success());
    let text = said(&made);
    assert_eq!(shown(&text, "fleet "), "tests");
    assert_eq!(shown(&text, "bundle "), format!("sha256:{fingerprint}"));
    assert_eq!(shown(&text, "sequence "), "1");
    assert_eq!(
        shown(&text, "signed by "),
        "ann, ben; 2 of ann, ben, cem govern"
    );
    let manifest = world.policy().join(MANIFEST);
    let compare = format!("sha256sum {}", manifest.display());
    assert!(shown(&text, "compare ").contains(&compare), "{text}");
    assert_eq!(shown(&text, "journal "), world.data().display().to_string());
    assert!(
        text.starts_with(&before),
        "the same, and then what was made: {text}"
    );
    // What governs is what was shown.
    let daemon = world.start();
    assert_eq!(world.walletd().keys().policy, fingerprint);
    assert!(daemon.stop().success());
}

#[test]
fn another_bundle_than_the_pinned_one_makes_nothing() {
    let world = World::new();
    let mut other = world.bundle.clone();
    other.append("statements.toml", "\n# another\n");
    other.write(&world.policy(), 1, &["ann", "ben"]);
    let refused = signerd(&world.config(), &["--bootstrap"]);
    assert!(!refused.status.success());
    assert_eq!(said(&refused), "", "nothing is shown as if it were right");
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    let found = format!("the bundle's hash is {}, expected", sha256sum(&world));
    assert!(why.contains(&found), "{why}");
    assert!(!world.data().exists());
}
