//! The chain is the oracle: what accepted transactions take from own accounts on real engines is at
//! most what the signer declared.

use alloy_primitives::U256;
use policy::Entry;
use strongroom_softhsm_tests::{
    anvil::Anvil,
    ask::{intent, request},
    coins::{self, Previous, foreign_script},
    evm::{Draft, ETHER, Envelope, GWEI, on},
    random::Random,
    world::World,
};
use tx::EffectKind;

use crate::support::{BITCOIN, EVM, coin_scripts, eth, payment, raw, sender};

/// How many accepted transactions are run.
const ACCEPTED: u64 = 300;

/// What the signer's decision says can leave: payments and fees, in base units.
fn declared(receipt: &api::signing::Receipt) -> U256 {
    let record: policy::Record = serde_json::from_str(&receipt.body).unwrap();
    let Entry::Attempt(attempt) = record.entry else {
        panic!("{}", receipt.body)
    };
    let outward = attempt.facts.iter().map(|fact| &fact.effect);
    let outward =
        outward.filter(|effect| matches!(effect.kind, EffectKind::Payment | EffectKind::Fee));
    outward
        .map(|effect| U256::from_be_bytes(effect.amount.to_be_bytes()))
        .sum()
}

/// A transfer with everything drawn that may be drawn, most of it within the policy.
fn drawn(random: &mut Random, nonce: u64) -> Draft {
    let envelopes = [Envelope::Legacy, Envelope::Eip2930, Envelope::Eip1559];
    let price = GWEI + u128::from(random.below(40)) * GWEI;
    let customer = Anvil::ACCOUNTS[1 + random.below(3) as usize];
    Draft {
        envelope: envelopes[random.below(3) as usize],
        price,
        tip: u128::from(random.below(40)) * GWEI,
        gas: 21_000 + random.below(3) * 50_000,
        nonce: nonce + u64::from(random.below(20) == 0),
        ..Draft::transfer(nonce, customer, 1 + u128::from(random.draw() >> 16))
    }
}

#[test]
fn on_an_evm_no_accepted_mutation_takes_more_than_was_declared() {
    let world = World::with(|bundle| {
        bundle.replace("statements.toml", "cap = \"2 eth\"", "cap = \"200 eth\"");
    });
    world.configure("[bounds]\nrequests_per_second = 100000");
    let anvil = Anvil::start(world.folder());
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    anvil.fund(&from, U256::from(1_000 * ETHER));
    let mut random = Random(9);
    let (mut accepted, mut sent) = (0, 0u64);
    while accepted < ACCEPTED {
        sent += 1;
        assert!(
            sent < 100 * ACCEPTED,
            "only {accepted} of {sent} were accepted"
        );
        let draft = drawn(&mut random, accepted);
        let mut payload = draft.payload();
        // Every other one is changed in one bit, too.
        if random.below(2) == 0 {
            let at = random.below(payload.len() as u64) as usize;
            payload[at] ^= 1 << random.below(8);
        }
        let id = format!("drawn-{sent}");
        let paid = intent(&id, &eth(), draft.value, &draft.to);
        let answer = client.send(&request(&id, on(EVM, &from, &payload), vec![paid]));
        if answer.status != 200 {
            assert_eq!(answer.status, 422, "{}", answer.text());
            continue;
        }
        accepted += 1;
        let answer: api::signing::SignAnswer = answer.json();
        let before = anvil.balance(&from);
        let receipt = anvil
            .send(&raw(&answer))
            .unwrap_or_else(|error| panic!("{draft:?} {error}"));
        assert_eq!(receipt["status"], "0x1");
        let left = before - anvil.balance(&from);
        let declared = declared(&answer.receipt);
        assert!(
            left <= declared,
            "{left} left and {declared} was declared: {draft:?}"
        );
    }
    assert!(sent > ACCEPTED, "nothing was refused");
}

