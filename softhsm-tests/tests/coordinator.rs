//! The coordinator between a real signer and real nodes: what users and operators see.

use alloy_primitives::U256;
use api::{
    intents::IntentAnswer,
    wallet::{
        AttemptStage, GateState, PolicyAnswer, PolicyVerdict, QuoteAnswer, Stage, WaitingReason,
    },
};
use policy::{approval::Approval, statement};
use rustix::process::Signal;
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    anvil::{Anvil, quantity},
    bundle::key,
    evm::ETHER,
    image::Image,
    litecoind::Litecoind,
    program::{pause, until},
    signerd::Signerd,
    site::{ChainText, Order, Site, open_node},
    witness::Witnessed,
    world::World,
};
use tlog::note::VerifierKey;

use crate::support::{
    CUSTOMER, LITECOIN, STRANGER, TOKEN, coin_addresses, deploy_token, give_tokens, sender,
    token_balance,
};

const ETH: &str = "eip155:31337/native";
const LTC: &str = "litecoin:regtest/native";
const EVM_FAMILY: &str = "poll_millis = 50\nbump_after_secs = 3600\nresend_after_secs = 1\n";
const UTXO_FAMILY: &str = "start_height = 0\npoll_millis = 50\nbump_after_secs = 3600\n\
    confirmations = [{ blocks = 2 }]\n";

/// A site that pays on anvil, which mines when it is told to.
struct EvmSite {
    site: Site,
    signerd: Signerd,
    anvil: Anvil,
    from: String,
}

impl EvmSite {
    fn new() -> Self {
        Self::with(EVM_FAMILY)
    }

    fn with(family: &str) -> Self {
        Self::on(World::new(), family)
    }

    fn on(world: World, family: &str) -> Self {
        let signerd = world.start();
        Self::behind(world, signerd, family)
    }

    /// The same with a signer that runs.
    fn behind(world: World, signerd: Signerd, family: &str) -> Self {
        let anvil = Anvil::start_with(world.folder(), &["--no-mining", "--slots-in-an-epoch", "1"]);
        let from = sender(&mut world.walletd());
        anvil.fund(&from, U256::from(100 * ETHER));
        let site = Site::new(world);
        site.configure(&[ChainText::evm(&[&open_node(&anvil.node().url())], family)]);
        site.start_and(|| site.client("officer").credit("float", ETH, 50 * ETHER));
        Self {
            site,
            signerd,
            anvil,
            from,
        }
    }

    fn mine(&self, blocks: u64) {
        let _: Value = self.anvil.node().call("anvil_mine", json!([blocks]));
    }

    /// How many transactions of the hot address were mined.
    fn nonce(&self) -> u64 {
        let count = self
            .anvil
            .node()
            .call("eth_getTransactionCount", json!([self.from, "latest"]));
        quantity(&count).to()
    }
}

/// Pins the key of the signer's log, in place of the one before.
fn pin(site: &Site, key: &str) {
    let text = std::fs::read_to_string(site.config()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("log_key"));
    let text: Vec<_> = lines.collect();
    let pinned = format!("[signer]\nlog_key = {key:?}");
    std::fs::write(site.config(), text.join("\n").replace("[signer]", &pinned)).unwrap();
}

#[test]
fn nothing_is_sent_before_the_signers_log_is_proved_to_contain_it() {
    let evm = EvmSite::on(World::new().with_checkpoints(), EVM_FAMILY);
    let mut client = evm.site.world.walletd();
    let own = client.keys().journal.unwrap().log_key.unwrap();
    // The same log's name, and a key that is not its own.
    let own: VerifierKey = own.parse().unwrap();
    let secret = ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]);
    let foreign = VerifierKey::new(own.name().clone(), &secret.public.0).unwrap();
    pin(&evm.site, &foreign.to_string());
    let walletd = evm.site.start();
    let exchange = evm.site.client("exchange");
    exchange.withdraw(&eth("proved", ETHER, CUSTOMER));
    until("a send that is held back", || {
        walletd.said().contains("not proved yet").then_some(())
    });
    evm.mine(1);
    assert_eq!(evm.nonce(), 0);
    let pool: Value = evm.anvil.node().call("txpool_status", json!([]));
    assert_eq!(pool["pending"], "0x0", "{pool}");
    assert!(walletd.stop().success());

    pin(&evm.site, &own.to_string());
    let _walletd = evm.site.start();
    exchange.reaches_while("proved", Stage::Final, || evm.mine(1));
    assert_eq!(evm.nonce(), 1);
}

