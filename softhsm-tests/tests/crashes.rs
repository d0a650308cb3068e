//! The coordinator killed at every numbered point of a withdrawal, as a real process, between a real
//! signer and real nodes: afterwards the chain shows one payment.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use api::wallet::Stage;
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    anvil::{Anvil, quantity},
    evm::ETHER,
    litecoind::Litecoind,
    program::until,
    site::{ChainText, Order, Site, Teller, open_node},
    world::World,
};

use crate::support::{CUSTOMER, LITECOIN, coin_addresses, sender};

/// The issue asks for at least this many on each chain.
const POINTS_MIN: u64 = 30;
/// More than there are: the loop ends by itself.
const POINTS_MAX: u64 = 200;

/// What the chain does while a withdrawal is under way.
trait Chain {
    /// The withdrawal for this point, different from all others.
    fn order(&self, point: u64) -> (String, u128);
    /// Its asset.
    fn asset(&self) -> &'static str;
    /// Makes blocks go on.
    fn mine(&self);
    /// How many confirmed transactions pay the order.
    fn payments(&self, to: &str, amount: u128) -> usize;
}

/// Kills the coordinator at each point in turn, until there is none left to be killed at.
fn killed_everywhere(site: &Site, chain: &impl Chain) {
    let exchange = site.client("exchange");
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for point in 1..POINTS_MAX {
        let (to, amount) = chain.order(point);
        let id = format!("killed-{point}");
        let order = Order {
            id: &id,
            asset: chain.asset(),
            amount,
            to: &to,
        };
        let Some(kind) = killed_at(site, chain, &exchange, &order, point) else {
            assert!(point > POINTS_MIN, "only {} points", point - 1);
            println!(
                "{}: killed at {} points: {kinds:?}",
                chain.asset(),
                point - 1
            );
            return;
        };
        *kinds.entry(kind).or_default() += 1;
    }
    panic!("a withdrawal passes more than {POINTS_MAX} points");
}

/// One withdrawal, in which the coordinator dies at this point and is started again. `None` when it
/// did not come to that point.
fn killed_at(
    site: &Site,
    chain: &impl Chain,
    exchange: &Teller,
    order: &Order<'_>,
    point: u64,
) -> Option<String> {
    let passed = site.world.folder().join(format!("points-{point}"));
    let variables = [
        ("WALLETD_DIES_AT", point.to_string()),
        ("WALLETD_POINTS", passed.display().to_string()),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut walletd = site.launch(&variables);
    let mut asked = false;
    let died = until("the end of the coordinator or of the withdrawal", || {
        if walletd.ended().is_some() {
            return Some(true);
        }
        if !asked {
            let answer = exchange.try_ask("POST", "/v1/withdrawals", Some(&order.json()))?;
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
            asked = true;
        }
        // Blocks come only after a replacement, so that there is one.
        let attempts = exchange.try_explain(order.id)?.attempts;
        let replaced = attempts.len() > 1 && attempts.iter().all(|one| one.txid.is_some());
        if replaced {
            chain.mine();
        }
        let stage = exchange.withdrawal(order.id)?.stage;
        (stage == Stage::Final).then_some(false)
    });
    if died {
        walletd = site.start();
        exchange.withdraw(order);
        exchange.reaches_while(order.id, Stage::Final, || chain.mine());
    }
    walletd.stop();
    assert_eq!(
        chain.payments(order.to, order.amount),
        1,
        "killed at point {point}"
    );
    let lines = std::fs::read_to_string(&passed).expect("the points that were passed");
    let last = lines.lines().last().expect("a point");
    let (number, kind) = last.split_once(' ').expect("a number and a kind");
    died.then(|| {
        assert_eq!(number, point.to_string());
        kind.to_owned()
    })
}

struct OnAnvil(Anvil);

impl Chain for OnAnvil {
    fn order(&self, point: u64) -> (String, u128) {
        (CUSTOMER.to_owned(), 1_000_000 + u128::from(point))
    }

    fn asset(&self) -> &'static str {
        "eip155:31337/native"
    }

    fn mine(&self) {
        let _: Value = self.0.node().call("anvil_mine", json!([1]));
    }

    fn payments(&self, to: &str, amount: u128) -> usize {
        let node = self.0.node();
        let height = quantity(&node.call("eth_blockNumber", json!([])));
        let transactions = (0..=height.to::<u64>()).flat_map(|number| {
            let block: Value = node.call(
                "eth_getBlockByNumber",
                json!([format!("{number:#x}"), true]),
            );
            block["transactions"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        });
        transactions
            .filter(|one| {
                let paid = one["to"].as_str();
                paid.is_some_and(|paid| paid.eq_ignore_ascii_case(to))
                    && quantity(&one["value"]) == U256::from(amount)
            })
            .count()
    }
}

#[test]
fn killed_at_every_point_of_an_evm_withdrawal_it_pays_once() {
    let world = World::new();
    let anvil = Anvil::start_with(world.folder(), &["--no-mining", "--slots-in-an-epoch", "1"]);
    let _signerd = world.start();
    anvil.fund(&sender(&mut world.walletd()), U256::from(100 * ETHER));
    let site = Site::new(world);
    let family = "poll_millis = 50\nbump_after_secs = 1\n";
    site.configure(&[ChainText::evm(&[&open_node(&anvil.node().url())], family)]);
    site.start_and(|| {
        site.client("officer")
            .credit("float", "eip155:31337/native", 10 * ETHER)
    });
    killed_everywhere(&site, &OnAnvil(anvil));
}

struct OnLitecoin(Litecoind);

impl Chain for OnLitecoin {
    fn order(&self, point: u64) -> (String, u128) {
        (self.0.address(), 1_000_000 + u128::from(point))
    }

    fn asset(&self) -> &'static str {
        "litecoin:regtest/native"
    }

    fn mine(&self) {
        self.0.mine_if_needed();
    }

    fn payments(&self, to: &str, amount: u128) -> usize {
        let received: f64 = self.0.node().call("getreceivedbyaddress", json!([to, 1]));
        let satoshi = (received * 1e8).round() as u128;
        assert_eq!(satoshi % amount, 0, "{satoshi} of {amount}");
        (satoshi / amount) as usize
    }
}

#[test]
fn killed_at_every_point_of_a_litecoin_withdrawal_it_pays_once() {
    let world = World::new();
    let litecoind = Litecoind::start(world.folder());
    let _signerd = world.start();
    let own = coin_addresses(&mut world.walletd(), LITECOIN);
    let payments: Vec<(&str, f64)> = own.iter().map(|address| (address.as_str(), 5.0)).collect();
    litecoind.pay(&payments);
    litecoind.pay(&payments);
    let site = Site::new(world);
    let family = "start_height = 0\npoll_millis = 50\nbump_after_secs = 1\nbump_after_blocks = 0\n\
        confirmations = [{ blocks = 2 }]\n";
    let node = litecoind.configured(site.world.folder());
    site.configure(&[ChainText::litecoin(&[&node], family)]);
    site.start_and(|| {
        site.client("officer")
            .credit("float", "litecoin:regtest/native", 2_000_000_000);
    });
    killed_everywhere(&site, &OnLitecoin(litecoind));
}
