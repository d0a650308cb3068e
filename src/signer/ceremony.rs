//! What `--bootstrap` shows people before it makes anything.

use std::{fmt::Write as _, path::Path};

use policy::bundle::{MANIFEST, VerifiedBundle};

use crate::verbs::governance::joined;

/// The bundle that would be the first to govern, in lines, and how its fingerprint is found without this program.
pub fn shown(bundle: &VerifiedBundle, folder: &Path) -> String {
    let policy = bundle.policy();
    let governance = &policy.governance;
    let manifest = folder.join(MANIFEST);
    let lines = [
        ("fleet", policy.fleet.to_string()),
        ("bundle", format!("sha256:{}", policy.hash)),
        (
            "compare",
            format!(
                "with what others read out of `sha256sum {}`",
                manifest.display()
            ),
        ),
        ("sequence", policy.sequence.to_string()),
        (
            "signed by",
            format!(
                "{}; {} of {} govern",
                joined(bundle.signed_by()),
                governance.threshold,
                joined(&governance.officers)
            ),
        ),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "{name:<12} {value}");
    }
    text
}
