//! What the observer makes of nodes that lie, lag, hang or answer garbage.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use tx::{Address, Amount, evm::Action};

use super::rig::{address, answer, block, config, sender, token};
use crate::{
    attempt::AttemptNumber,
    chains::evm::{Answer, Head, Mined, Observer, Question, Used},
    evidence::{BlockRef, Evidence, Unknown},
    lane::{Observer as _, SendOutcome},
    nodes::{BlockTag, EvmBlock, EvmNode, EvmReceipt, EvmTransaction, FeeHistory, NodeError},
};

const TXID: &str = "0x0000000000000000000000000000000000000000000000000000000000000abc";

/// What a node shows: a chain in which the sender's nonce 0 is used in block 7.
#[derive(Clone)]
struct Shown {
    chain_id: u64,
    latest: u64,
    finalized: u64,
    /// Blocks that are others than everyone's.
    forked: BTreeMap<u64, String>,
    /// In which block each nonce is used, in order.
    used_in: Vec<u64>,
    receipt: Option<EvmReceipt>,
    balance: Amount,
    down: bool,
    takes: SendOutcome,
}

struct Node(Mutex<Shown>);

fn shown() -> Shown {
    Shown {
        chain_id: 31_337,
        latest: 40,
        finalized: 30,
        forked: BTreeMap::new(),
        used_in: vec![7],
        receipt: Some(EvmReceipt {
            txid: TXID.into(),
            block: block(7),
            succeeded: true,
            gas_used: 21_000,
            effective_gas_price: Amount::from(3_u64),
            logs: Vec::new(),
        }),
        balance: Amount::from(1_000_u64),
        down: false,
        takes: SendOutcome::Taken,
    }
}

impl Shown {
    fn block(&self, height: u64) -> Option<EvmBlock> {
        let hash = self.forked.get(&height).cloned();
        let hash = hash.unwrap_or_else(|| block(height).hash);
        (height <= self.latest).then(|| EvmBlock {
            block: BlockRef { height, hash },
            parent: block(height.saturating_sub(1)).hash,
        })
    }
}

impl Node {
    fn look(&self) -> Result<Shown, NodeError> {
        let shown = self.0.lock().unwrap().clone();
        if shown.down {
            return Err(NodeError::NoAnswer {
                detail: "it timed out".into(),
            });
        }
        Ok(shown)
    }
}

#[async_trait]
impl EvmNode for Node {
    fn name(&self) -> &str {
        "node"
    }
    async fn chain_id(&self) -> Result<u64, NodeError> {
        Ok(self.look()?.chain_id)
    }
    async fn block(&self, which: BlockTag) -> Result<Option<EvmBlock>, NodeError> {
        let shown = self.look()?;
        Ok(shown.block(match which {
            BlockTag::Latest => shown.latest,
            BlockTag::Finalized => shown.finalized,
            BlockTag::Number(height) => height,
        }))
    }
    async fn transactions(&self, number: u64) -> Result<Option<Vec<EvmTransaction>>, NodeError> {
        let shown = self.look()?;
        let used = shown.used_in.iter().enumerate();
        let used = used.filter(|(_, height)| **height == number);
        let own = used.map(|(nonce, _)| EvmTransaction {
            txid: shown
                .receipt
                .as_ref()
                .map_or(TXID, |it| it.txid.as_str())
                .into(),
            from: sender(),
            nonce: nonce as u64,
        });
        let other = EvmTransaction {
            txid: "0x1".into(),
            from: address(1),
            nonce: 0,
        };
        Ok(Some(own.chain([other]).collect()))
    }
    async fn nonce(&self, of: &Address, at: BlockTag) -> Result<u64, NodeError> {
        assert_eq!(*of, sender());
        let shown = self.look()?;
        let height = match at {
            BlockTag::Latest => shown.latest,
            BlockTag::Finalized => shown.finalized,
            BlockTag::Number(height) => height,
        };
        let used = shown.used_in.iter().filter(|used| **used <= height);
        Ok(used.count() as u64)
    }
    async fn receipt(&self, _: &str) -> Result<Option<EvmReceipt>, NodeError> {
        Ok(self.look()?.receipt)
    }
    async fn fee_history(&self) -> Result<FeeHistory, NodeError> {
        self.look()?;
        Ok(FeeHistory {
            next_base_fee: Amount::from(9_u64),
            priority_fees: [1_u64, 900, 3].map(Amount::from).to_vec(),
        })
    }
    async fn estimate_gas(&self, _: &Address, _: &Action) -> Result<u64, NodeError> {
        self.look()?;
        Ok(21_000)
    }
    async fn balance(&self, _: &Address, _: BlockTag) -> Result<Amount, NodeError> {
        Ok(self.look()?.balance)
    }
    async fn token_balance(
        &self,
        _: &Address,
        _: &Address,
        _: BlockTag,
    ) -> Result<Amount, NodeError> {
        Ok(self.look()?.balance)
    }
    async fn send(&self, _: &str) -> SendOutcome {
        self.0.lock().unwrap().takes.clone()
    }
}

