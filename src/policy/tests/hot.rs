//! The hot state: one spelling, which follows from the entries and from nothing else.

use proptest::{prelude::*, sample::Index, strategy::ValueTree as _, test_runner::TestRunner};
use strongroom_policy::{
    Checkpoint, Digest, Entry, FreezeScope, HotState, HotStateError, KeyAlgorithm, KeyPurpose,
    KeyRegistration, State,
};

use crate::{
    fixture::{Ask, DAY, Signer, name, policy, registration},
    hostile::{Hostile, Step, runner, runs},
};

fn log_key() -> KeyRegistration {
    KeyRegistration {
        purpose: KeyPurpose::Checkpoint,
        algorithm: KeyAlgorithm::Ed25519,
        ..registration("log-1", &"ab".repeat(32))
    }
}

fn freeze(account: &str) -> Entry {
    Entry::Frozen {
        scope: FreezeScope::Account(name(account)),
        reason: "test".into(),
    }
}

/// What a history leaves: attempts, a checkpoint, and freezes of accounts that nobody uses.
fn live(steps: &[Step]) -> Signer {
    let mut signer = Signer::new(policy());
    signer.push(Entry::KeyRegistered(log_key()));
    let mut hostile = Hostile::new(&signer);
    hostile.live(steps);
    let mut signer = hostile.signer;
    signer.push(Entry::Checkpoint(Checkpoint {
        size: signer.state.entries(),
        root: Digest([7; 32]),
        key: name("log-1"),
        call: signer.state.next_call(),
    }));
    signer.push(freeze("nobody"));
    signer.push(freeze("no-one"));
    signer
}

fn lived() -> HotState {
    let steps = runs(12).new_tree(&mut TestRunner::deterministic());
    live(&steps.unwrap().current()).state.hot()
}

fn text(hot: &HotState) -> String {
    String::from_utf8(hot.encode().unwrap()).unwrap()
}

fn decode(text: &str) -> Result<HotState, HotStateError> {
    HotState::decode(text.as_bytes())
}

const WHOLE: &str = r#"{"v":2,"entries":9,"time":{"lo":"2026-11-20T12:00:00Z","hi":"2026-11-20T12:00:00.001Z"},"fleet":"main","first":"0505050505050505050505050505050505050505050505050505050505050505","active":{"hash":"0101010101010101010101010101010101010101010101010101010101010101","sequence":3},"next_call":2,"to_cover":8,"checkpoint":{"size":8,"root":"0202020202020202020202020202020202020202020202020202020202020202","key":"log-1","call":1},"rooted":6,"pruned":3,"registrations":[{"name":"log-1","purpose":"checkpoint","algorithm":"ed25519","public":"ab","device":"1","assurance":"software"},{"name":"log-2","purpose":"checkpoint","algorithm":"ed25519","public":"ac","device":"1","assurance":"software"}],"sequences":{"eip155:1:0x52908400098527886E0F7030069857D2E4169EE7":7},"lanes":{"bitcoin:mainnet:hot":0,"eip155:1:0x52908400098527886E0F7030069857D2E4169EE7":1},"authorised":{"a":1,"b":2},"freezes":[{"scope":"all","at":4},{"scope":{"account":"hot"},"at":5}],"resumed":["0303030303030303030303030303030303030303030303030303030303030303"],"lost":[{"size":5,"root":"0404040404040404040404040404040404040404040404040404040404040404"}],"epoch":{"number":2,"from":7,"at":"2026-11-20T12:00:00Z","lanes":7,"next":{"k1":{"eip155:1":41}},"drains":{"k1":{"bitcoin:mainnet":"bitcoin:mainnet:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}}}}"#;

#[test]
fn a_hot_state_has_one_form_for_ever() {
    let hot = decode(WHOLE).unwrap();
    assert_eq!(text(&hot), WHOLE);
    assert_eq!((hot.entries(), hot.active().unwrap().0), (9, [1; 32]));
    let hash = hot.hash().unwrap().to_string();
    let expected = "95038f6996c075dd751910461fb6bc99b34701e8789399896523ffe85fcc92a0";
    assert_eq!(hash, expected);
}

#[test]
fn every_other_spelling_is_refused() {
    let spelt = |from: &str, to: &str| {
        let other = WHOLE.replacen(from, to, 1);
        assert_ne!(other, WHOLE, "{from}");
        assert!(decode(&other).is_err(), "{from} as {to}");
    };
    for (from, to) in [
        ("{\"v\"", " {\"v\""),
        ("}}}}", "}}}} "),
        ("\"v\":2,\"entries\":9", "\"entries\":9,\"v\":2"),
        ("\"v\":2,", "\"v\":2,\"v\":2,"),
        ("\"v\":2,", "\"v\":2,\"w\":1,"),
        ("\"entries\":9", "\"entries\":9.0"),
        ("\"entries\":9,", ""),
        ("main", "m\\u0061in"),
        ("12:00:00Z", "12:00:00.000Z"),
        ("\"public\":\"ab\"", "\"public\":\"\\u0061b\""),
        ("\"a\":1,\"b\":2", "\"b\":2,\"a\":1"),
        ("\"a\":1,\"b\":2", "\"a\":1,\"a\":1,\"b\":2"),
        ("0x52908400098527886E0F", "0x52908400098527886e0f"),
        ("\"public\":\"ab\"", "\"public\": \"ab\""),
    ] {
        spelt(from, to);
    }
}

