//! Who used a nonce.

use super::{Known, Observer, Witness, disagree};
use crate::{
    chains::evm::Used,
    evidence::{BlockRef, Covered, Evidence},
};

impl Observer {
    /// The finalized transaction of the address that has this nonce. All nodes must show it, in one
    /// block; it is absent if all of them say that no finalized block has it.
    pub(super) async fn user(&self, nonce: u64) -> Evidence<Used> {
        match self.search(nonce).await {
            Ok(evidence) => evidence,
            Err(unknown) => Evidence::Unknown(unknown),
        }
    }

    async fn search(&self, nonce: u64) -> Known<Evidence<Used>> {
        let (_, finalized) = self.ends().await?;
        let height = finalized.height;
        let mut used = 0_usize;
        for witness in self.witnesses.iter() {
            let count = witness.nonce_at(&self.address, height).await?;
            used = used.saturating_add(usize::from(count > nonce));
        }
        match used {
            0 => Ok(Evidence::Absent {
                covered: Covered {
                    from: 0,
                    to: height,
                },
                tip: finalized,
            }),
            all if all == self.witnesses.len() => self.used_below(nonce, height).await,
            _ => Err(disagree(format!(
                "on the nonce at the finalized block {height}"
            ))),
        }
    }

    async fn used_below(&self, nonce: u64, height: u64) -> Known<Evidence<Used>> {
        let Some(first) = self.witnesses.first() else {
            return Err(disagree("on everything".to_owned()));
        };
        let height = self.block_that_used(first, nonce, height).await?;
        let block = self.block(height).await?;
        let mut users: Option<Used> = None;
        for witness in self.witnesses.iter() {
            let user = self.user_in(witness, nonce, &block).await?;
            match &users {
                Some(had) if *had != user => {
                    return Err(disagree(format!("on who used nonce {nonce}")));
                }
                _ => users = Some(user),
            }
        }
        users
            .map(Evidence::Found)
            .ok_or_else(|| disagree(format!("on who used nonce {nonce}")))
    }

    /// The first block after which the address's nonce is above this one: by halving, from where
    /// doubling steps back from `height`, where it is above, have found one where it is not.
    async fn block_that_used(&self, node: &Witness, nonce: u64, height: u64) -> Known<u64> {
        let mut above = height;
        let mut step = 1_u64;
        // `None` stands before the first block, where every nonce is unused.
        let mut below = loop {
            let Some(earlier) = above.checked_sub(step) else {
                break None;
            };
            if node.nonce_at(&self.address, earlier).await? <= nonce {
                break Some(earlier);
            }
            above = earlier;
            step = step.saturating_mul(2);
        };
        loop {
            let first = below.map_or(0, |below: u64| below.saturating_add(1));
            let between = above.saturating_sub(first);
            if between == 0 {
                return Ok(above);
            }
            let middle = first.saturating_add(between.saturating_sub(1) / 2);
            match node.nonce_at(&self.address, middle).await? > nonce {
                true => above = middle,
                false => below = Some(middle),
            }
        }
    }

    async fn user_in(&self, node: &Witness, nonce: u64, block: &BlockRef) -> Known<Used> {
        let transactions = node.transactions(block.height).await?;
        let mut users = transactions
            .into_iter()
            .filter(|transaction| transaction.from == self.address && transaction.nonce == nonce);
        match (users.next(), users.next()) {
            (Some(user), None) => Ok(Used {
                txid: user.txid,
                block: block.clone(),
            }),
            _ => {
                let height = block.height;
                Err(disagree(format!(
                    "on what used nonce {nonce} in block {height}"
                )))
            }
        }
    }
}