/// A signer that is put back to an older copy, with everything local that could tell, is sealed by what the
/// coordinator saw, before anything is asked of it.
#[test]
fn what_the_coordinator_saw_of_the_log_seals_an_older_copy() {
    let mut evm = EvmSite::on(World::new().with_checkpoints(), EVM_FAMILY);
    let log = evm.site.world.walletd().keys().journal.unwrap();
    pin(&evm.site, &log.log_key.unwrap());
    assert!(evm.signerd.stop().success());
    let older = Image::of(&evm.site.world.data());
    evm.signerd = evm.site.world.relaunch().ready();
    let _walletd = evm.site.start();
    let exchange = evm.site.client("exchange");
    exchange.withdraw(&eth("paid", ETHER, CUSTOMER));
    exchange.reaches_while("paid", Stage::Final, || evm.mine(1));
    assert!(evm.signerd.stop().success());
    older.restore(&evm.site.world.data());
    evm.signerd = evm.site.world.relaunch();
    evm.signerd.not_ready("sealed: shorter-than-checkpoint: ");
    assert_eq!(evm.signerd.metric("signerd_sealed"), Some(1));
}

#[test]
fn a_withdrawal_waits_while_witnesses_are_away_and_is_paid_once_when_they_return() {
    let mut witnessed = Witnessed::new(3);
    let (signerd, _relay) = witnessed.start();
    let key = witnessed.log_key.clone().expect("a key").to_string();
    let mut witnesses = witnessed.witnesses;
    let evm = EvmSite::behind(witnessed.world, signerd, EVM_FAMILY);
    pin(&evm.site, &key);
    let _walletd = evm.site.start();
    let exchange = evm.site.client("exchange");
    exchange.withdraw(&eth("witnessed", ETHER, CUSTOMER));
    exchange.reaches_while("witnessed", Stage::Final, || evm.mine(1));
    assert_eq!(evm.nonce(), 1);

    for witness in &mut witnesses[..2] {
        witness.kill();
    }
    exchange.withdraw(&eth("held", ETHER, CUSTOMER));
    let waiting = until("a reason", || exchange.withdrawal("held")?.waiting);
    assert_eq!(waiting.reason, WaitingReason::SignerUnknown);
    assert!(waiting.detail.contains("witnesses"), "{}", waiting.detail);
    // It is charged and signed, and nobody has it but the signer.
    let charged = evm.signerd.metric("signerd_attempts");
    assert_eq!(charged, Some(2));
    evm.mine(3);
    assert_eq!(evm.nonce(), 1);
    let pool: Value = evm.anvil.node().call("txpool_status", json!([]));
    assert_eq!(
        (&pool["pending"], &pool["queued"]),
        (&json!("0x0"), &json!("0x0"))
    );

    for witness in &mut witnesses[..2] {
        witness.start();
    }
    exchange.reaches_while("held", Stage::Final, || evm.mine(1));
    assert_eq!(evm.nonce(), 2);
    assert_eq!(evm.signerd.metric("signerd_attempts"), charged);
    assert_eq!(exchange.explain("held").attempts.len(), 1);
}

/// A site that pays on litecoind.
struct UtxoSite {
    site: Site,
    litecoind: Litecoind,
    _signerd: Signerd,
}

impl UtxoSite {
    fn new(coins: usize, family: &str) -> Self {
        Self::on(World::new(), coins, family)
    }