/// A list in another order, or with a thing twice, would be a second spelling of the same state.
#[test]
fn lists_are_sorted_and_have_each_thing_once() {
    let key = |n: u8| {
        let fields = r#""purpose":"checkpoint","algorithm":"ed25519""#;
        format!(
            r#"{{"name":"log-{n}",{fields},"public":"a{}","device":"1","assurance":"software"}}"#,
            if n == 1 { 'b' } else { 'c' }
        )
    };
    let freezes = [
        r#"{"scope":"all","at":4}"#,
        r#"{"scope":{"account":"hot"},"at":5}"#,
    ];
    for [one, two] in [[key(1), key(2)], freezes.map(str::to_owned)] {
        let sorted = format!("{one},{two}");
        for other in [
            format!("{two},{one}"),
            format!("{one},{one},{two}"),
            format!("{one},{two},{two}"),
        ] {
            let text = WHOLE.replacen(&sorted, &other, 1);
            assert_ne!(text, WHOLE);
            let refused = decode(&text);
            assert!(matches!(refused, Err(HotStateError::Spelling)), "{other}");
        }
    }
}

#[test]
fn what_is_no_hot_state_is_named() {
    let newer = WHOLE.replacen("\"v\":2", "\"v\":300,\"more\":{}", 1);
    let refused = decode(&newer);
    assert!(matches!(
        refused,
        Err(HotStateError::Version { found: 300 })
    ));
    for bytes in ["", "{}", "[]", "null", "{\"v\":2}", "x"] {
        assert!(matches!(decode(bytes), Err(HotStateError::Form(_))));
    }
    let long = " ".repeat(HotState::BYTES_MAX + 1);
    assert!(matches!(decode(&long), Err(HotStateError::TooLong)));
    let deep = format!("{{\"v\":2,\"fleet\":{}", "[".repeat(100_000));
    assert!(matches!(decode(&deep), Err(HotStateError::Form(_))));
}

/// A flipped bit is refused, or makes another state with another hash.
#[test]
fn no_flipped_bit_says_the_same() {
    for hot in [lived(), decode(WHOLE).unwrap()] {
        let bytes = hot.encode().unwrap();
        let mut taken = 0;
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = HotState::decode(&flipped) {
                assert_ne!(other, hot, "bit {bit}");
                assert_ne!(other.hash().unwrap(), hot.hash().unwrap(), "bit {bit}");
                taken += 1;
            }
        }
        assert!(taken > 0, "a digit can be another digit");
        for end in 0..bytes.len() {
            assert!(HotState::decode(&bytes[..end]).is_err());
        }
    }
}

#[test]
fn it_comes_back_from_any_history_at_any_entry() {
    let run = |steps: Vec<Step>| {
        let signer = live(&steps);
        let mut state = State::new();
        let mut before: Option<(HotState, Vec<u8>)> = None;
        for (index, record) in (0..).zip(&signer.records) {
            state.apply(index, record).unwrap();
            let hot = state.hot();
            let bytes = hot.encode().unwrap();
            prop_assert_eq!(&HotState::decode(&bytes).unwrap(), &hot);
            if let Some((old, old_bytes)) = &before {
                prop_assert!(*old != hot && *old_bytes != bytes);
            }
            before = Some((hot, bytes));
        }
        // Another fold, with other hash tables; a policy that governs; time that passes.
        let mut lived = signer.state;
        prop_assert_eq!(lived.hot(), state.hot());
        let hash = lived.hot().hash().unwrap();
        lived.advance(signer.now.lo.after_millis(90 * DAY)).unwrap();
        prop_assert_eq!(lived.hot().hash().unwrap(), hash);
        Ok(())
    };
    runner(100).run(&runs(10), run).unwrap();
}

/// Two histories with the same entries in another order, where the order means nothing.
fn in_order(keys: &[KeyRegistration], lanes: &[usize]) -> HotState {
    let mut signer = Signer::new(policy());
    signer.push(Entry::KeyRegistered(log_key()));
    for key in keys {
        signer.push(Entry::KeyRegistered(key.clone()));
    }
    for lane in lanes {
        let id = format!("r{lane}");
        let asks = [
            Ask::evm(&id, 0, 100).pay(&id, 5, 1),
            Ask::evm(&id, 0, 100).from("hot2", "k3").pay(&id, 5, 1),
            Ask::utxo(&id, [0], 1_000).pay(&id, 5, 1),
            Ask::utxo(&id, [1], 1_000).pay(&id, 5, 2).client("other"),
        ];
        signer.charged(&asks[*lane]);
    }
    signer.state.hot()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn histories_that_fold_to_one_state_have_one_encoding(
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 0..8),
    ) {
        let key = |n: u8| KeyRegistration {
            purpose: KeyPurpose::Test,
            ..registration(&format!("t{n}"), &hex::encode([n; 33]))
        };
        let (mut keys, mut lanes): (Vec<_>, _) = ((0..4).map(key).collect(), [0, 1, 2, 3]);
        let sorted = in_order(&keys, &lanes);
        for (one, other) in &swaps {
            keys.swap(one.index(4), other.index(4));
            lanes.swap(one.index(4), other.index(4));
        }
        let shuffled = in_order(&keys, &lanes);
        prop_assert_eq!(text(&shuffled), text(&sorted));
        prop_assert_eq!(shuffled, sorted);
    }

    #[test]
    fn two_states_are_equal_exactly_where_their_bytes_are(
        one in runs(2), other in runs(2),
    ) {
        let (one, other) = (live(&one).state.hot(), live(&other).state.hot());
        let same = one == other;
        prop_assert_eq!(text(&one) == text(&other), same);
        prop_assert_eq!(one.hash().unwrap() == other.hash().unwrap(), same);
    }
}

#[test]
fn before_the_first_entry_it_is_empty() {
    let hot = State::new().hot();
    assert_eq!((hot.entries(), hot.active()), (0, None));
    assert_eq!(HotState::decode(&hot.encode().unwrap()).unwrap(), hot);
}
