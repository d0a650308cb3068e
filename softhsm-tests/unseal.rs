//! Un-sealing as people do it: the report, the statement, their signatures by `ssh-keygen`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{
    bundle,
    program::{binary, output, run},
    signerd::signerd,
    world::World,
};

/// A statement and what signed it.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The statement's file.
    pub statement: PathBuf,
    /// The files of the signatures.
    pub signatures: Vec<PathBuf>,
}

/// Runs `signerd --seal-report` and keeps what it prints.
///
/// # Panics
/// When it refuses.
pub fn report(world: &World) -> PathBuf {
    let output = signerd(&world.config(), &["--seal-report"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let path = world.folder().join("report.json");
    fs::write(&path, output.stdout).expect("the report");
    path
}

/// Runs `strongroom unseal statement`.
pub fn compose(report: &Path, out: &Path, more: &[&str]) -> Output {
    // One of an earlier decision.
    let _absent = fs::remove_file(out);
    let mut command = Command::new(binary("strongroom"));
    command.args(["unseal", "statement"]).arg(report);
    output(command.arg("--out").arg(out).args(more))
}

/// Signs a statement with the keys of these people.
///
/// # Panics
/// When `ssh-keygen` does not.
pub fn sign(statement: &Path, people: &[&str]) -> Vec<PathBuf> {
    sign_as(statement, "strongroom-unseal-v1", people)
}

/// As [`sign`], in a namespace.
///
/// # Panics
/// When `ssh-keygen` does not.
pub fn sign_as(statement: &Path, namespace: &str, people: &[&str]) -> Vec<PathBuf> {
    let one = |person: &&str| {
        let key = statement.with_extension(format!("{person}.key"));
        let text = bundle::key(person).to_openssh(ssh_key::LineEnding::LF);
        fs::write(&key, text.expect("a key").as_bytes()).expect("a key's file");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&key, private).expect("a private file");
        let copy = statement.with_extension(person);
        fs::copy(statement, &copy).expect("a copy");
        let signature = statement.with_extension(format!("{person}.sig"));
        let _absent = fs::remove_file(&signature);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]);
        run(command.arg(&key).arg(&copy));
        signature
    };
    people.iter().map(one).collect()
}

/// What these people decide about what is found: that it goes on, whatever is lost.
///
/// # Panics
/// When there is nothing to decide about.
pub fn decide(world: &World, people: &[&str]) -> Decision {
    let statement = world.folder().join("statement");
    let composed = compose(&report(world), &statement, &["--accept-loss"]);
    let said = String::from_utf8_lossy(&composed.stderr);
    assert!(composed.status.success(), "{said}");
    Decision {
        signatures: sign(&statement, people),
        statement,
    }
}

impl Decision {
    /// Runs `signerd --unseal`.
    pub fn carry_out(&self, world: &World) -> Output {
        let mut command = Command::new(binary("signerd"));
        output(self.arguments(&mut command, world))
    }

    /// Runs `signerd --unseal`, which is killed instead of making the n-th call of this kind.
    pub fn carry_out_until(&self, world: &World, call: &str, n: usize) -> Output {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
        command.arg(format!("trace={call}")).arg("-e");
        command.arg(format!("inject={call}:signal=KILL:when={n}"));
        command.arg(binary("signerd"));
        output(self.arguments(&mut command, world))
    }

    /// Runs it and returns the name that it is refused by.
    ///
    /// # Panics
    /// When it is carried out.
    pub fn refused(&self, world: &World) -> String {
        let output = self.carry_out(world);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "carried out");
        let name = said.trim_start_matches("signerd: ").split(':').next();
        name.unwrap_or_default().trim().to_owned()
    }

    fn arguments<'c>(&self, command: &'c mut Command, world: &World) -> &'c mut Command {
        command.arg("--config").arg(world.config());
        command.arg("--unseal").arg(&self.statement);
        for signature in &self.signatures {
            command.arg("--signature").arg(signature);
        }
        command
    }
}

/// What officers say of keys when an epoch begins, as arguments of `strongroom unseal epoch`.
pub fn of_keys(client: &mut crate::world::Client, next: u64) -> Vec<String> {
    let mut words = vec!["--lanes".to_owned(), "0".into()];
    let coins = ["coin-1", "coin-2", "coin-3"].map(|name| client.key(name));
    for (place, key) in coins.iter().enumerate() {
        // To the next of them: two that drain to one another.
        let to = &coins[if place == 1 { 2 } else { 1 }];
        for address in &to.addresses {
            words.extend(["--drain".into(), key.name.to_string()]);
            words.extend([address.chain.to_string(), address.address.clone()]);
        }
    }
    for key in ["eth-1", "vault-1"] {
        words.extend(["--next", key, "eip155:31337"].map(str::to_owned));
        words.push(next.to_string());
    }
    words
}

/// Runs `strongroom unseal epoch`.
pub fn compose_epoch(report: &Path, out: &Path, more: &[String]) -> Output {
    let _absent = fs::remove_file(out);
    let mut command = Command::new(binary("strongroom"));
    command.args(["unseal", "epoch"]).arg(report);
    output(command.arg("--out").arg(out).args(more))
}

/// What these people decide about what is found: that a new epoch begins.
///
/// # Panics
/// When there is nothing to decide about.
pub fn decide_epoch(world: &World, keys: &[String], people: &[&str]) -> Decision {
    let statement = world.folder().join("epoch");
    let composed = compose_epoch(&report(world), &statement, keys);
    let said = String::from_utf8_lossy(&composed.stderr);
    assert!(composed.status.success(), "{said}");
    Decision {
        signatures: sign_as(&statement, "strongroom-epoch-v1", people),
        statement,
    }
}
