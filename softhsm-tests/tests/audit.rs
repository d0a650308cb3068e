//! An auditor with a certificate and the pinned key of the log, and nothing else.

mod pruned;
mod reading;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use api::{
    journal::{BodiesAnswer, BundleAnswer, JournalBody},
    problem::ProblemKind,
};
use policy::{Entry, FreezeScope, Record};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    evm::{Draft, ETHER},
    image::Image,
    oracle::Oracle,
    program::{binary, output, until},
    signerd::Signerd,
    witness::Witnessed,
    world::{Client, World, problem},
};

use crate::support::{CUSTOMER, STRANGER, sender, transfer};

/// A client that may read everything and do nothing.
pub const EXAMINER: &str = "\n[[client]]\nname = \"examiner\"\n\
    uri = \"urn:strongroom:client:examiner\"\nverbs = [\"journal\", \"bodies\"]\naccounts = [\"eth-hot\"]\n";

/// A world with somebody who looks into it.
pub struct Audited {
    world: World,
    key: String,
}

impl Audited {
    fn new() -> (Self, Signerd) {
        Self::on(World::with(|bundle| {
            bundle.append("accounts.toml", EXAMINER);
        }))
    }

    /// Of a world whose bundle has [`EXAMINER`].
    pub fn on(world: World) -> (Self, Signerd) {
        let world = world.with_checkpoints();
        world.pki.client("examiner");
        let daemon = world.start();
        let log = world.walletd().keys().journal.expect("a log");
        let key = log.log_key.expect("a key");
        (Self { world, key }, daemon)
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.folder().join(name)
    }

    /// `strongroom audit …` as this client, with the pinned key.
    fn audit_as(&self, client: &str, arguments: &[&str]) -> Output {
        output(&mut self.command(client, arguments))
    }

    fn command(&self, client: &str, arguments: &[&str]) -> Command {
        let (certificate, key) = self.world.pki.files(client);
        let mut command = Command::new(binary("strongroom"));
        command.args(["--json", "audit"]).args(arguments);
        command.arg("--connect").arg(self.world.api().to_string());
        command.arg("--ca").arg(self.world.pki.authority());
        command.arg("--certificate").arg(certificate);
        command.arg("--key").arg(key);
        if !["tail", "show"].contains(&arguments[0]) {
            command.args(["--log-key", &self.key]);
        }
        command
    }

    /// The answer of a command that must succeed.
    fn audit(&self, arguments: &[&str]) -> Value {
        good(&self.audit_as("examiner", arguments))
    }

    /// `strongroom audit export` into a folder of this name, which goes on where that ended.
    pub fn export(&self, name: &str) -> (PathBuf, Value) {
        let folder = self.path(name);
        let answer = self.audit(&["export", "--out", folder.to_str().unwrap()]);
        (folder, answer)
    }

    /// Verifies without any daemon; whether it is whole, and the answer.
    fn verify(&self, path: &Path) -> (bool, Value) {
        offline(path, &self.key)
    }

    fn is_whole(&self, folder: &Path) -> Value {
        let (whole, report) = self.verify(folder);
        assert!(whole, "{report}");
        report
    }
}

fn offline(path: &Path, key: &str) -> (bool, Value) {
    let mut command = Command::new(binary("strongroom"));
    command.args(["--json", "audit", "verify", "--log-key", key]);
    let output = output(command.arg(path));
    let text = if output.stdout.is_empty() {
        &output.stderr
    } else {
        &output.stdout
    };
    let said = String::from_utf8_lossy(text);
    let answer = serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.success(), answer)
}

