//! A journal that is not as it was left seals the daemon, each damage by a name of its own, and not a
//! byte of it is changed.

use std::{collections::BTreeSet, net::TcpStream};

use api::signing::SignAnswer;
use policy::Entry;
use strongroom_softhsm_tests::{
    evm::Draft,
    image::{Image, PAGE},
    world::{Client, World},
};

use crate::support::{CUSTOMER, sender, transfer};

fn pay(client: &mut Client, nonce: u64) -> SignAnswer {
    let from = sender(client);
    let id = format!("pay-{nonce}");
    client.sign(&transfer(&id, &from, &Draft::transfer(nonce, CUSTOMER, 1)))
}

/// What the damages are made of.
struct Copies {
    /// After one payment.
    older: Image,
    /// After a second one, with further segments.
    base: Image,
    /// As long as `base` from the older one on, and other.
    fork: Image,
    /// Another appliance's.
    foreign: Image,
}

fn jump(millis: i64) -> Entry {
    Entry::ClockJump { millis }
}

/// Stops only once a checkpoint covers all that was signed.
fn copies(world: &World) -> Copies {
    let mut stages = Vec::new();
    for nonce in 0..2 {
        let daemon = world.start();
        pay(&mut world.walletd(), nonce);
        assert!(daemon.stop().success());
        stages.push(Image::of(&world.data()));
    }
    let newer = stages.pop().unwrap().grown(7, &jump(1));
    let older = stages.pop().unwrap();
    Copies {
        fork: older.grown(60, &jump(2)),
        foreign: foreign(),
        base: newer,
        older,
    }
}

fn foreign() -> Image {
    let world = World::with(|bundle| bundle.append("accounts.toml", "\n# Another site's.\n"));
    assert!(world.start().stop().success());
    Image::of(&world.data()).grown(9, &jump(3))
}

/// What is done to a file, and the name it must have.
type Case = (&'static str, Image);

const SEGMENTS: [&str; 3] = ["0000000000.seg", "0000000001.seg", "0000000002.seg"];

/// Files that are gone, in another's place, or damaged.
fn damages(Copies { base, foreign, .. }: &Copies) -> Vec<Case> {
    let [first, second, third] = SEGMENTS;
    assert_eq!(base.segments(), SEGMENTS);
    let of = |text: &str| base.place(first, text.as_bytes());
    let cut = |at: usize| {
        let mut cut = base.clone();
        cut.file(second).truncate(at);
        cut
    };
    vec![
        ("journal-missing", base.clone().without(|_| true)),
        (
            "log-missing",
            base.clone().without(|name| name.ends_with(".seg")),
        ),
        (
            "segment-missing",
            base.clone().without(|name| name == second),
        ),
        (
            "segment-unnamed",
            base.clone().with("last.seg", base, third),
        ),
        (
            "segment-misplaced",
            base.clone()
                .with(second, base, third)
                .with(third, base, second),
        ),
        (
            "segment-cut-short",
            base.clone().with("0000000003.seg", base, third),
        ),
        (
            "segment-foreign",
            base.clone().with(second, foreign, second),
        ),
        ("segment-header-damaged", base.clone().flipped(second, 40)),
        ("segment-discontinuous", cut(PAGE + 512)),
        ("segment-cut-short", cut(PAGE + 700)),
        (
            "group-damaged-within",
            base.clone().flipped(first, of("\"attempt\"")),
        ),
        (
            "last-group-damaged",
            base.clone().flipped(third, base.last_byte(third) - 150),
        ),
        ("body-tree-mismatch", base.clone().forged(second)),
        (
            "anchor-missing",
            base.clone().without(|name| name == "anchor"),
        ),
        ("anchor-damaged", base.clone().flipped("anchor", 60)),
        (
            "anchor-foreign",
            base.clone().with("anchor", foreign, "anchor"),
        ),
        (
            "bundle-missing",
            base.clone().without(|name| name.starts_with("bundles/")),
        ),
    ]
}

/// Whole journals that are not the one that was left here.
fn restored(copies: &Copies) -> Vec<Case> {
    let Copies {
        older,
        base,
        fork,
        foreign,
    } = copies;
    let genesis = Entry::Genesis {
        fleet: "tests".parse().unwrap(),
    };
    let unremembered = |image: &Image| image.clone().without(|name| name == "checkpoint");
    vec![
        (
            "shorter-than-anchor",
            unremembered(older).with("anchor", base, "anchor"),
        ),
        (
            "forked-from-anchor",
            unremembered(fork).with("anchor", base, "anchor"),
        ),
        (
            "shorter-than-checkpoint",
            older.clone().with("checkpoint", base, "checkpoint"),
        ),
        (
            "forked-from-checkpoint",
            fork.clone().with("checkpoint", base, "checkpoint"),
        ),
        ("journal-foreign", foreign.clone()),
        ("entry-impossible", base.grown(1, &genesis)),
    ]
}

#[test]
fn each_damage_and_each_restored_copy_seals_by_its_own_name_and_nothing_is_changed() {
    let world = World::new().with_checkpoints();
    let copies = copies(&world);
    let mut seen = BTreeSet::new();
    for (name, found) in damages(&copies).into_iter().chain(restored(&copies)) {
        found.restore(&world.data());
        let mut daemon = world.relaunch();
        let why = daemon.not_ready("sealed: ");
        assert!(
            why.starts_with(&format!("sealed: {name}: ")),
            "{name}: {why}"
        );
        assert_eq!(daemon.metric("signerd_sealed"), Some(1));
        let by = format!("signerd_sealed_by{{name=\"{name}\"}}");
        assert_eq!(daemon.metric(&by), Some(1), "{name}");
        daemon.logged(&format!("\"seal\":\"{name}\""));
        assert!(
            TcpStream::connect(world.api()).is_err(),
            "{name} serves an API"
        );
        assert_eq!(daemon.stop().code(), Some(78), "{name}");
        assert!(
            Image::of(&world.data()) == found,
            "{name}: a sealed journal was written to"
        );
        seen.insert(name);
    }
    assert!(seen.len() >= 22, "{seen:?}");
    // What they were made of is whole.
    for whole in [&copies.base, &copies.fork, &copies.older] {
        whole.restore(&world.data());
        assert!(world.relaunch().ready().stop().success());
    }
}
