//! A bundle that allows more waits, through restarts and kills, and one officer's veto keeps it out.

use std::time::Duration;

use api::{
    governance::GovernanceAnswer,
    journal::ProofsAnswer,
    problem::ProblemKind,
    signing::{Statement, StatementAnswer},
};
use policy::{
    BundleHash, Entry, Record,
    statement::{self, Freeze, Unfreeze, Veto},
};
use rustix::process::Signal;
use strongroom_softhsm_tests::{
    bundle::{Bundle, FLEET, key},
    evm::{Draft, ETHER},
    program::{until, until_within},
    records,
    signerd::Signerd,
    world::{Client, World, problem},
};
use tlog::{leaf_hash, verify_inclusion};

use crate::{
    checkpoints::{ask_proofs, covering, hashes, log_key},
    support::{CUSTOMER, STRANGER, sender, transfer},
};

/// Longer than any of these tests runs.
pub const LONG: &str = "10d";
/// Longer than a kill and a start take, so that a bundle waits at both.
const SHORT: &str = "20s";

/// A signer whose bundles wait, and an officer's client.
pub fn world(delay: &str) -> World {
    World::with(|bundle| {
        bundle.replace(
            "people.toml",
            "delay = \"0s\"",
            &format!("delay = {delay:?}"),
        );
        bundle.replace(
            "accounts.toml",
            "verbs = [\"keys\"]",
            "verbs = [\"keys\", \"govern\"]",
        );
    })
}

/// A client that may bring statements.
pub fn officer(world: &World) -> Client {
    world.pki.client("auditor");
    world.client("auditor")
}

pub fn wider(world: &World) -> Bundle {
    let mut bundle = world.bundle.clone();
    bundle.append("books/customers.txt", &format!("{STRANGER}\n"));
    bundle
}

fn narrower(world: &World) -> Bundle {
    let mut bundle = world.bundle.clone();
    bundle.replace("statements.toml", "cap = \"20 eth\"", "cap = \"5 eth\"");
    bundle
}

pub fn reload(daemon: &Signerd) {
    let tried = |daemon: &Signerd| {
        daemon.metric("signerd_reloads_total").unwrap()
            + daemon.metric("signerd_reloads_failed_total").unwrap()
    };
    let before = tried(daemon);
    daemon.signal(Signal::HUP);
    until("a reload", || (tried(daemon) > before).then_some(()));
}

