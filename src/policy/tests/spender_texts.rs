//! What people read before they approve that a spender may take of a token.

use proptest::prelude::*;
use strongroom_policy::{Allow, AssetUnit, Policy, ProposedTransaction, Require, approval::Says};
use tx::{
    Address, Amount, Asset, EffectKind, Transaction,
    evm::{Action, Fees, Terms, Unsigned},
};

use crate::{
    approvals::asking,
    fixture::{DAY, ETH, Signer, amount, book, effects, name, own, statement, stranger},
    hostile::runner,
    transactions::{saying, text, try_register, two},
};

fn token() -> Address {
    stranger(ETH, 99)
}

/// Approvals are allowed and need two people.
fn approving() -> Policy {
    let mut policy = asking(two());
    let usdx = AssetUnit {
        asset: Asset::erc20(token()),
        decimals: 6,
    };
    policy.assets.insert(name("usdx"), usdx);
    policy.functions.declare_token(token());
    policy.books.insert(name("pools"), book([stranger(ETH, 1)]));
    let approvals = effects(&[EffectKind::Approval]);
    let asked = Require { need: two() };
    policy.requires.push(statement("ask", approvals, asked));
    policy
}

/// An approval of a spender, as it stands in a request.
fn approval(nonce: u64, spender: u8, amount: Amount) -> Transaction {
    let fees = Fees::Eip1559 {
        max_fee_per_gas: 11_u64.into(),
        max_priority_fee_per_gas: 1_u64.into(),
    };
    let terms = Terms {
        nonce,
        gas_limit: 90_000,
        fees,
    };
    let action = Action::Approve {
        token: token(),
        spender: stranger(ETH, spender),
        amount,
    };
    Transaction::Eip2718 {
        chain: ETH,
        from: own("k1", ETH).to_string(),
        payload: Unsigned::new(ETH, terms, action).unwrap().payload(),
    }
}

/// What two people read of it.
fn read(transaction: Transaction) -> String {
    let mut signer = Signer::new(approving());
    let proposed = ProposedTransaction {
        client: name("walletd"),
        request: "s".parse().unwrap(),
        transaction,
        expires: signer.now.lo.after_millis(DAY),
    };
    let entry = try_register(&mut signer, proposed).unwrap();
    text(&signer, &saying(&signer, entry, &two(), Says::Approve))
}

#[test]
fn the_spender_and_all_that_they_may_take_stand_in_the_text() {
    let expected = |amount: &str, units: &str, known: &str, spender: &str| {
        format!(
            "\neffects 2\neffect approval\nasset eip155:1/erc20:{}\namount {amount}\nunits {units}\n\
             spender 0x{spender}\n{known}\nno tag\neffect fee\n",
            token()
        )
    };
    let fours = |byte: &str| format!("{byte} {} {byte}", vec![byte.repeat(2); 9].join(" "));
    let some = read(approval(0, 1, amount(1_500_000)));
    let wanted = expected("1500000", "1.5 usdx", "in-book pools", &fours("01"));
    assert!(some.contains(&wanted), "{wanted} in {some}");
    let endless = read(approval(0, 2, Amount::MAX));
    let digits = Amount::MAX.to_string();
    let (whole, part) = digits.split_at(digits.len() - 6);
    let wanted = expected(
        &digits,
        &format!("{whole}.{part} usdx"),
        "known-as nobody",
        &fours("02"),
    );
    assert!(endless.contains(&wanted), "{wanted} in {endless}");
    let none = read(approval(0, 1, Amount::ZERO));
    let wanted = expected("0", "0 usdx", "in-book pools", &fours("01"));
    assert!(none.contains(&wanted), "{wanted} in {none}");
}

/// Not by their hashes alone, but by what a person reads.
#[test]
fn two_approvals_never_read_the_same() {
    let any = || {
        let amounts = prop_oneof![Just(Amount::MAX), (0..4_u64).prop_map(amount)];
        (0..2_u64, 1..4_u8, amounts)
    };
    type One = (u64, u8, Amount);
    let run = |(one, other): (One, One)| {
        let said = |(nonce, spender, amount): One| {
            let text = read(approval(nonce, spender, amount));
            let hashes = ["transaction ", "signs "];
            let lines = text.lines();
            let lines = lines.filter(|line| !hashes.iter().any(|hash| line.starts_with(hash)));
            lines.collect::<Vec<_>>().join("\n")
        };
        prop_assert_eq!(one == other, said(one) == said(other));
        Ok(())
    };
    runner(200).run(&(any(), any()), run).unwrap();
}

/// Without the allow, people cannot make it happen.
#[test]
fn people_alone_let_no_approval_happen() {
    let uncovered = |policy: Policy| {
        let signer = Signer::new(policy);
        let ask = crate::fixture::Ask::evm("s", 0, 1).effect(
            EffectKind::Approval,
            5,
            Some((stranger(ETH, 1), None)),
        );
        matches!(signer.evaluate(&ask), strongroom_policy::Verdict::Refuse(_))
    };
    let mut without = approving();
    let kinds = [EffectKind::Payment, EffectKind::Fee];
    without.allows = vec![statement("moves", effects(&kinds), Allow)];
    assert!(uncovered(without));
    assert!(!uncovered(approving()));
}
