//! Which bundle governs, and what a wrong one gets.

use api::signing::PendingAnswer;
use policy::{
    Entry,
    bundle::{MANIFEST, SIGNATURES},
};
use rustix::process::Signal;
use strongroom_softhsm_tests::{
    ask::units,
    bundle::key,
    evm::{Draft, ETHER},
    records,
    signerd::{Signerd, signerd},
    world::World,
};

use crate::{
    security_key::{PRESENT, SecurityKey, VERIFIED},
    support::{CUSTOMER, STRANGER, sender, transfer},
};

/// Runs `--bootstrap`, which must refuse, and returns what it said.
fn not_begun(world: &World) -> String {
    let output = signerd(&world.config(), &["--bootstrap"]);
    assert!(!output.status.success());
    assert!(!world.data().join("anchor").exists());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_first_bundle_with_errors_is_named_by_file_and_line_and_begins_nothing() {
    let world = World::with(|bundle| {
        bundle.replace("statements.toml", "cap = \"20 eth\"", "cap = \"20 ether\"");
    });
    let said = not_begun(&world);
    assert!(
        said.contains("statements.toml:") && said.contains("ether"),
        "{said}"
    );
    let checked = signerd(&world.config(), &["--check"]);
    assert!(!checked.status.success());
    assert!(String::from_utf8_lossy(&checked.stderr).contains("statements.toml:"));
    // Nor is it started without a journal.
    let mut daemon = Signerd::start(&world.config(), world.health());
    let why = daemon.not_ready("--bootstrap");
    assert!(why.starts_with("sealed"), "{why}");
}

#[test]
fn a_first_bundle_without_its_limits_begins_nothing() {
    let world = World::with(|bundle| {
        bundle.replace(
            "statements.toml",
            "cap = \"20 eth\"",
            "cap = \"20 eth\"\ngroup = [\"destination\"]",
        );
    });
    let said = not_begun(&world);
    assert!(said.contains("nothing bounds the amount of eth"), "{said}");
}

#[test]
fn a_first_bundle_that_is_not_the_pinned_and_signed_one_begins_nothing() {
    let world = World::new();
    world.bundle.write(&world.policy(), 1, &["ann"]);
    assert!(not_begun(&world).contains("signed by 1 of the 2"));
    let mut other = world.bundle.clone();
    other.append("statements.toml", "\n# another\n");
    other.write(&world.policy(), 1, &["ann", "ben"]);
    assert!(not_begun(&world).contains("expected"));
    std::fs::write(world.policy().join("more.toml"), "").unwrap();
    assert!(not_begun(&world).contains("more.toml"));
    world.bundle.write(&world.policy(), 1, &["cem", "ann"]);
    world.bootstrap();
    let again = signerd(&world.config(), &["--bootstrap"]);
    assert!(!again.status.success());
}

/// Tells a daemon to reload, and waits until it has tried.
fn reload(daemon: &Signerd) {
    let tried = |daemon: &Signerd| {
        daemon.metric("signerd_reloads_total").unwrap()
            + daemon.metric("signerd_reloads_failed_total").unwrap()
    };
    let before = tried(daemon);
    daemon.signal(Signal::HUP);
    strongroom_softhsm_tests::program::until("a reload", || (tried(daemon) > before).then_some(()));
}

#[test]
fn a_wrong_bundle_at_a_reload_leaves_the_old_one_and_the_journal_says_why() {
    let world = World::new();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let running = client.keys().policy;
    let mut wider = world.bundle.clone();
    wider.append("books/customers.txt", &format!("{STRANGER}\n"));

    let mut broken = wider.clone();
    broken.append("statements.toml", "\n[[allow]]\nname = \"all\"\n");
    broken.write(&world.policy(), 2, &["ann", "ben"]);
    reload(&daemon);
    daemon.logged("names no effect and would allow every kind");
    // Right, and not signed by enough officers; by people who are none; with a file changed since.
    wider.write(&world.policy(), 2, &["ann"]);
    reload(&daemon);
    daemon.logged("signed by 1 of the 2 officers");
    wider.write(&world.policy(), 2, &["ann", "dan"]);
    reload(&daemon);
    wider.write(&world.policy(), 3, &["ann", "ben"]);
    reload(&daemon);
    daemon.logged("replaces sequence 2, running is sequence 1");
    wider.write(&world.policy(), 2, &["ann", "ben"]);
    std::fs::write(world.policy().join("books/customers.txt"), STRANGER).unwrap();
    reload(&daemon);
    daemon.logged("books/customers.txt is not the file that the manifest lists");

    assert_eq!(daemon.metric("signerd_reloads_total"), Some(0));
    assert_eq!(client.keys().policy, running);
    let stranger = transfer("stranger", &from, &Draft::transfer(0, STRANGER, 1));
    assert_eq!(client.refused(&stranger).reasons[0].code, "uncovered");
    client.sign(&transfer("good", &from, &Draft::transfer(0, CUSTOMER, 1)));
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let refused = records
        .iter()
        .filter(|record| matches!(record.entry, Entry::PolicyRefused { .. }));
    assert_eq!(refused.count(), 5);
}

/// What is no file of a bundle, or 100 MB of one, is not read; it is refused as any other, and said in the journal.
#[test]
fn a_folder_with_what_no_bundle_has_is_refused_and_the_journal_says_so() {
    let world = World::new();
    let daemon = world.start();
    let mut client = world.walletd();
    let running = client.keys().policy;
    let mut wider = world.bundle.clone();
    wider.append("books/customers.txt", &format!("{STRANGER}\n"));
    wider.write(&world.policy(), 2, &["ann", "ben"]);
    let large = world.policy().join("people.toml");
    let small = std::fs::read(&large).unwrap();
    let file = std::fs::File::create(&large).unwrap();
    file.set_len(100_000_000).unwrap();
    reload(&daemon);
    daemon.logged("people.toml is no file of a bundle, or too large for one");
    std::fs::write(&large, small).unwrap();
    let foreign = world.policy().join("NOTES.md");
    std::fs::write(&foreign, "whatever").unwrap();
    reload(&daemon);
    daemon.logged("NOTES.md is no file of a bundle, or too large for one");
    assert_eq!(client.keys().policy, running);
    assert_eq!(daemon.metric("signerd_reloads_total"), Some(0));
    std::fs::remove_file(&foreign).unwrap();
    reload(&daemon);
    client.reconnect();
    assert_ne!(client.keys().policy, running);
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let refused = records.iter().filter_map(|record| match &record.entry {
        Entry::PolicyRefused { reason, .. } => Some(reason.as_str()),
        _ => None,
    });
    let refused: Vec<&str> = refused.collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(
        refused.iter().all(|why| why.starts_with("bundle-folder: ")),
        "{refused:?}"
    );
}

#[test]
fn an_edit_in_mid_window_forgets_nothing() {
    let world = World::new();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer(
        "first",
        &from,
        &Draft::transfer(0, CUSTOMER, 4 * ETHER),
    ));
    let mut edited = world.bundle.clone();
    edited.replace(
        "statements.toml",
        "name = \"eth-day\"",
        "name = \"ether-a-day\"",
    );
    edited.replace("statements.toml", "cap = \"20 eth\"", "cap = \"5 eth\"");
    edited.write(&world.policy(), 2, &["ben", "cem"]);
    reload(&daemon);
    assert_eq!(
        daemon.metric("signerd_reloads_total"),
        Some(1),
        "{}",
        daemon.said()
    );
    assert_eq!(client.used("ether-a-day"), units(4 * ETHER));
    let over = transfer("over", &from, &Draft::transfer(1, CUSTOMER, 2 * ETHER));
    assert_eq!(
        client.refused(&over).reasons[0].statement.as_deref(),
        Some("ether-a-day")
    );
    // The bundle that governs is the journal's, also after a restart with the old folder.
    assert!(daemon.stop().success());
    world.bundle.write(&world.policy(), 1, &["ann", "ben"]);
    let _daemon = world.start();
    client.reconnect();
    assert_eq!(client.used("ether-a-day"), units(4 * ETHER));
    assert_eq!(
        client.refused(&over).reasons[0].statement.as_deref(),
        Some("ether-a-day")
    );
    client.sign(&transfer(
        "just",
        &from,
        &Draft::transfer(1, CUSTOMER, ETHER),
    ));
}

