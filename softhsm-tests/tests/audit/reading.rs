//! What an auditor reads and keeps: entries in words, proofs, checkpoints, statements, and what others say.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use strongroom_softhsm_tests::{
    evm::Draft,
    program::{binary, output},
    world::World,
};

use super::{Audited, EXAMINER, cover, failed, good, pay, refuse, settled, write_lines};
use crate::support::{CUSTOMER, sender, transfer};

#[test]
fn a_proof_stands_by_itself() {
    let (audited, daemon) = Audited::new();
    let mut client = audited.world.walletd();
    let attempt = pay(&mut client, 0..2);
    let file = audited.path("proof.json");
    let out = file.to_str().unwrap();
    let proved = good(&audited.audit_as("walletd", &["prove", "pay-1", "--out", out]));
    assert_eq!(proved["entry"]["entry"], attempt);
    let entry = audited.path("entry.json");
    audited.audit(&["prove", "--entry", "0", "--out", entry.to_str().unwrap()]);
    let request = audited.audit_as("walletd", &["prove", "pay-9"]);
    assert_eq!(failed(&request)["error"]["type"], "no-request");
    assert!(daemon.stop().success());
    for (path, index) in [(&file, attempt), (&entry, 0)] {
        let (whole, answer) = audited.verify(path);
        assert!(whole, "{answer}");
        assert_eq!(answer["entry"]["entry"], index);
    }
    let text = fs::read_to_string(&file).unwrap();
    let proof: Value = serde_json::from_str(&text).unwrap();
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut changed = proof.clone();
        change(&mut changed);
        let path = audited.path("broken.json");
        fs::write(&path, changed.to_string()).unwrap();
        let (whole, answer) = audited.verify(&path);
        assert!(!whole, "{answer}");
        answer["error"]["type"].as_str().unwrap().to_owned()
    };
    assert_eq!(broken(&|it| it["entry"]["entry"] = json!(0)), "unproved");
    assert_eq!(broken(&|it| it["path"] = json!([])), "unproved");
    assert_eq!(
        broken(&|it| it["entry"]["opening"]["body"] = json!("{}")),
        "other-body"
    );
    assert_eq!(
        broken(&|it| it["form"] = json!("strongroom-proof-v2")),
        "no-proof"
    );
    assert_eq!(broken(&|it| it["more"] = json!(1)), "no-proof");
    let note = proof["checkpoint"]
        .as_str()
        .unwrap()
        .replacen('\n', "\n1", 1);
    assert_eq!(
        broken(&|it| it["checkpoint"] = json!(note)),
        "unsigned-checkpoint"
    );
}

#[test]
fn a_checkpoint_that_is_kept_shows_an_older_copy() {
    let (audited, daemon) = Audited::new();
    let mut client = audited.world.walletd();
    settled(&mut client, 0..2);
    let kept = audited.path("kept");
    let fetch = |audited: &Audited| {
        audited.audit_as("examiner", &["checkpoint", "--out", kept.to_str().unwrap()])
    };
    let first = good(&fetch(&audited));
    assert_eq!(first.get("grown_from"), None);
    assert!(daemon.stop().success());
    let older = audited.path("older");
    let copy = |from: &Path, to: &Path| {
        let mut command = Command::new("cp");
        assert!(output(command.arg("-a").arg(from).arg(to)).status.success());
    };
    copy(&audited.world.data(), &older);
    let daemon = audited.world.start();
    let mut client = audited.world.walletd();
    settled(&mut client, 2..4);
    let second = good(&fetch(&audited));
    assert_eq!(second["grown_from"], first["size"]);
    assert!(daemon.stop().success());
    fs::remove_dir_all(audited.world.data()).unwrap();
    copy(&older, &audited.world.data());
    let _daemon = audited.world.start();
    let answer = failed(&fetch(&audited));
    let kind = answer["error"]["type"].as_str().unwrap();
    assert!(["log-shorter", "log-forked"].contains(&kind), "{answer}");
}

