//! Anything that may happen, in any order: no withdrawal is paid twice, and in the end each is paid.

use proptest::prelude::*;
use wallet::{change::Gate, withdrawal::Stage};

use super::{
    chain::{Forget, Trouble},
    signer::Mood,
    world::{World, config},
};

#[derive(Clone, Copy, Debug)]
enum Act {
    Ask(u64),
    Mine(usize),
    /// Blocks leave the chain and more come.
    Reorganise(usize, bool),
    Evict,
    /// A transaction that was given once comes into the mempool, in place of a newer one.
    Revive(usize),
    Pass(u64),
    Crash,
    /// So many steps, then a death.
    CrashAfter(usize),
    Signer(Mood),
    Node(Option<Trouble>),
    FailCommit,
}

fn act() -> impl Strategy<Value = Act> {
    let moods = prop::sample::select(vec![
        Mood::Lost,
        Mood::AnswerLost,
        Mood::Refuses,
        Mood::Pending,
        Mood::Sealed,
    ]);
    let troubles = prop::sample::select(vec![
        None,
        None,
        Some(Trouble::Silent),
        Some(Trouble::Mute),
        Some(Trouble::Lags(1)),
        Some(Trouble::Lies(2)),
    ]);
    prop_oneof![
        4 => (1_000_u64..300_000).prop_map(Act::Ask),
        4 => (1_usize..3).prop_map(Act::Mine),
        2 => (1_usize..3, any::<bool>()).prop_map(|(depth, lose)| Act::Reorganise(depth, lose)),
        1 => Just(Act::Evict),
        2 => (0_usize..8).prop_map(Act::Revive),
        3 => (1_u64..1_000_000).prop_map(Act::Pass),
        1 => Just(Act::Crash),
        3 => (0_usize..25).prop_map(Act::CrashAfter),
        3 => moods.prop_map(Act::Signer),
        2 => troubles.prop_map(Act::Node),
        1 => Just(Act::FailCommit),
    ]
}

fn carry_out(world: &mut World, act: Act) {
    match act {
        Act::Ask(amount) => {
            world.ask(amount);
        }
        Act::Mine(count) => world.mine(count),
        Act::Reorganise(depth, lose) => {
            let forget = if lose {
                Forget::Everything
            } else {
                Forget::Nothing
            };
            let mut state = world.node.state();
            // What funds the account stays: what spends a coin that never was is stuck for good.
            if state.height() > depth as u64 + 2 {
                state.unmine(depth, forget);
                for _ in 0..=depth {
                    state.mine(vec![]);
                }
            }
        }
        Act::Evict => world.node.state().mempool.clear(),
        Act::Revive(at) => {
            let mut state = world.node.state();
            if let Some(old) = state.given.get(at).cloned() {
                state.take(old);
            }
        }
        Act::Pass(millis) => world.pass(millis),
        Act::Crash => world.restart(),
        Act::CrashAfter(steps) => {
            for _ in 0..steps {
                world.step();
            }
            world.crash();
        }
        Act::Signer(mood) => world.signer.script.push(mood),
        Act::Node(trouble) => world.node.state().trouble = trouble,
        Act::FailCommit => world.failing += 1,
    }
}

fn paid_at_most_once(world: &World) {
    for number in world.withdrawals.keys() {
        assert!(world.payments(*number) <= 1, "{number:?} is paid twice");
    }
}

/// All is well again, for a long time.
fn heal(world: &mut World) {
    world.node.state().trouble = None;
    world.signer.script.clear();
    world.failing = 0;
    world.run();
    for _ in 0..40 {
        world.pass(400_000);
        world.mine(2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn each_is_paid_exactly_once(acts in prop::collection::vec(act(), 1..50)) {
        let coins = [900_000, 700_000, 650_000, 400_000, 350_000, 300_000, 90_000, 40_000];
        let mut config = config();
        config.batch_max = 3;
        let mut world = World::with_coins(config, &coins);
        world.node.state().mine(vec![]);
        world.node.state().mine(vec![]);
        for act in acts {
            carry_out(&mut world, act);
            paid_at_most_once(&world);
        }
        heal(&mut world);
        paid_at_most_once(&world);
        prop_assert_eq!(&world.durable.row.gate, &Gate::Open);
        for (number, withdrawal) in &world.withdrawals {
            let is_final = withdrawal.stage == Stage::Final;
            prop_assert_eq!(world.payments(*number), usize::from(is_final));
        }
        // Those that are left wait for funds, and hold nothing.
        prop_assert!(world.live().is_empty(), "{:?}", world.live());
    }
}