    fn on(world: World, coins: usize, family: &str) -> Self {
        let litecoind = Litecoind::start(world.folder());
        let signerd = world.start();
        let own = coin_addresses(&mut world.walletd(), LITECOIN);
        for _ in 0..coins {
            litecoind.pay(&[(own[0].as_str(), 2.0)]);
        }
        let site = Site::new(world);
        let node = litecoind.configured(site.world.folder());
        site.configure(&[ChainText::litecoin(&[&node], family)]);
        site.start_and(|| site.client("officer").credit("float", LTC, 1_000_000_000));
        Self {
            site,
            litecoind,
            _signerd: signerd,
        }
    }

    fn received(&self, address: &str) -> f64 {
        self.litecoind
            .node()
            .call("getreceivedbyaddress", json!([address, 1]))
    }
}

fn eth<'a>(id: &'a str, amount: u128, to: &'a str) -> Order<'a> {
    Order {
        id,
        asset: ETH,
        amount,
        to,
    }
}

fn ltc<'a>(id: &'a str, amount: u128, to: &'a str) -> Order<'a> {
    Order {
        id,
        asset: LTC,
        amount,
        to,
    }
}

#[test]
fn a_withdrawal_of_ether_is_paid_settled_and_explained() {
    let evm = EvmSite::new();
    let _walletd = evm.site.start();
    let exchange = evm.site.client("exchange");
    exchange.withdraw(&eth("first", ETHER, CUSTOMER));
    exchange.reaches_while("first", Stage::Final, || evm.mine(1));
    let explained = exchange.explain("first");
    let [attempt] = explained.attempts.as_slice() else {
        panic!("{explained:?}")
    };
    let decision = attempt.decision.as_ref().expect("the signer's decision");
    assert!(
        decision
            .allowed_by
            .iter()
            .any(|name| name.as_str() == "pay-eth"),
        "{decision:?}"
    );
    let receipt = evm
        .anvil
        .receipt(&json!(attempt.txid.as_ref().expect("a txid")));
    assert_eq!(receipt["status"], "0x1");
    let account: Value = exchange.ask("GET", "/v1/accounts/ann", None).json();
    let balance = &account["balances"][0];
    assert_eq!(balance["held"], "0", "{account}");
    assert_eq!(balance["available"], (49 * ETHER).to_string(), "{account}");
}

#[test]
fn a_token_is_final_by_its_own_log() {
    let evm = EvmSite::new();
    let _: Value = evm.anvil.node().call("evm_setAutomine", json!([true]));
    deploy_token(&evm.anvil);
    give_tokens(&evm.anvil, &evm.from, 1_000_000);
    let _walletd = evm.site.start();
    let asset = format!("eip155:31337/erc20:{TOKEN}");
    evm.site
        .client("officer")
        .credit("tokens", &asset, 1_000_000);
    let exchange = evm.site.client("exchange");
    exchange.withdraw(&Order {
        id: "token",
        asset: &asset,
        amount: 400_000,
        to: CUSTOMER,
    });
    exchange.reaches_while("token", Stage::Final, || evm.mine(1));
    assert_eq!(token_balance(&evm.anvil, CUSTOMER), U256::from(400_000));
}

#[test]
fn what_the_policy_refuses_says_why_and_holds_no_nonce() {
    let evm = EvmSite::new();
    let _walletd = evm.site.start();
    let exchange = evm.site.client("exchange");
    exchange.withdraw(&eth("stranger", ETHER, STRANGER));
    let refused = until("the signer's reasons", || {
        let waiting = exchange.withdrawal("stranger")?.waiting?;
        (waiting.reason == WaitingReason::SignerRefused).then_some(waiting)
    });
    assert!(
        refused
            .reasons
            .iter()
            .any(|reason| reason.code == "uncovered"),
        "{refused:?}"
    );
    exchange.withdraw(&eth("large", 6 * ETHER, CUSTOMER));
    let pending = until("the people who are needed", || {
        let waiting = exchange.withdrawal("large")?.waiting?;
        (waiting.reason == WaitingReason::SignerNeeds).then_some(waiting)
    });
    assert_eq!(pending.needs.len(), 1, "{pending:?}");
    // Neither holds up another.
    exchange.withdraw(&eth("small", ETHER, CUSTOMER));
    exchange.reaches_while("small", Stage::Final, || evm.mine(1));
    assert_eq!(evm.nonce(), 1);
    // And nothing was signed for it, so that it can be cancelled.
    let cancelled = exchange.ask("POST", "/v1/withdrawals/stranger/cancel", None);
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    assert_eq!(
        exchange.withdrawal("stranger").map(|one| one.stage),
        Some(Stage::Released)
    );
}