/// An observer of these nodes.
struct Seen {
    observer: Observer,
    nodes: Vec<Arc<Node>>,
}

impl Seen {
    fn by(shown: Vec<Shown>) -> Self {
        let nodes = shown.into_iter().map(|it| Arc::new(Node(Mutex::new(it))));
        let nodes: Vec<Arc<Node>> = nodes.collect();
        let asked = nodes
            .iter()
            .map(|node| Arc::clone(node) as Arc<dyn EvmNode>);
        let observer = Observer::new(&config(), sender(), asked.collect()).unwrap();
        Self { observer, nodes }
    }

    /// Two nodes, of which the second shows something else.
    fn and(change: impl FnOnce(&mut Shown)) -> Self {
        let mut other = shown();
        change(&mut other);
        Self::by(vec![shown(), other])
    }

    fn change(&self, node: usize, change: impl FnOnce(&mut Shown)) {
        change(&mut self.nodes[node].0.lock().unwrap());
    }

    async fn head(&self) -> Result<Head, Unknown> {
        let tokens = BTreeSet::from([token()]);
        match self.observer.ask(Question::Head { tokens }).await {
            Answer::Head(head) => head,
            other => panic!("{other:?}"),
        }
    }

    async fn find(&self) -> Evidence<Mined> {
        let sought = vec![(AttemptNumber(0), TXID.to_owned())];
        match self.observer.ask(Question::Find(sought)).await {
            Answer::Found(mut found) => found.pop().unwrap().1,
            other => panic!("{other:?}"),
        }
    }

    async fn user(&self, nonce: u64) -> Evidence<Used> {
        match self.observer.ask(Question::User { nonce }).await {
            Answer::User { user, .. } => user,
            other => panic!("{other:?}"),
        }
    }

    async fn still_there(&self, block: BlockRef) -> Evidence<()> {
        let blocks = BTreeSet::from([block]);
        match self.observer.ask(Question::StillThere(blocks)).await {
            Answer::StillThere(mut blocks) => blocks.pop().unwrap().1,
            other => panic!("{other:?}"),
        }
    }
}

fn is_unknown<T>(evidence: &Evidence<T>) -> bool {
    matches!(evidence, Evidence::Unknown(_))
}

#[tokio::test]
async fn two_that_agree_are_believed_as_far_as_both_are() {
    let seen = Seen::and(|other| {
        other.latest = 38;
        other.finalized = 28;
        other.balance = Amount::from(900_u64);
    });
    let head = seen.head().await.unwrap();
    assert_eq!((head.latest, head.finalized), (block(38), block(28)));
    assert_eq!(
        (head.finalized_nonce, head.nonce_least, head.nonce_most),
        (1, 1, 1)
    );
    assert_eq!(head.balance, Amount::from(900_u64));
    let Evidence::Found(mined) = seen.find().await else {
        panic!("both have it");
    };
    assert_eq!(mined.inclusion.fee, Amount::from(63_000_u64));
}

#[tokio::test]
async fn one_that_is_down_makes_everything_unknown_and_nothing_absent() {
    let seen = Seen::and(|other| other.down = true);
    assert!(seen.head().await.is_err());
    assert!(is_unknown(&seen.find().await));
    assert!(is_unknown(&seen.user(0).await));
    assert!(is_unknown(&seen.still_there(block(7)).await));
    // What is offered needs only one.
    let market = seen.observer.ask(Question::Market).await;
    let Answer::Market(Ok(market)) = market else {
        panic!("{market:?}");
    };
    assert_eq!((market.base_fee, market.priority_fee), (9, 3));
}

#[tokio::test]
async fn one_without_a_receipt_makes_it_unknown() {
    assert!(is_unknown(
        &Seen::and(|other| other.receipt = None).find().await
    ));
    let none = Seen::by(vec![Shown {
        receipt: None,
        ..shown()
    }]);
    assert!(is_unknown(&none.find().await));
}

#[tokio::test]
async fn receipts_that_differ_are_not_believed() {
    for change in [
        |receipt: &mut EvmReceipt| receipt.succeeded = false,
        |receipt: &mut EvmReceipt| receipt.block = block(8),
        |receipt: &mut EvmReceipt| receipt.gas_used = 1,
    ] {
        let seen = Seen::and(|other| change(other.receipt.as_mut().unwrap()));
        assert!(is_unknown(&seen.find().await));
    }
}

#[tokio::test]
async fn anothers_receipt_is_not_believed() {
    let mut other = shown();
    other.receipt.as_mut().unwrap().txid = "0x1".into();
    assert!(is_unknown(&Seen::by(vec![other]).find().await));
}