const SIX_HOURS: &str = "
[[limit]]
name = \"eth-six-hours\"
effect = \"payment\"
asset = \"eth\"
measure = \"amount\"
window = \"6h\"
cap = \"10 eth\"
";

/// "Policy edits" of the attack corpus: taking a limit out and putting it back, under whatever group, gives
/// nothing back.
#[test]
fn a_limit_that_is_taken_out_put_back_and_regrouped_forgets_nothing() {
    let world = World::with(|bundle| bundle.append("statements.toml", SIX_HOURS));
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = |nonce, ether| Draft::transfer(nonce, CUSTOMER, ether * ETHER);
    client.sign(&transfer("before", &from, &pay(0, 4)));
    assert_eq!(client.used("eth-six-hours"), units(4 * ETHER));

    let mut edited = world.bundle.clone();
    edited.replace("statements.toml", SIX_HOURS, "");
    edited.write(&world.policy(), 2, &["ann", "ben"]);
    reload(&daemon);
    client.sign(&transfer("without", &from, &pay(1, 3)));
    // Back, and regrouped: by what it was charged to then.
    for (sequence, group) in [(3, ""), (4, "account"), (5, "client"), (6, "source")] {
        let mut edited = world.bundle.clone();
        if !group.is_empty() {
            let grouped = format!("cap = \"10 eth\"\ngroup = {group:?}\n");
            edited.replace("statements.toml", "cap = \"10 eth\"\n", &grouped);
        }
        edited.write(&world.policy(), sequence, &["ann", "ben"]);
        reload(&daemon);
        assert_eq!(daemon.metric("signerd_reloads_total"), Some(sequence - 1));
        assert_eq!(client.used("eth-six-hours"), units(7 * ETHER), "{group}");
        let over = transfer(&format!("over-{sequence}"), &from, &pay(2, 4));
        let refused = client.refused(&over).reasons;
        assert_eq!(refused[0].statement.as_deref(), Some("eth-six-hours"));
    }
    client.sign(&transfer("just", &from, &pay(2, 3)));
}

