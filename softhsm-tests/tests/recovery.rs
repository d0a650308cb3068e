//! The recovery set on the real daemon: what it signed waits under a freeze, and nowhere else.

use api::{
    governance::{GovernanceAnswer, ProposedBundle},
    signing::Statement,
};
use policy::{
    BundleQuorum, Entry, FreezeScope,
    statement::{self, Freeze, Header, Unfreeze, Veto},
};
use strongroom_softhsm_tests::{
    bundle::{Bundle, FLEET, RECOVERY, key},
    records,
    world::{Client, World},
};

use crate::proposals::{governance, officer, reload};

fn person(name: &str) -> String {
    let line = key(name).public_key().to_openssh().unwrap();
    format!("\n[[person]]\nname = {name:?}\nkeys = [{line:?}]\n")
}

fn world() -> World {
    World::with(|bundle| {
        let people = RECOVERY.map(person).concat();
        bundle.append("people.toml", &people);
        bundle.set(
            "recovery.toml",
            &format!(
                "[heartbeat]\nwithin = \"90d\"\n[recovery]\npeople = {RECOVERY:?}\nthreshold = 2\ndelay = \"7d\"\n"
            ),
        );
        bundle.replace(
            "accounts.toml",
            "verbs = [\"keys\"]",
            "verbs = [\"keys\", \"govern\"]",
        );
    })
}

/// Dan takes ann's place.
fn replaced(world: &World) -> Bundle {
    let mut bundle = world.bundle.clone();
    bundle.replace(
        "people.toml",
        "officers = [\"ann\", \"ben\", \"cem\"]",
        "officers = [\"dan\", \"ben\", \"cem\"]",
    );
    bundle
}

fn say(client: &mut Client, header: &Header, text: String, people: &[&str]) -> u16 {
    let namespace = header.namespace();
    let sign = |person: &&str| statement::sign(&text, &namespace, &key(person)).unwrap();
    let statement = Statement {
        signatures: people.iter().map(sign).collect(),
        statement: text.clone(),
    };
    let body = serde_json::to_vec(&statement).unwrap();
    client.post("/v1/governance/statements", &body).status
}

fn freeze(client: &mut Client) {
    let freeze = Freeze {
        fleet: FLEET.parse().unwrap(),
        unfrozen: governance(client).unfrozen,
        scope: FreezeScope::All,
    };
    let said = say(client, &freeze.header(), freeze.to_string(), &["cem"]);
    assert_eq!(said, 200);
}

fn unfreeze(client: &mut Client) {
    let unfreeze = Unfreeze {
        fleet: FLEET.parse().unwrap(),
        entry: governance(client).freezes[0].entry,
        scope: FreezeScope::All,
    };
    let text = unfreeze.to_string();
    assert_eq!(say(client, &unfreeze.header(), text, &["ann", "ben"]), 200);
}

fn waits(answer: &GovernanceAnswer) -> Option<&ProposedBundle> {
    answer.proposed.as_ref()
}

#[test]
fn what_the_recovery_set_signed_waits_under_a_freeze_until_it_is_lifted_or_vetoed() {
    let world = world();
    let daemon = world.start();
    let mut officer = officer(&world);
    let shown = governance(&mut officer).recovery.unwrap();
    assert_eq!((shown.threshold, shown.delay_secs), (2, 7 * 86_400));
    let offered = replaced(&world);
    // Not while anything is signed, not by one, and not more than people.
    let hash = offered.write(&world.policy(), 2, &["rita", "roy"]);
    reload(&daemon);
    daemon.logged("replaces people while everything is frozen alone");
    freeze(&mut officer);
    offered.write(&world.policy(), 2, &["rita", "dan"]);
    reload(&daemon);
    daemon.logged("signed by 0 of the 2 officers");
    let mut more = offered.clone();
    more.replace("statements.toml", "cap = \"20 eth\"", "cap = \"5 eth\"");
    more.write(&world.policy(), 2, &["rita", "roy"]);
    reload(&daemon);
    daemon.logged("the recovery set signed it, and it changes a limit");
    assert_eq!(waits(&governance(&mut officer)), None);

    assert_eq!(offered.write(&world.policy(), 2, &["rita", "roy"]), hash);
    reload(&daemon);
    let answer = governance(&mut officer);
    let waiting = waits(&answer).expect("a bundle that waits").clone();
    assert!(waiting.by_recovery && waiting.hash == hash.to_string());
    assert_eq!(waiting.signed_by, ["rita", "roy"]);
    let waited = waiting.not_before.millis_since(answer.time.lo);
    assert!(
        (7 * 86_400_000 - 600_000..=7 * 86_400_000).contains(&waited),
        "{waited} ms"
    );
    // A kill changes nothing; whoever lifts the freeze puts it aside.
    daemon.kill();
    let daemon = world.start();
    officer.reconnect();
    assert_eq!(waits(&governance(&mut officer)), Some(&waiting));
    unfreeze(&mut officer);
    let answer = governance(&mut officer);
    assert_eq!((waits(&answer), answer.sequence), (None, 1));
    // Offered again, and vetoed by an officer who is still there.
    freeze(&mut officer);
    reload(&daemon);
    let again = waits(&governance(&mut officer))
        .expect("a bundle that waits")
        .clone();
    let veto = Veto {
        fleet: FLEET.parse().unwrap(),
        entry: again.entry,
        bundle: hash,
    };
    let text = || veto.to_string();
    assert_eq!(say(&mut officer, &veto.header(), text(), &["rob"]), 422);
    assert_eq!(say(&mut officer, &veto.header(), text(), &["ben"]), 200);
    assert_eq!(waits(&governance(&mut officer)), None);
    assert!(daemon.stop().success());
    told(&world);
}

/// What the log says of it.
fn told(world: &World) {
    let records = records::read(&world.data());
    let quorums = records.iter().filter_map(|record| match &record.entry {
        Entry::PolicyProposed(proposed) => Some(proposed.quorum),
        _ => None,
    });
    assert_eq!(quorums.collect::<Vec<_>>(), [BundleQuorum::Recovery; 2]);
    let refused = records.iter().filter_map(|record| match &record.entry {
        Entry::PolicyRefused { reason } => reason.split_once(':').map(|(name, _)| name),
        _ => None,
    });
    let refused: Vec<&str> = refused.collect();
    assert_eq!(
        refused[..3],
        [
            "bundle-recovery-frozen",
            "bundle-quorum",
            "bundle-recovery-differs"
        ]
    );
}
