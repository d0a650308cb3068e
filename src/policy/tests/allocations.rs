//! What a decision allocates.

use tx::EffectKind;

use strongroom_policy::{Group, Selector, To, Verdict, evaluate};

use crate::fixture::{
    Ask, BTC, DAY, Signer, amount, book, btc, effects, grouped, limit, name, policy, statement,
    stranger, stranger_of,
};

#[test]
fn a_decision_allocates_nothing_that_grows_with_a_book() {
    let [few, many] = [10, 20_000].map(allocated);
    assert!(few.0 > 0, "nothing was counted");
    assert_eq!(few, many);
}

/// How many allocations a decision makes beside a book of so many addresses, and their bytes.
fn allocated(addresses: u32) -> (u64, u64) {
    let mut policy = policy();
    let others = (0..addresses).map(|n| stranger_of(BTC, 1_000 + n));
    let paid = book(others.chain([stranger(BTC, 3), stranger(BTC, 4)]));
    policy.books.insert(name("payees"), paid);
    let selector = Selector {
        to: Some([To::Book(name("payees"))].into()),
        amount_max: Some(amount(50)),
        ..effects(&[EffectKind::Payment])
    };
    policy
        .allows
        .push(statement("payees", selector, strongroom_policy::Allow));
    policy.limits = vec![
        limit("day", btc(), 1_000, DAY),
        grouped(limit("each", btc(), 100, DAY), &[Group::Destination]),
    ];
    let signer = Signer::new(policy);
    let ask = Ask::utxo("pay", [1], 1).pay("a", 5, 3).pay("b", 7, 4);
    let decoded = ask.transaction.clone().decoded();
    let counted = allocation_counter::measure(|| {
        let verdict = evaluate(&signer.state, signer.now, &decoded, &ask.request);
        assert!(matches!(verdict, Ok(Verdict::Permit(_))));
    });
    (counted.count_total, counted.bytes_total)
}
