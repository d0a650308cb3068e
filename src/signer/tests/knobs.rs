//! What can be said to `signerd` beside its bundle and its configuration. A flag or a variable that weakened a
//! loaded policy would be an admin's way around the rules: whoever adds one comes by here, and says why it
//! does not.

use std::collections::BTreeSet;

use crate::{repository, source::production};

/// Each flag, and why nothing that a policy refuses is signed by it.
const FLAGS: [(&str, &str); 13] = [
    ("--config", "names the file, in which no rule stands"),
    ("--check", "reads and ends"),
    (
        "--bootstrap",
        "takes the one bundle that the configuration pins, where no journal is",
    ),
    ("--seal-report", "reads and ends"),
    (
        "--unseal",
        "needs a statement of the officers of the running bundle",
    ),
    (
        "--prune",
        "needs a statement of the officers of the running bundle",
    ),
    (
        "--signature",
        "brings an officer's signature of such a statement",
    ),
    ("--version", "prints and ends"),
    ("--role", "is given by the supervisor to its own children"),
    (
        "--network",
        "is given by the supervisor to a key child whose device is configured to be behind a network",
    ),
    (
        "--read",
        "names what a key child may read: given by the supervisor, and of no rule",
    ),
    (
        "--write",
        "names what a key child may write: given by the supervisor, and of no rule",
    ),
    (
        "--user",
        "names whom a key child becomes that the supervisor started as root",
    ),
];

/// Each variable of the environment, and the same of it.
const VARIABLES: [(&str, &str); 2] = [
    (
        "NOTIFY_SOCKET",
        "where systemd is told that the daemon is ready",
    ),
    (
        "SOFTHSM2_CONF",
        "where SoftHSM has its token: a test's device, which knows no rule",
    ),
];

/// The crates that are in the daemon.
const CRATES: [&str; 7] = [
    "src/tlog",
    "src/tx",
    "src/policy",
    "src/journal",
    "src/keys",
    "src/api",
    "src/signer",
];

fn listed<const N: usize>(list: [(&'static str, &str); N]) -> BTreeSet<String> {
    list.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// What stands in quotes in a line, from a beginning on.
fn quoted<'l>(line: &'l str, begins: &'l str) -> impl Iterator<Item = String> + 'l {
    let quoted = line.split('"').skip(1).step_by(2);
    let whole = quoted.filter(move |text| text.starts_with(begins));
    whole.map(str::to_owned)
}

#[test]
fn no_flag_is_taken_that_is_not_listed() {
    let main = repository::read("src/signer/main.rs");
    let parsing = main.lines().filter(|line| line.contains("Some(\"--"));
    let taken: BTreeSet<String> = parsing.flat_map(|line| quoted(line, "--")).collect();
    assert_eq!(taken, listed(FLAGS));
    // Nothing else in the daemon reads the command line.
    for folder in CRATES {
        for text in production(folder) {
            let own = text.contains("fn arguments() -> Result<Arguments");
            assert!(own || !text.contains("env::args"), "{folder}");
        }
    }
}

#[test]
fn no_variable_is_read_that_is_not_listed() {
    let mut read = BTreeSet::new();
    for folder in CRATES {
        for text in production(folder) {
            for line in text.lines().filter(|line| !line.trim().starts_with("//")) {
                let reads = ["env::var(", "env::var_os(", "option_env!("];
                if reads.iter().any(|call| line.contains(call)) {
                    let mut names = quoted(line, "").peekable();
                    assert!(
                        names.peek().is_some(),
                        "{folder}: a name that is not written: {line}"
                    );
                    read.extend(names);
                }
                let others = ["env::vars", "use std::env::var", "std::env::{"];
                assert!(
                    !others.iter().any(|call| line.contains(call)),
                    "{folder}: {line}"
                );
            }
        }
    }
    assert_eq!(read, listed(VARIABLES));
}