#[test]
fn people_of_groups_within_groups_govern_and_are_waited_for() {
    let mut world = World::with(|bundle| {
        let officers = "officers = [\"ann\", \"ben\", \"cem\"]";
        bundle.replace("people.toml", officers, "officers = \"group:board\"");
        bundle.append(
            "people.toml",
            "\n[[group]]\nname = \"board\"\nmembers = [\"ann\", \"group:deputies\"]\n\
             \n[[group]]\nname = \"deputies\"\nmembers = [\"ben\", \"cem\"]\n",
        );
        let people = "people = [\"ann\", \"ben\"]";
        bundle.replace(
            "statements.toml",
            people,
            "people = [\"dan\", \"group:deputies\"]",
        );
    });
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let large = transfer("large", &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    let pending: PendingAnswer = client.send(&large).json();
    assert_eq!(pending.needs[0].people, ["ben", "cem", "dan"]);

    // A narrower bundle: not by dan, who is of no group; by the two deputies.
    world
        .bundle
        .replace("statements.toml", "cap = \"20 eth\"", "cap = \"5 eth\"");
    world.bundle.write(&world.policy(), 2, &["ben", "dan"]);
    reload(&daemon);
    daemon.logged("signed by 1 of the 2 officers");
    world.bundle.write(&world.policy(), 2, &["ben", "cem"]);
    reload(&daemon);
    assert_eq!(
        daemon.metric("signerd_reloads_total"),
        Some(1),
        "{}",
        daemon.said()
    );
}

#[test]
fn an_officer_at_a_security_key_counts_once_it_is_touched() {
    let cem = key("cem");
    let key = SecurityKey::of(cem.clone());
    let mut world = World::with(|bundle| {
        let in_file = cem.public_key().to_openssh().unwrap();
        bundle.replace(
            "people.toml",
            &in_file,
            &format!("verify-required {}", key.line()),
        );
    });
    let daemon = world.start();
    world
        .bundle
        .replace("statements.toml", "cap = \"20 eth\"", "cap = \"5 eth\"");
    let cem_signs = |flags: u8| {
        world.bundle.write(&world.policy(), 2, &["ben"]);
        let manifest = std::fs::read_to_string(world.policy().join(MANIFEST)).unwrap();
        let signatures = world.policy().join(SIGNATURES);
        let bens = std::fs::read_to_string(&signatures).unwrap();
        let cems = key.sign(&manifest, "strongroom-bundle-v1", flags);
        std::fs::write(signatures, bens + &cems).unwrap();
        reload(&daemon);
        daemon.metric("signerd_reloads_total")
    };
    assert_eq!(cem_signs(PRESENT), Some(0));
    daemon.logged("signed by 1 of the 2 officers");
    assert_eq!(cem_signs(PRESENT | VERIFIED), Some(1), "{}", daemon.said());
}