fn good(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn failed(output: &Output) -> Value {
    assert!(!output.status.success());
    serde_json::from_slice(&output.stderr).unwrap()
}

/// What a report says first.
fn first(report: &Value) -> (Option<u64>, String) {
    let Some(finding) = report["findings"].get(0) else {
        return (
            None,
            report["error"]["message"].as_str().unwrap().to_owned(),
        );
    };
    let what = finding["what"].as_str().unwrap().to_owned();
    (finding["entry"].as_u64(), what)
}

fn pay(client: &mut Client, nonces: impl IntoIterator<Item = u64>) -> u64 {
    let from = sender(client);
    let pay = |nonce| {
        let request = transfer(
            &format!("pay-{nonce}"),
            &from,
            &Draft::transfer(nonce, CUSTOMER, 1),
        );
        client.sign(&request).attempt
    };
    nonces.into_iter().map(pay).last().expect("a payment")
}

fn refuse(client: &mut Client, id: &str) {
    let from = sender(client);
    client.refused(&transfer(id, &from, &Draft::transfer(9_000, STRANGER, 1)));
}

/// Waits until a checkpoint covers an entry.
pub fn cover(client: &mut Client, entry: u64) {
    let answer = client.get(&format!("/v1/journal/checkpoint?covers={entry}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Pays, and waits until a checkpoint covers it.
fn settled(client: &mut Client, nonces: impl IntoIterator<Item = u64>) {
    let last = pay(client, nonces);
    cover(client, last);
}

/// Every file of a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

/// The exported bodies, a line each.
pub fn lines(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("bodies.ndjson")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn write_lines(folder: &Path, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(folder.join("bodies.ndjson"), text).unwrap();
}

fn bodies(client: &mut Client, from: u64) -> BodiesAnswer {
    let answer = client.get(&format!("/v1/journal/bodies?from={from}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn record(body: &JournalBody) -> Record {
    serde_json::from_str(&body.opening.as_ref().expect("a body").body).unwrap()
}

#[test]
fn an_export_is_verified_offline_to_the_last_entry_and_goes_on_where_it_was() {
    let (audited, daemon) = Audited::new();
    let mut client = audited.world.walletd();
    refuse(&mut client, "refused");
    settled(&mut client, 0..3);
    let (folder, first) = audited.export("copy");
    let report = audited.is_whole(&folder);
    assert_eq!(report["size"], first["size"]);
    assert_eq!(report["decided_again"], 3);
    assert_eq!(report["refused_again"], 1);
    assert_eq!(report["signatures"], 3);
    // Beyond a full tile, and beyond what one checkpoint more covers.
    settled(&mut client, 3..160);
    let (_, second) = audited.export("copy");
    assert_eq!(second["from"], first["size"]);
    assert!(second["size"].as_u64().unwrap() > 256);
    let report = audited.is_whole(&folder);
    assert_eq!(report["decided_again"], 160);
    assert_eq!(report["withheld"], 0);
    assert!(report["checkpoints"].as_u64().unwrap() > 0);
    let (fresh, _) = audited.export("fresh");
    let names = |folder: &Path| -> BTreeSet<_> {
        let all = files(folder);
        all.iter()
            .map(|path| path.strip_prefix(folder).unwrap().to_owned())
            .collect()
    };
    assert!(names(&folder).is_subset(&names(&fresh)) || names(&fresh).is_subset(&names(&folder)));
    drop(daemon);
    audited.is_whole(&folder);
    audited.is_whole(&fresh);
}

#[test]
fn go_reads_the_folder_as_any_log() {
    let (audited, _daemon) = Audited::new();
    let mut client = audited.world.walletd();
    settled(&mut client, 0..140);
    let (folder, answer) = audited.export("copy");
    let here = tempfile::tempdir().unwrap();
    let mut oracle = Oracle::start(here.path(), Path::new(env!("CARGO_TARGET_TMPDIR")));
    let origin = audited.key.split('+').next().unwrap();
    let question = json!({
        "do": "client", "folder": folder, "vkeys": [audited.key], "origin": origin,
    });
    let read = oracle.ask(&question).unwrap();
    assert_eq!(read["size"], answer["size"]);
    assert!(read["size"].as_u64().unwrap() > 256);
    // The tree alone is the same, and is all that a client without the grant can have.
    let alone = audited.path("alone");
    audited.audit(&["export", "--commitments", "--out", alone.to_str().unwrap()]);
    let report = audited.is_whole(&alone);
    assert_eq!(report["opened"], 0);
    let question = json!({
        "do": "client", "folder": alone, "vkeys": [audited.key], "origin": origin,
    });
    oracle.ask(&question).unwrap();
}

#[test]
fn a_changed_byte_is_found_in_whichever_file_it_is() {
    let (audited, _daemon) = Audited::new();
    let mut client = audited.world.walletd();
    refuse(&mut client, "refused");
    settled(&mut client, 0..2);
    let (folder, _) = audited.export("copy");
    audited.is_whole(&folder);
    let all = files(&folder);
    assert!(all.len() > 8, "{all:?}");
    for path in all {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        if name == "lock" {
            continue;
        }
        let good = fs::read(&path).unwrap();
        for place in [0, good.len() / 3, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&path, &bad).unwrap();
            let (whole, report) = audited.verify(&folder);
            assert!(!whole, "byte {place} of {name}");
            let (entry, what) = first(&report);
            let named = match name.as_str() {
                "bodies.ndjson" => {
                    let before = good[..place].iter().filter(|byte| **byte == b'\n').count();
                    entry == Some(before as u64)
                }
                name if name.starts_with("bundles/") => what.contains("bundle "),
                name => what.contains(name),
            };
            assert!(named, "byte {place} of {name}: {report}");
        }
        fs::write(&path, &good).unwrap();
    }
    audited.is_whole(&folder);
}

#[test]
fn an_entry_that_is_left_out_cut_off_or_put_in_is_named() {
    let (audited, _daemon) = Audited::new();
    let mut client = audited.world.walletd();
    settled(&mut client, 0..3);
    let (folder, _) = audited.export("copy");
    let good = lines(&folder);
    let wrong_at = |bad: &[String], at: u64| {
        write_lines(&folder, bad);
        let (whole, report) = audited.verify(&folder);
        assert!(!whole);
        assert_eq!(first(&report).0, Some(at), "{report}");
    };
    let mut without = good.clone();
    without.remove(4);
    wrong_at(&without, 4);
    wrong_at(&good[..good.len() - 1], good.len() as u64 - 1);
    let mut twice = good.clone();
    twice.insert(4, good[4].clone());
    wrong_at(&twice, 5);
    let mut more = good.clone();
    let next = good.len() as u64;
    let last = good.last().unwrap();
    more.push(last.replace(
        &format!("\"entry\":{}", next - 1),
        &format!("\"entry\":{next}"),
    ));
    wrong_at(&more, next);
    // Left out, and all others renumbered and committed to anew: what the tiles say stands.
    let renumbered = without.iter().zip(0_u64..).map(|(line, entry)| {
        let mut body: JournalBody = serde_json::from_str(line).unwrap();
        body.entry = entry;
        serde_json::to_string(&body).unwrap()
    });
    wrong_at(&renumbered.collect::<Vec<_>>(), 4);
    write_lines(&folder, &good);
    audited.is_whole(&folder);
    // A body that says something else, and commits to it.
    let mut forged = good.clone();
    let mut body: JournalBody = serde_json::from_str(&good[6]).unwrap();
    let opening = body.opening.as_mut().unwrap();
    opening.body = opening.body.replace("\"v\":1", "\"v\": 1");
    let salt: [u8; 32] = hex::decode(&opening.salt).unwrap().try_into().unwrap();
    let leaf =
        journal::segment::Leaf::commit(&journal::segment::Salt::new(salt), opening.body.as_bytes());
    body.commitment = leaf.commitment().to_string();
    forged[6] = serde_json::to_string(&body).unwrap();
    wrong_at(&forged, 6);
}

#[test]
fn what_belongs_to_no_log_or_to_another_is_refused() {
    let (audited, _daemon) = Audited::new();
    let mut client = audited.world.walletd();
    settled(&mut client, 0..2);
    let (folder, _) = audited.export("copy");
    let (other, _other_daemon) = Audited::new();
    let mut theirs = other.world.walletd();
    settled(&mut theirs, 0..2);
    let (whole, answer) = offline(&folder, &other.key);
    assert!(!whole);
    assert_eq!(answer["error"]["type"], "unsigned-checkpoint");
    let (foreign, _) = other.export("copy");
    // Their entries under our checkpoint, and ours under theirs.
    fs::copy(folder.join("checkpoint"), foreign.join("checkpoint")).unwrap();
    let (whole, report) = audited.verify(&foreign);
    assert!(!whole, "{report}");
    for file in ["notes.txt", "tile/0/001", "tile/7/000", "tile/entries/x"] {
        let path = folder.join(file);
        fs::write(&path, "x").unwrap_or_else(|_| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
        });
        let (whole, report) = audited.verify(&folder);
        assert!(!whole && first(&report).1.contains(file), "{report}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_copy_that_was_cut_off_is_carried_on_and_one_that_was_changed_is_not() {
    let (audited, _daemon) = Audited::new();
    let mut client = audited.world.walletd();
    settled(&mut client, 0..2);
    let (folder, _) = audited.export("copy");
    let kept = fs::read(folder.join("bodies.ndjson")).unwrap();
    settled(&mut client, 2..4);
    // Killed within a line, before any checkpoint was written.
    let begun = audited.path("begun");
    fs::create_dir_all(&begun).unwrap();
    fs::write(begun.join("bodies.ndjson"), &kept[..kept.len() / 2]).unwrap();
    audited.export("begun");
    audited.is_whole(&begun);
    // Killed behind the checkpoint of before.
    let mut torn = kept.clone();
    torn.extend_from_slice(b"{\"entry\":");
    fs::write(folder.join("bodies.ndjson"), &torn).unwrap();
    audited.export("copy");
    audited.is_whole(&folder);
    settled(&mut client, 4..5);
    let good = lines(&folder);
    for bad in [&good[..3], &[&good[..3], &good[4..]].concat()[..]] {
        write_lines(&folder, bad);
        let out = folder.to_str().unwrap();
        let answer = failed(&audited.audit_as("examiner", &["export", "--out", out]));
        assert_eq!(answer["error"]["type"], "export-changed", "{answer}");
    }
    write_lines(&folder, &good);
    audited.export("copy");
    audited.is_whole(&folder);
}

#[test]
fn only_who_is_granted_them_reads_bodies_and_bundles() {
    let (audited, _daemon) = Audited::new();
    let mut client = audited.world.walletd();
    settled(&mut client, 0..1);
    let mut examiner = audited.world.client("examiner");
    let page = bodies(&mut examiner, 0);
    let activated = page
        .bodies
        .iter()
        .map(record)
        .find_map(|record| match record.entry {
            Entry::PolicyActivated { hash, .. } => Some(hash),
            _ => None,
        });
    let hash = activated.expect("a bundle");
    let bundle = format!("/v1/journal/bundles/{hash}");
    for path in ["/v1/journal/bodies?from=0", &bundle] {
        let problem = problem(&client.get(path));
        assert_eq!(problem.kind, ProblemKind::NotGranted);
    }
    let answer: BundleAnswer = examiner.get(&bundle).json();
    assert!(answer.files.iter().any(|file| file.path == "people.toml"));
    let other = format!("/v1/journal/bundles/{}", "0a".repeat(32));
    assert_eq!(problem(&examiner.get(&other)).kind, ProblemKind::NotFound);
    // Pages are bounded, and say nothing that no checkpoint covers.
    let one: BodiesAnswer = examiner.get("/v1/journal/bodies?from=2&count=1").json();
    assert_eq!(one.bodies.len(), 1);
    assert_eq!(one.bodies[0].entry, 2);
    let beyond = bodies(&mut examiner, u64::MAX);
    assert_eq!(beyond.bodies, []);
    assert!(beyond.covered >= page.covered);
    for query in ["", "?from=0&count=257", "?from=-1", "?count=1"] {
        let problem = problem(&examiner.get(&format!("/v1/journal/bodies{query}")));
        assert_eq!(problem.kind, ProblemKind::Malformed, "{query}");
    }
}

#[test]
fn the_log_is_copied_while_it_grows() {
    let (audited, _daemon) = Audited::new();
    let mut client = audited.world.walletd();
    settled(&mut client, 0..1);
    let (folder, _) = audited.export("copy");
    std::thread::scope(|scope| {
        let paying = scope.spawn(|| {
            let mut client = audited.world.walletd();
            pay(&mut client, 1..120)
        });
        while !paying.is_finished() {
            audited.export("copy");
            audited.is_whole(&folder);
        }
        cover(&mut client, paying.join().unwrap());
    });
    audited.export("copy");
    assert_eq!(audited.is_whole(&folder)["decided_again"], 120);
}

#[test]
fn refusals_are_decided_again_for_the_same_reasons() {
    let (audited, daemon) = Audited::new();
    let mut client = audited.world.walletd();
    let from = sender(&mut client);
    let asks = [
        ("stranger", Draft::transfer(0, STRANGER, 1)),
        ("limit", Draft::transfer(0, CUSTOMER, 1_000_000 * ETHER)),
        ("gap", Draft::transfer(9, CUSTOMER, 1)),
    ];
    for (id, draft) in &asks {
        assert_eq!(client.send(&transfer(id, &from, draft)).status, 422, "{id}");
    }
    let mut unread = transfer("unread", &from, &asks[0].1);
    let tx::Transaction::Eip2718 { payload, .. } = &mut unread.transaction else {
        panic!("another chain");
    };
    payload.push_str("00");
    assert_eq!(client.send(&unread).status, 422);
    let mut other = transfer("mismatch", &from, &Draft::transfer(0, CUSTOMER, 1));
    other.intents.clear();
    assert_eq!(client.send(&other).status, 422);
    settled(&mut client, 0..1);
    let (folder, _) = audited.export("copy");
    let report = audited.is_whole(&folder);
    let told = (&report["refused_again"], &report["refused_unseen"]);
    assert_eq!(told, (&json!(5), &json!(0)), "{report}");
    assert!(daemon.stop().success());

    // What a signer would write that refuses without a reason, or for another one.
    let records = strongroom_softhsm_tests::records::read(&audited.world.data());
    let next = records.len() as u64;
    let refused = records.into_iter().find_map(|record| match record.entry {
        Entry::Refused(refused) if refused.request.as_str() == "limit" => Some(refused),
        _ => None,
    });
    let (mut other, mut bare) = (refused.clone().unwrap(), refused.unwrap());
    other.reasons[0].code = policy::ReasonCode::Uncovered;
    bare.reasons.clear();
    let image = Image::of(&audited.world.data());
    let image = image.grown(1, &Entry::Refused(other));
    let image = image.grown(1, &Entry::Refused(bare));
    image.restore(&audited.world.data());
    let _daemon = audited.world.start();
    cover(&mut audited.world.client("examiner"), next + 1);
    audited.export("copy");
    let (whole, report) = audited.verify(&folder);
    assert!(!whole);
    for (finding, entry) in [(0, next), (1, next + 1)] {
        let finding = &report["findings"][finding];
        assert_eq!(finding["entry"], entry, "{report}");
        assert_eq!(
            finding["what"],
            "decided again, it is refused for other reasons"
        );
    }
}

#[test]
fn what_a_freeze_holds_is_told_by_its_leaf_alone() {
    let (audited, daemon) = Audited::new();
    let mut client = audited.world.walletd();
    let from = sender(&mut client);
    let signed = client.sign(&transfer("paid", &from, &Draft::transfer(0, CUSTOMER, 1)));
    // Its signatures stand behind it.
    cover(&mut client, signed.attempt + 1);
    let (before, _) = audited.export("before");
    assert!(daemon.stop().success());
    let freeze = Entry::Frozen {
        scope: FreezeScope::All,
        reason: "a test".into(),
    };
    let frozen = Image::of(&audited.world.data()).grown(1, &freeze);
    frozen.restore(&audited.world.data());
    let _daemon = audited.world.start();
    let mut examiner = audited.world.client("examiner");
    cover(&mut examiner, signed.attempt + 2);
    let raw = signed.transaction.raw.trim_start_matches("0x");
    let page = examiner.get("/v1/journal/bodies?from=0");
    assert!(!page.text().contains(raw), "a frozen transaction was told");
    let (after, answer) = audited.export("after");
    assert_eq!(answer["withheld"], 1);
    let report = audited.is_whole(&after);
    assert_eq!(
        (&report["withheld"], &report["signatures"]),
        (&json!(1), &json!(0))
    );
    let shown = audited.audit(&["show", &(signed.attempt + 1).to_string()]);
    assert_eq!(shown.get("record"), None, "{shown}");
    // A copy of before has what was told before.
    audited.export("before");
    let report = audited.is_whole(&before);
    assert_eq!(
        (&report["withheld"], &report["signatures"]),
        (&json!(0), &json!(1))
    );
}

/// What a broken or hostile signer would write behind a payment: an authorisation that its policy does not
/// give, and a signature that is none.
fn forged(audited: &Audited, paid: u64) -> [Entry; 2] {
    let mut records = strongroom_softhsm_tests::records::read(&audited.world.data());
    let next = records.len() as u64;
    let Entry::Signed(mut signed) = records.remove(paid as usize + 1).entry else {
        panic!("no signature");
    };
    let Entry::Attempt(mut attempt) = records.remove(paid as usize).entry else {
        panic!("no attempt");
    };
    attempt.request = "forged".parse().unwrap();
    attempt.keys.clear();
    attempt.intents.clear();
    attempt.calls[0].call = 1_000_000;
    signed.attempt = policy::AttemptId(next);
    signed.signatures[0].call = 1_000_000;
    signed.signatures[0].r.0[0] ^= 1;
    [Entry::Attempt(attempt), Entry::Signed(signed)]
}

#[test]
fn a_decision_that_the_policy_does_not_give_is_named_though_all_of_it_is_signed_for() {
    let (audited, daemon) = Audited::new();
    let mut client = audited.world.walletd();
    let paid = pay(&mut client, 0..1);
    cover(&mut client, paid + 1);
    assert!(daemon.stop().success());
    let [attempt, signed] = forged(&audited, paid);
    let image = Image::of(&audited.world.data());
    let image = image.grown(1, &attempt).grown(1, &signed);
    image.restore(&audited.world.data());
    let forged = strongroom_softhsm_tests::records::read(&audited.world.data()).len() as u64 - 2;
    let _daemon = audited.world.start();
    cover(&mut audited.world.client("examiner"), forged + 1);
    let (folder, _) = audited.export("copy");
    let (whole, report) = audited.verify(&folder);
    assert!(!whole);
    let (entry, what) = first(&report);
    assert_eq!(entry, Some(forged));
    assert!(what.contains("decided again, it is refused"), "{report}");
    assert_eq!(report["findings"][1]["entry"], forged + 1, "{report}");
    assert_eq!(report["findings"].as_array().unwrap().len(), 2, "{report}");
}

#[test]
fn nothing_is_copied_that_too_few_witnesses_have_cosigned() {
    let mut site = Witnessed::with(2, |edit| {
        World::with(|bundle| {
            bundle.append("accounts.toml", EXAMINER);
            edit(bundle);
        })
        .with_faults()
    });
    site.world.configure("call_timeout_ms = 20000");
    let (daemon, _relay) = site.start();
    let key = site.log_key.clone().expect("a key").to_string();
    site.world.pki.client("examiner");
    let audited = Audited {
        world: site.world,
        key,
    };
    let mut client = audited.world.walletd();
    settled(&mut client, 0..1);
    let copied = |signatures: u64| {
        until("a copy of the signatures", || {
            let (folder, _) = audited.export("copy");
            let report = audited.is_whole(&folder);
            (report["signatures"] == signatures).then_some(folder)
        })
    };
    let folder = copied(1);
    // A witness ends once it knows of the decision, before there are signatures.
    let from = sender(&mut client);
    let mut asking = audited.world.walletd();
    audited.world.set_fault("late");
    let held = std::thread::scope(|scope| {
        let held = transfer("held", &from, &Draft::transfer(1, CUSTOMER, 1));
        let held = scope.spawn(move || client.send(&held));
        until("a decision that is known", || {
            let told = asking.get("/v1/requests/held");
            (told.status == 200).then_some(())
        });
        site.witnesses[0].kill();
        held.join().unwrap()
    });
    audited.world.set_fault("none");
    assert_eq!(held.status, 503, "{}", held.text());
    // Its signature is made and in the journal, and nobody is told.
    assert_eq!(daemon.metric("signerd_signed_total"), Some(2));
    let mut examiner = audited.world.client("examiner");
    let told = bodies(&mut examiner, 0).bodies;
    let is_signed = |body: &&JournalBody| matches!(record(body).entry, Entry::Signed(_));
    assert_eq!(told.iter().filter(is_signed).count(), 1);
    let out = folder.to_str().unwrap();
    let newest = good(&audited.audit_as("examiner", &["export", "--out", out]));
    let report = audited.is_whole(&folder);
    assert_eq!(report["signatures"], 1, "{newest}");
    assert_eq!(
        report["witnesses"],
        json!({"cosigned": 2, "needed": 2, "named": 2})
    );
    site.witnesses[0].start();
    let folder = copied(2);
    // A checkpoint that too few have cosigned proves nothing to who trusts the witnesses.
    let path = folder.join("checkpoint");
    let note = fs::read_to_string(&path).unwrap();
    let (head, last) = note.trim_end().rsplit_once('\n').unwrap();
    assert!(last.contains(".example "), "{note}");
    fs::write(&path, format!("{head}\n")).unwrap();
    let (whole, report) = offline(&folder, &audited.key);
    assert!(!whole);
    assert_eq!(
        first(&report),
        (
            None,
            "1 of 2 witnesses cosigned the checkpoint, and 2 are needed".to_owned()
        )
    );
}