/// What the signer's policy would say, by a quote.
fn policy(site: &Site, (asset, amount, to): (&str, u128, &str)) -> PolicyAnswer {
    let body = json!({
        "account": "ann", "asset": asset, "amount": amount.to_string(), "destination": to,
    });
    let answer = site
        .client("exchange")
        .ask("POST", "/v1/quote", Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let quote: QuoteAnswer = serde_json::from_value(answer.json()).expect("a quote");
    quote.policy
}

#[test]
fn a_quote_says_what_the_signers_policy_would_and_consumes_nothing() {
    let evm = EvmSite::new();
    let _walletd = evm.site.start();
    evm.mine(3);
    for _ in 0..2 {
        let allowed = policy(&evm.site, (ETH, ETHER, CUSTOMER));
        assert_eq!(allowed.verdict, PolicyVerdict::Allowed, "{allowed:?}");
    }
    let refused = policy(&evm.site, (ETH, ETHER, STRANGER));
    assert_eq!(refused.verdict, PolicyVerdict::Refused);
    assert!(refused.reasons.iter().any(|it| it.code == "uncovered"));
    let needs = policy(&evm.site, (ETH, 6 * ETHER, CUSTOMER));
    assert_eq!(needs.verdict, PolicyVerdict::Needs, "{needs:?}");
    assert_eq!(needs.needs.len(), 1);
    let exchange = evm.site.client("exchange");
    exchange.withdraw(&eth("after", ETHER, CUSTOMER));
    exchange.reaches_while("after", Stage::Final, || evm.mine(1));
    assert_eq!(evm.nonce(), 1);
    evm.signerd.kill();
    let away = policy(&evm.site, (ETH, ETHER, CUSTOMER));
    assert_eq!(away.verdict, PolicyVerdict::Unknown);
    assert!(away.detail.is_some());
}

#[test]
fn a_quote_of_coins_says_it_without_spending_any() {
    // Not one coin: what the policy says does not hang on what the wallet has.
    let utxo = UtxoSite::new(0, UTXO_FAMILY);
    let _walletd = utxo.site.start();
    let to = utxo.litecoind.address();
    let allowed = policy(&utxo.site, (LTC, 10_000_000, &to));
    assert_eq!(allowed.verdict, PolicyVerdict::Allowed, "{allowed:?}");
}

#[test]
fn a_transaction_that_a_reorganisation_drops_is_sent_again_and_paid_once() {
    let evm = EvmSite::new();
    let _walletd = evm.site.start();
    let exchange = evm.site.client("exchange");
    evm.mine(5);
    exchange.withdraw(&eth("reorganised", ETHER, CUSTOMER));
    exchange.reaches("reorganised", Stage::Broadcast);
    evm.mine(1);
    exchange.reaches("reorganised", Stage::Included);
    let before = evm.anvil.balance(CUSTOMER);
    let _: Value = evm.anvil.node().call("anvil_reorg", json!([1, []]));
    exchange.reaches("reorganised", Stage::Broadcast);
    assert!(
        evm.anvil.balance(CUSTOMER) < before,
        "the reorganisation dropped nothing"
    );
    exchange.reaches_while("reorganised", Stage::Final, || evm.mine(1));
    assert_eq!(evm.anvil.balance(CUSTOMER), before);
    assert_eq!(evm.nonce(), 1);
}

#[test]
fn a_stuck_transaction_is_replaced_and_the_payment_stays_one() {
    let evm = EvmSite::with("poll_millis = 50\nbump_after_secs = 1\n");
    let _walletd = evm.site.start();
    let exchange = evm.site.client("exchange");
    let before = evm.anvil.balance(CUSTOMER);
    exchange.withdraw(&eth("stuck", ETHER, CUSTOMER));
    let attempts = until("a replacement", || {
        let attempts = exchange.try_explain("stuck")?.attempts;
        let sent = attempts
            .iter()
            .filter(|one| one.stage == AttemptStage::Broadcast);
        (sent.count() >= 2).then_some(attempts)
    });
    assert!(
        attempts.iter().all(|one| one.set == attempts[0].set),
        "{attempts:?}"
    );
    exchange.reaches_while("stuck", Stage::Final, || evm.mine(1));
    assert_eq!(evm.anvil.balance(CUSTOMER), before + U256::from(ETHER));
    assert_eq!(evm.nonce(), 1);
}

#[test]
fn while_the_signer_is_gone_withdrawals_wait_and_say_so() {
    let evm = EvmSite::new();
    let walletd = evm.site.start();
    let exchange = evm.site.client("exchange");
    evm.signerd.kill();
    exchange.withdraw(&eth("patient", ETHER, CUSTOMER));
    until("the reason", || {
        let reason = exchange.withdrawal("patient")?.waiting?.reason;
        (reason == WaitingReason::SignerUnavailable).then_some(())
    });
    let (status, text) = walletd.readiness().expect("an answer");
    assert_eq!(status, 503, "{text}");
    let _signerd = evm.site.world.start();
    exchange.reaches_while("patient", Stage::Final, || {
        let _: Value = evm.anvil.node().call("anvil_mine", json!([1]));
    });
}

#[test]
fn a_coordinator_that_was_paused_writes_nothing_over_its_successor() {
    let evm = EvmSite::new();
    let first = evm.site.start();
    let exchange = evm.site.client("exchange");
    exchange.withdraw(&eth("before", ETHER, CUSTOMER));
    exchange.reaches_while("before", Stage::Final, || evm.mine(1));
    pause(first.pid());
    // The second one has listeners of its own.
    let second = evm.site.beside();
    let running = second.start();
    let other = second.client("exchange");
    other.withdraw(&eth("after", ETHER, CUSTOMER));
    other.reaches_while("after", Stage::Final, || evm.mine(1));
    first.signal(Signal::CONT);
    until("the first one's farewell to the lane", || {
        first
            .said()
            .contains("the lane's lease is lost")
            .then_some(())
    });
    exchange.withdraw(&eth("both", ETHER, CUSTOMER));
    other.reaches_while("both", Stage::Final, || evm.mine(1));
    assert_eq!(evm.nonce(), 3);
    drop(running);
}

#[test]
fn a_database_from_yesterday_adopts_what_was_signed_since_and_pays_nothing_twice() {
    let evm = EvmSite::new();
    let exchange = evm.site.client("exchange");
    let walletd = evm.site.start();
    exchange.withdraw(&eth("known", ETHER, CUSTOMER));
    exchange.reaches_while("known", Stage::Final, || evm.mine(1));
    exchange.withdraw(&eth("waiting", ETHER, STRANGER));
    walletd.stop();
    let backup = evm.site.backup();
    // Signed after the backup: one that it knows nothing of.
    let walletd = evm.site.start();
    let before = evm.anvil.balance(CUSTOMER);
    exchange.withdraw(&eth("lost", ETHER, CUSTOMER));
    exchange.reaches("lost", Stage::Broadcast);
    walletd.kill();
    evm.site.restore(&backup);
    let _walletd = evm.site.start();
    // Asked for again by a client that heard nothing, it is the same one.
    let again = exchange.ask(
        "POST",
        "/v1/withdrawals",
        Some(&eth("lost", ETHER, CUSTOMER).json()),
    );
    assert!(matches!(again.status, 200 | 201 | 409), "{}", again.text());
    exchange.reaches_while("lost", Stage::Final, || evm.mine(1));
    assert_eq!(evm.anvil.balance(CUSTOMER), before + U256::from(ETHER));
    let status = exchange.try_status().expect("a status");
    assert!(
        status.lanes.iter().all(|lane| lane.gate == GateState::Open),
        "{status:?}"
    );
}

#[test]
fn several_payouts_share_a_transaction_and_each_is_paid_once() {
    several_payouts(UtxoSite::new(3, UTXO_FAMILY));
}

/// From P2TR coins, with change to a P2WPKH key in one turn and a P2TR key in the next.
#[test]
fn taproot_coins_pay_as_others_do() {
    several_payouts(UtxoSite::on(crate::taproot::world(), 3, UTXO_FAMILY));
}

fn several_payouts(utxo: UtxoSite) {
    let addresses: Vec<String> = (0..5).map(|_| utxo.litecoind.address()).collect();
    let exchange = utxo.site.client("exchange");
    let ids: Vec<String> = (0..5).map(|number| format!("batch-{number}")).collect();
    let walletd = utxo.site.start();
    let orders: Vec<Value> = ids
        .iter()
        .zip(&addresses)
        .map(|(id, address)| ltc(id, 10_000_000, address).json())
        .collect();
    let body = json!({ "withdrawals": orders });
    let answer = exchange.ask("POST", "/v1/withdrawals", Some(&body));
    assert_eq!(answer.status, 207, "{}", answer.text());
    for id in &ids {
        exchange.reaches_while(id, Stage::Final, || utxo.litecoind.mine_if_needed());
    }
    drop(walletd);
    for address in &addresses {
        assert!((utxo.received(address) - 0.1).abs() < 1e-9, "{address}");
    }
}

#[test]
fn a_block_that_leaves_the_chain_takes_the_payment_back_until_it_is_mined_again() {
    let utxo = UtxoSite::new(2, UTXO_FAMILY);
    let _walletd = utxo.site.start();
    let exchange = utxo.site.client("exchange");
    let to = utxo.litecoind.address();
    exchange.withdraw(&ltc("reorganised", 50_000_000, &to));
    exchange.reaches("reorganised", Stage::Broadcast);
    utxo.litecoind.mine(1);
    exchange.reaches("reorganised", Stage::Included);
    let node = utxo.litecoind.node();
    let tip: String = node.call("getbestblockhash", json!([]));
    let _: Value = node.call("invalidateblock", json!([tip]));
    // A longer branch without the transaction: blocks with nothing in them.
    let to_miner = utxo.litecoind.address();
    for _ in 0..2 {
        let _: Value = node.call("generateblock", json!([to_miner, []]));
    }
    exchange.reaches("reorganised", Stage::Broadcast);
    exchange.reaches_while("reorganised", Stage::Final, || {
        utxo.litecoind.mine_if_needed()
    });
    assert!((utxo.received(&to) - 0.5).abs() < 1e-9);
}

#[test]
fn what_people_approve_is_paid() {
    let world = World::with(|bundle| {
        let verbs = "\"requests\", \"journal\"]";
        bundle.replace(
            "accounts.toml",
            verbs,
            "\"requests\", \"journal\", \"intents\"]",
        );
        let verbs = "verbs = [\"keys\"]";
        bundle.replace("accounts.toml", verbs, "verbs = [\"keys\", \"approve\"]");
    });
    let evm = EvmSite::on(world, EVM_FAMILY);
    let _walletd = evm.site.start();
    let exchange = evm.site.client("exchange");
    exchange.withdraw(&eth("large", 6 * ETHER, CUSTOMER));
    evm.site.world.pki.client("auditor");
    let mut officer = evm.site.world.client("auditor");
    let about = "/v1/intents/payouts/large";
    let asked: IntentAnswer = until("the coordinator to ask people", || {
        let answer = officer.get(about);
        (answer.status == 200).then(|| answer.json())
    });
    let waiting = exchange.withdrawal("large").unwrap().waiting.unwrap();
    assert_eq!(waiting.reason, WaitingReason::SignerNeeds);
    let text = asked.needs[0].approve.clone();
    let signature = statement::sign(&text, Approval::NAMESPACE, &key("ben")).unwrap();
    let said = json!({ "statement": text, "signatures": [signature] });
    let brought = officer.post(&format!("{about}/approvals"), said.to_string().as_bytes());
    assert_eq!(brought.status, 200, "{}", brought.text());
    exchange.reaches_while("large", Stage::Final, || evm.mine(1));
    assert_eq!(evm.nonce(), 1);
}