#[test]
fn entries_are_shown_in_words_to_whoever_may_read_them() {
    let (audited, _daemon) = Audited::new();
    let mut client = audited.world.walletd();
    refuse(&mut client, "refused");
    let attempt = pay(&mut client, 0..1);
    cover(&mut client, attempt + 1);
    let shown = audited.audit(&["show", &attempt.to_string()]);
    assert_eq!(shown["record"]["entry"]["attempt"]["request"], "pay-0");
    let tail = audited.audit(&["tail", "--lines", "1000"]);
    let kinds: BTreeSet<String> = tail
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["record"]["entry"].as_object()?.keys().next().cloned())
        .collect();
    for kind in [
        "genesis",
        "started",
        "policy-activated",
        "key-registered",
        "refused",
        "attempt",
        "signed",
    ] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
    let refused = audited.audit_as("walletd", &["show", "0"]);
    assert_eq!(failed(&refused)["error"]["type"], "not-granted");
}

#[test]
fn a_tail_that_is_followed_shows_what_comes() {
    let (audited, _daemon) = Audited::new();
    let mut client = audited.world.walletd();
    settled(&mut client, 0..1);
    let mut command = audited.command("examiner", &["tail", "--lines", "1000", "--follow"]);
    let mut tail = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("it goes on").unwrap();
        serde_json::from_str(&line).unwrap()
    };
    // It has asked by now, so that all later entries are told.
    assert_eq!(next()["entry"], 0);
    settled(&mut client, 1..2);
    let of_request = |shown: &Value| shown["record"]["entry"]["attempt"]["request"] == "pay-1";
    while !of_request(&next()) {}
    tail.kill().unwrap();
    tail.wait().unwrap();
}