#[test]
fn in_bitcoin_no_accepted_mutation_takes_more_than_was_declared() {
    let world = World::new();
    world.configure("[bounds]\nrequests_per_second = 100000");
    let _daemon = world.start();
    let mut client = world.walletd();
    let scripts = coin_scripts(&mut client);
    let mut random = Random(10);
    let (mut accepted, mut sent) = (0, 0u64);
    while accepted < ACCEPTED {
        sent += 1;
        assert!(
            sent < 100 * ACCEPTED,
            "only {accepted} of {sent} were accepted"
        );
        let coins: Vec<_> = (0..=random.below(3))
            .map(|index| {
                let script = &scripts[random.below(3) as usize];
                Previous::invented(sent * 8 + index, 100_000 + random.below(100_000), script)
            })
            .collect();
        let whole: u64 = coins.iter().map(|coin| coin.output().value.to_sat()).sum();
        let (paid, fee) = (10_000 + random.below(40_000), random.below(20_000));
        let mut outputs = vec![(paid, foreign_script(1))];
        if random.below(3) > 0 {
            outputs.push((whole.saturating_sub(paid + fee), scripts[0].clone()));
        }
        let (mut psbt, mut asked) = payment(&format!("drawn-{sent}"), BITCOIN, &coins, &outputs);
        if random.below(2) == 0 {
            mutate(&mut psbt, &mut random);
            asked.transaction = coins::on(BITCOIN, &psbt);
        }
        let answer = client.send(&asked);
        if answer.status != 200 {
            assert_eq!(answer.status, 422, "{}", answer.text());
            continue;
        }
        accepted += 1;
        let answer: api::signing::SignAnswer = answer.json();
        coins::verify(&psbt, &raw(&answer)).unwrap();
        let signed: bitcoin::Transaction =
            bitcoin::consensus::deserialize(&hex::decode(raw(&answer)).unwrap()).unwrap();
        let own = |output: &bitcoin::TxOut| scripts.contains(&output.script_pubkey);
        let kept: u64 = signed
            .output
            .iter()
            .filter(|one| own(one))
            .map(|one| one.value.to_sat())
            .sum();
        let spent: u64 = psbt
            .inputs
            .iter()
            .zip(&psbt.unsigned_tx.input)
            .map(|(fields, input)| {
                let previous = fields.non_witness_utxo.as_ref().unwrap();
                previous.output[input.previous_output.vout as usize]
                    .value
                    .to_sat()
            })
            .sum();
        let declared = declared(&answer.receipt);
        assert!(
            U256::from(spent - kept) <= declared,
            "{} left, {declared} declared",
            spent - kept
        );
    }
    assert!(sent > ACCEPTED, "nothing was refused");
}

/// One change of what the signature commits to, or of what stands beside it.
fn mutate(psbt: &mut bitcoin::Psbt, random: &mut Random) {
    let output = random.below(psbt.unsigned_tx.output.len() as u64) as usize;
    match random.below(8) {
        0 => {
            psbt.unsigned_tx.output[output].value += bitcoin::Amount::from_sat(random.below(3_000))
        }
        1 => psbt.unsigned_tx.output[output].script_pubkey = foreign_script(2),
        2 => psbt.unsigned_tx.input[0].previous_output.vout = 1,
        3 => psbt.unsigned_tx.input[0].sequence = bitcoin::Sequence(random.draw() as u32),
        4 => psbt.unsigned_tx.version = bitcoin::transaction::Version(random.below(4) as i32),
        5 => {
            let height = random.below(2) as u32;
            psbt.unsigned_tx.lock_time = bitcoin::absolute::LockTime::from_consensus(height);
        }
        6 => {
            let again = psbt.unsigned_tx.output[output].clone();
            psbt.unsigned_tx.output.push(again);
            psbt.outputs.push(Default::default());
        }
        _ => {
            let previous = psbt.inputs[0].non_witness_utxo.clone().unwrap();
            psbt.inputs[0].witness_utxo = Some(previous.output[0].clone());
        }
    }
}