#[tokio::test]
async fn a_receipt_whose_block_is_not_in_the_chain_is_not_believed() {
    let mut other = shown();
    other.forked.insert(7, "0xf0".into());
    let seen = Seen::by(vec![other]);
    assert!(is_unknown(&seen.find().await));
    assert!(matches!(
        seen.still_there(block(7)).await,
        Evidence::Absent { .. }
    ));
    let apart = Seen::and(|other| drop(other.forked.insert(7, "0xf0".into())));
    assert!(is_unknown(&apart.find().await));
    assert!(is_unknown(&apart.still_there(block(7)).await));
}

#[tokio::test]
async fn finalized_blocks_that_differ_are_not_believed() {
    let seen = Seen::and(|other| drop(other.forked.insert(30, "0xf0".into())));
    assert!(matches!(
        seen.head().await,
        Err(Unknown::Disagreement { .. })
    ));
}

#[tokio::test]
async fn nonces_that_differ_at_the_finalized_block_are_not_believed() {
    let seen = Seen::and(|other| other.used_in = vec![7, 9]);
    assert!(matches!(
        seen.head().await,
        Err(Unknown::Disagreement { .. })
    ));
    assert!(is_unknown(&seen.user(1).await));
}

#[tokio::test]
async fn a_node_that_takes_back_what_it_finalized_is_not_believed() {
    let seen = Seen::by(vec![shown()]);
    assert!(seen.head().await.is_ok());
    seen.change(0, |node| node.finalized = 29);
    assert!(matches!(seen.head().await, Err(Unknown::Lagging { .. })));
    seen.change(0, |node| node.finalized = 30);
    assert!(seen.head().await.is_ok());
    seen.change(0, |node| drop(node.forked.insert(30, "0xf0".into())));
    assert!(matches!(
        seen.head().await,
        Err(Unknown::Disagreement { .. })
    ));
}

#[tokio::test]
async fn a_node_of_another_chain_is_neither_asked_nor_given_anything() {
    let seen = Seen::by(vec![Shown {
        chain_id: 1,
        ..shown()
    }]);
    assert!(matches!(
        seen.head().await,
        Err(Unknown::Disagreement { .. })
    ));
    assert!(is_unknown(&seen.find().await));
    let sent = seen.observer.send(&signed()).await;
    assert!(matches!(sent, SendOutcome::Rejected { .. }));
}

fn signed() -> Arc<api::signing::SignAnswer> {
    let mut rig = super::rig::Rig::open();
    rig.queue(vec![super::rig::withdrawal(1)]);
    answer(&rig.attempt(0).request, 1)
}

#[tokio::test]
async fn one_node_that_takes_it_is_enough() {
    let rejected = SendOutcome::Rejected {
        detail: "no".into(),
    };
    let unknown = SendOutcome::Unknown {
        detail: "late".into(),
    };
    let send = async |first: &SendOutcome, second: &SendOutcome| {
        let nodes = [first, second].map(|takes| Shown {
            takes: takes.clone(),
            ..shown()
        });
        Seen::by(nodes.to_vec()).observer.send(&signed()).await
    };
    assert_eq!(
        send(&rejected, &SendOutcome::Taken).await,
        SendOutcome::Taken
    );
    assert!(matches!(
        send(&rejected, &unknown).await,
        SendOutcome::Unknown { .. }
    ));
    assert!(matches!(
        send(&rejected, &rejected).await,
        SendOutcome::Rejected { .. }
    ));
}

#[tokio::test]
async fn the_block_that_used_a_nonce_is_found_wherever_it_is() {
    for first in 0..=30 {
        for second in [first + 1, 30]
            .into_iter()
            .filter(|second| (first + 1..=30).contains(second))
        {
            let used_in = vec![first, second];
            let seen = Seen::by(vec![Shown { used_in, ..shown() }]);
            for (nonce, height) in [(0, first), (1, second)] {
                let Evidence::Found(used) = seen.user(nonce).await else {
                    panic!("nonce {nonce} is used in block {height}");
                };
                assert_eq!(used.block, block(height));
            }
        }
    }
}

#[tokio::test]
async fn a_nonce_that_no_finalized_block_used_is_absent() {
    let evidence = Seen::by(vec![shown(), shown()]).user(1).await;
    let Evidence::Absent { covered, tip } = evidence else {
        panic!("{evidence:?}");
    };
    assert_eq!((covered.from, covered.to, tip), (0, 30, block(30)));
}

#[tokio::test]
async fn users_that_differ_are_not_believed() {
    let seen = Seen::and(|other| other.receipt.as_mut().unwrap().txid = "0x2".into());
    assert!(is_unknown(&seen.user(0).await));
}