#[test]
fn a_statement_is_of_a_verified_copy_alone_and_holds_every_payment_once() {
    let (audited, daemon) = Audited::new();
    let mut client = audited.world.walletd();
    refuse(&mut client, "not-allowed");
    settled(&mut client, 0..3);
    let (folder, _) = audited.export("copy");
    assert!(daemon.stop().success());
    let report = |form: &str, more: &[&str]| {
        let file = audited.path(&format!("statement-{}.{form}", more.join("-")));
        let mut command = Command::new(binary("strongroom"));
        command.args(["--json", "audit", "report", "--log-key", &audited.key]);
        command.arg(&folder).args(["--form", form]).args(more);
        let output = output(command.arg("--out").arg(&file));
        (output, fs::read_to_string(file).unwrap_or_default())
    };
    let (written, table) = report("csv", &[]);
    assert_eq!(good(&written)["refusals"], 1);
    let payments: Vec<&str> = table
        .lines()
        .filter(|row| row.contains(",payment,"))
        .collect();
    assert_eq!(payments.len(), 3);
    let columns = table.lines().next().unwrap().split(',').count();
    for (row, id) in payments.iter().zip(["pay-0", "pay-1", "pay-2"]) {
        assert_eq!(row.split(',').count(), columns, "{row}");
        for told in [
            id,
            CUSTOMER,
            "0.000000000000000001",
            ",eth,",
            ",signed,0x",
            "eth-1",
        ] {
            assert!(row.contains(told), "{told}: {row}");
        }
    }
    let (_, page) = report("html", &["--period", "day"]);
    assert!(page.contains("0.000000000000000003 eth"), "{page}");
    assert!(page.contains("not-allowed") && page.contains("signed") && page.contains("ann, ben"));
    for elsewhere in ["<script", "src=", "href=", "url(", "http://", "https://"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    let note = fs::read_to_string(folder.join("checkpoint")).unwrap();
    assert!(page.contains(note.lines().next().unwrap()));
    let (_, lines) = report("ndjson", &[]);
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| lines.iter().filter(|line| line["line"] == kind).count();
    assert_eq!((of("effect"), of("refusal")), (6, 1));
    assert!(of("event") >= 3);
    let (_, none) = report("csv", &["--to", "2020-01-01"]);
    assert_eq!(none.lines().count(), 1);
    // Nothing is told of what does not verify.
    let good_lines = super::lines(&folder);
    write_lines(&folder, &good_lines[..good_lines.len() - 1]);
    let (refused, none) = report("csv", &["--from", "2020-01-01"]);
    assert_eq!(failed(&refused)["error"]["type"], "unverified");
    assert_eq!(none, "");
}

/// How many entries a checkpoint covers, of what the device was given.
fn note_size(given: &[u8]) -> Option<u64> {
    let text = str::from_utf8(given).ok()?;
    text.strip_prefix("strongroom/")?
        .lines()
        .nth(1)?
        .parse()
        .ok()
}

/// What the device has signed, as its log would tell it, but for checkpoints that a copy of this size
/// does not hold.
fn device_log(world: &World, size: u64) -> Vec<String> {
    let signed = world.signed();
    let later = |given: &&Vec<u8>| note_size(given).is_some_and(|noted| noted > size);
    let line = |given: &Vec<u8>| {
        let digest = match given.len() {
            32 => hex::encode(given),
            _ => hex::encode(Sha256::digest(given)),
        };
        json!({ "digest": digest }).to_string()
    };
    signed
        .iter()
        .filter(|given| !later(given))
        .map(line)
        .collect()
}

/// Whether all agree, and the answer.
fn reconcile(audited: &Audited, device: &[String], chain: &[String]) -> (bool, Value) {
    let [log, export] = ["device.ndjson", "chain.ndjson"].map(|name| audited.path(name));
    fs::write(&log, device.join("\n")).unwrap();
    fs::write(&export, chain.join("\n")).unwrap();
    let mut command = Command::new(binary("strongroom"));
    command.args(["--json", "audit", "reconcile", "--log-key", &audited.key]);
    command.arg(audited.path("copy"));
    command.arg("--hsm-log").arg(log).arg("--chain").arg(export);
    let output = output(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    (output.status.success(), answer)
}

#[test]
fn what_stands_on_one_side_only_is_named() {
    let world = World::with(|bundle| bundle.append("accounts.toml", EXAMINER));
    let (audited, daemon) = Audited::on(world.with_faults());
    let mut client = audited.world.walletd();
    let from = sender(&mut client);
    let paid = [0, 1, 2].map(|nonce| {
        let draft = Draft::transfer(nonce, CUSTOMER, 1);
        client.sign(&transfer(&format!("pay-{nonce}"), &from, &draft))
    });
    cover(&mut client, paid[2].attempt + 1);
    let (folder, _) = audited.export("copy");
    assert!(daemon.stop().success());
    let size = audited.is_whole(&folder)["size"].as_u64().unwrap();
    let device = device_log(&audited.world, size);
    let chain = paid.map(|paid| {
        let txid = paid.transaction.txid;
        json!({ "chain": "eip155:31337", "txid": txid, "outcome": "success" }).to_string()
    });
    let (agrees, answer) = reconcile(&audited, &device, &chain);
    assert!(agrees, "{answer}");
    assert_eq!(answer["chain"]["matched"], 3);
    assert_eq!(answer["hsm"]["matched"], device.len());
    // A signature that nobody asked for, one that the device has not logged, a payment not on the chain.
    let count = |answer: &Value, side: &str, what: &str| {
        let items = answer[side][what].as_array();
        items.unwrap_or_else(|| panic!("{answer}")).len()
    };
    let stranger = json!({ "digest": "5a".repeat(32) }).to_string();
    let device_of_another = [&device[1..], &[stranger]].concat();
    let (agrees, answer) = reconcile(&audited, &device_of_another, &chain[1..]);
    assert!(!agrees);
    assert_eq!(count(&answer, "hsm", "unexplained"), 1, "{answer}");
    assert_eq!(count(&answer, "hsm", "journal_only"), 1, "{answer}");
    assert_eq!(count(&answer, "chain", "journal_only"), 1, "{answer}");
    // A payment that the journal does not know.
    let foreign = chain[0].replace("0x", "0xff");
    let (agrees, answer) = reconcile(&audited, &device, &[&chain[..], &[foreign]].concat());
    assert!(!agrees);
    assert_eq!(count(&answer, "chain", "unexplained"), 1, "{answer}");
}