pub fn governance(client: &mut Client) -> GovernanceAnswer {
    let answer = client.get("/v1/governance");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// An officer's veto of the bundle that waits, as it is brought.
fn veto(answer: &GovernanceAnswer, officer: &str) -> Statement {
    let proposed = answer.proposed.as_ref().expect("a bundle that waits");
    let veto = Veto {
        fleet: FLEET.parse().unwrap(),
        entry: proposed.entry,
        bundle: proposed.hash.parse().unwrap(),
    };
    let (text, namespace) = (veto.to_string(), veto.header().namespace());
    let signature = statement::sign(&text, &namespace, &key(officer)).unwrap();
    Statement {
        statement: text,
        signatures: vec![signature],
    }
}

pub fn bring(client: &mut Client, statement: &Statement) -> u16 {
    let body = serde_json::to_vec(statement).unwrap();
    let answer = client.post("/v1/governance/statements", &body);
    if answer.status != 200 {
        assert_eq!(problem(&answer).kind, ProblemKind::StatementRefused);
        return answer.status;
    }
    let taken: StatementAnswer = answer.json();
    taken.receipt.unwrap().verify_statement(statement).unwrap();
    answer.status
}

fn governs(client: &mut Client, bundle: BundleHash) -> bool {
    client.reconnect();
    client.keys().policy == bundle.to_string()
}

/// The entries about bundles, of the whole log.
fn about_bundles(world: &World) -> Vec<Record> {
    let records = records::read(&world.data());
    let about = |record: &Record| {
        matches!(
            record.entry,
            Entry::PolicyActivated { .. }
                | Entry::PolicyProposed(_)
                | Entry::PolicyVetoed(_)
                | Entry::PolicyRefused { .. }
        )
    };
    records.into_iter().filter(about).collect()
}

#[test]
fn a_narrower_bundle_governs_at_once_and_a_wider_one_waits() {
    let world = world(LONG);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let lower = narrower(&world).write(&world.policy(), 2, &["ann", "ben"]);
    reload(&daemon);
    assert!(governs(&mut client, lower));
    assert_eq!(governance(&mut officer).proposed, None);
    // Back to what it was: that is more, now.
    let higher = world.bundle.write(&world.policy(), 3, &["ann", "ben"]);
    reload(&daemon);
    daemon.logged("limit \\\"eth-day\\\" is gone or restricts less");
    assert!(governs(&mut client, lower));
    let waits = governance(&mut officer).proposed.unwrap();
    assert_eq!(waits.hash, higher.to_string());
    assert_eq!(waits.signed_by, ["ann", "ben"]);
    let large = transfer("large", &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    assert_eq!(client.refused(&large).reasons[0].code, "limit");
    // Whoever has no grant sees nothing of it and says nothing about it.
    assert_eq!(client.get("/v1/governance").status, 403);
    let statement = serde_json::to_vec(&veto(&governance(&mut officer), "ann")).unwrap();
    assert_eq!(
        client.post("/v1/governance/statements", &statement).status,
        403
    );
}

#[test]
fn one_officer_vetoes_and_the_bundle_is_refused_from_then_on() {
    let world = world(LONG);
    let daemon = world.start();
    let mut officer = officer(&world);
    let bundle = wider(&world).write(&world.policy(), 2, &["ann", "ben"]);
    reload(&daemon);
    let waiting = governance(&mut officer);
    // By somebody who is no officer, of another bundle, and changed by a byte.
    assert_eq!(bring(&mut officer, &veto(&waiting, "dan")), 422);
    let mut other = waiting.clone();
    other.proposed.as_mut().unwrap().entry += 1;
    assert_eq!(bring(&mut officer, &veto(&other, "cem")), 422);
    let mut changed = veto(&waiting, "cem");
    changed.statement = changed.statement.replace("entry", "Entry");
    assert_eq!(bring(&mut officer, &changed), 422);
    assert_eq!(governance(&mut officer).proposed, waiting.proposed);
    // By one who did not sign the bundle.
    assert_eq!(bring(&mut officer, &veto(&waiting, "cem")), 200);
    assert_eq!(governance(&mut officer).proposed, None);
    assert_eq!(bring(&mut officer, &veto(&waiting, "cem")), 422);
    reload(&daemon);
    daemon.logged("an officer vetoed bundle");
    daemon.kill();
    let daemon = world.start();
    officer.reconnect();
    assert_eq!(governance(&mut officer).proposed, None);
    assert!(daemon.stop().success());
    let entries: Vec<Entry> = about_bundles(&world).into_iter().map(|r| r.entry).collect();
    let [
        Entry::PolicyActivated { .. },
        Entry::PolicyProposed(proposed),
        Entry::PolicyVetoed(vetoed),
        refused @ ..,
    ] = &entries[..]
    else {
        panic!("{entries:?}");
    };
    assert_eq!((proposed.hash, vetoed.bundle), (bundle, bundle));
    assert_eq!(vetoed.by.signed_by, ["cem".parse().unwrap()].into());
    assert_eq!(refused.len(), 2);
    for refused in refused {
        let Entry::PolicyRefused { reason } = refused else {
            panic!("{refused:?}");
        };
        assert!(reason.starts_with("bundle-not-taken: "), "{reason}");
    }
}

#[test]
fn a_bundle_waits_through_a_kill_and_governs_when_its_time_has_come() {
    let world = world(SHORT);
    // It is asked again and again which bundle governs.
    world.configure("[bounds]\nrequests_per_second = 100000");
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let bundle = wider(&world).write(&world.policy(), 2, &["ann", "ben"]);
    reload(&daemon);
    daemon.kill();
    // Its folder may be gone by then: it is kept, and verified again.
    std::fs::remove_dir_all(world.policy()).unwrap();
    world.bundle.write(&world.policy(), 1, &["ann", "ben"]);
    let daemon = world.start();
    client.reconnect();
    let mut officer = officer(&world);
    let waiting = governance(&mut officer).proposed.unwrap();
    assert_eq!(waiting.hash, bundle.to_string());
    until_within(Duration::from_secs(120), "the bundle to govern", || {
        governs(&mut client, bundle).then_some(())
    });
    officer.reconnect();
    assert_eq!(governance(&mut officer).proposed, None);
    client.sign(&transfer(
        "stranger",
        &from,
        &Draft::transfer(0, STRANGER, 1),
    ));
    // What its entry says, a start finds again.
    daemon.kill();
    let daemon = world.start();
    assert!(governs(&mut client, bundle));
    assert!(daemon.stop().success());
    let records = about_bundles(&world);
    let proposed = records.iter().find_map(|record| match &record.entry {
        Entry::PolicyProposed(proposed) => Some((record.time.lo, proposed.not_before)),
        _ => None,
    });
    let (at, not_before) = proposed.unwrap();
    assert_eq!(not_before.millis_since(at), 20_000);
    let turned = records.iter().rev().find_map(|record| match &record.entry {
        Entry::PolicyActivated { hash, .. } if *hash == bundle => Some(record.time.lo),
        _ => None,
    });
    assert!(turned.unwrap() >= not_before);
}

#[test]
fn what_waits_is_put_aside_by_a_narrower_bundle() {
    let world = world(LONG);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    wider(&world).write(&world.policy(), 2, &["ann", "ben"]);
    reload(&daemon);
    // A second one does not take its place.
    let mut more = wider(&world);
    more.append("statements.toml", "\n# another\n");
    more.write(&world.policy(), 2, &["ann", "cem"]);
    reload(&daemon);
    daemon.logged("waits already; one officer can veto it");
    assert!(governance(&mut officer).proposed.is_some());
    let lower = narrower(&world);
    let mut lower = lower.clone();
    lower.append("statements.toml", "\n");
    let lower = lower.write(&world.policy(), 2, &["ben", "cem"]);
    reload(&daemon);
    assert!(governs(&mut client, lower));
    officer.reconnect();
    assert_eq!(governance(&mut officer).proposed, None);
}

/// What one or more officers say of a freeze.
fn about_freeze(header: &statement::Header, text: String, officers: &[&str]) -> Statement {
    let namespace = header.namespace();
    let sign = |officer: &&str| statement::sign(&text, &namespace, &key(officer)).unwrap();
    Statement {
        signatures: officers.iter().map(sign).collect(),
        statement: text,
    }
}

pub fn freeze(answer: &GovernanceAnswer, scope: &str, officer: &str) -> Statement {
    let freeze = Freeze {
        fleet: FLEET.parse().unwrap(),
        unfrozen: answer.unfrozen,
        scope: scope.parse().unwrap(),
    };
    about_freeze(&freeze.header(), freeze.to_string(), &[officer])
}

fn unfreeze(answer: &GovernanceAnswer, scope: &str, officers: &[&str]) -> Statement {
    let frozen = answer.freezes.iter().find(|one| one.scope == scope);
    let unfreeze = Unfreeze {
        fleet: FLEET.parse().unwrap(),
        entry: frozen.expect("it is frozen").entry,
        scope: scope.parse().unwrap(),
    };
    about_freeze(&unfreeze.header(), unfreeze.to_string(), officers)
}

/// What officers decide is proved as a payment is.
#[test]
fn the_receipt_of_a_freeze_is_proved_under_a_checkpoint() {
    let world = world(LONG).with_checkpoints();
    let _daemon = world.start();
    let mut client = world.walletd();
    let mut officer = officer(&world);
    let stop = freeze(&governance(&mut officer), "everything", "ann");
    let body = serde_json::to_vec(&stop).unwrap();
    let answer: StatementAnswer = officer.post("/v1/governance/statements", &body).json();
    let receipt = answer.receipt.unwrap();
    receipt.verify_statement(&stop).unwrap();
    assert_eq!(governance(&mut officer).freezes[0].entry, receipt.entry);
    let key = log_key(&mut client);
    let head = *covering(&mut client, &key, receipt.entry).head();
    let proofs: ProofsAnswer = ask_proofs(&mut client, head.size, &[receipt.entry]).json();
    let leaf = leaf_hash(&receipt.leaf().unwrap());
    verify_inclusion(leaf, receipt.entry, &head, &hashes(&proofs.proofs[0].path)).unwrap();
}

#[test]
fn one_officer_freezes_and_it_takes_enough_of_them_to_lift_it() {
    let world = world(LONG);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let first = transfer("first", &from, &Draft::transfer(0, CUSTOMER, 1));
    client.sign(&first);
    let before = governance(&mut officer);
    assert_eq!((before.freezes.len(), before.unfrozen), (0, 0));
    assert_eq!(
        bring(&mut officer, &freeze(&before, "account eth-hot", "dan")),
        422
    );
    let stop = freeze(&before, "account eth-hot", "ann");
    assert_eq!(bring(&mut officer, &stop), 200);
    assert_eq!(bring(&mut officer, &stop), 422);
    // What was signed is withheld, what is asked is refused, also after a kill.
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    officer.reconnect();
    assert_eq!(problem(&client.send(&first)).kind, ProblemKind::Withheld);
    let second = transfer("second", &from, &Draft::transfer(1, CUSTOMER, 1));
    assert_eq!(client.refused(&second).reasons[0].code, "frozen");
    let frozen = governance(&mut officer);
    assert_eq!(frozen.freezes[0].scope, "account eth-hot");
    // One cannot lift it, nor two about another entry.
    let scope = "account eth-hot";
    assert_eq!(
        bring(&mut officer, &unfreeze(&frozen, scope, &["ann"])),
        422
    );
    let mut other = frozen.clone();
    other.freezes[0].entry -= 1;
    assert_eq!(
        bring(&mut officer, &unfreeze(&other, scope, &["ann", "ben"])),
        422
    );
    assert_eq!(
        bring(&mut officer, &unfreeze(&frozen, scope, &["ann", "ben"])),
        200
    );
    let lifted = governance(&mut officer);
    assert!(lifted.freezes.is_empty() && lifted.unfrozen > frozen.freezes[0].entry);
    // What was charged before is held for ever; what is asked now is signed.
    assert_eq!(problem(&client.send(&first)).kind, ProblemKind::Withheld);
    client.sign(&second);
    // Nor does the old statement freeze again.
    assert_eq!(bring(&mut officer, &stop), 422);
    assert_eq!(
        bring(&mut officer, &freeze(&lifted, "everything", "cem")),
        200
    );
    let third = transfer("third", &from, &Draft::transfer(2, CUSTOMER, 1));
    assert_eq!(client.refused(&third).reasons[0].code, "frozen");
    assert!(daemon.stop().success());
}
