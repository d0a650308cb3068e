//! What blocks mean for a view.

use tx::utxo::Outpoint;

use super::{ApplyError, BLOCKS_KEPT, undo::Applying};
use crate::{
    change::{BlockRead, Spend},
    evidence::BlockRef,
};

impl Applying<'_> {
    pub(super) fn block(&mut self, read: &BlockRead) -> Result<(), ApplyError> {
        let height = read.block.height;
        let misfit = |what| ApplyError::Block { height, what };
        if let Some(tip) = self.view.blocks.back()
            && (tip.hash != read.previous || tip.height.checked_add(1) != Some(height))
        {
            return Err(misfit("it does not follow the best block"));
        }
        for coin in &read.made {
            if coin.height != height {
                return Err(misfit("it does not make a coin of this height"));
            }
            let outpoint = &coin.outpoint;
            if self.view.coins.contains_key(outpoint) || self.view.spent.contains_key(outpoint) {
                return Err(misfit("it makes a coin that is there already"));
            }
            self.add_coin(coin.clone());
        }
        for spend in &read.spent {
            self.spend(height, spend)?;
        }
        self.blocks_mut().push_back(read.block.clone());
        self.forget_deep(height);
        Ok(())
    }

    fn spend(&mut self, height: u64, spend: &Spend) -> Result<(), ApplyError> {
        let coin = self.remove_coin(spend.outpoint).ok_or(ApplyError::Block {
            height,
            what: "it spends a coin that is not there",
        })?;
        self.add_spent(spend.outpoint, (coin, height, spend.txid.clone()));
        Ok(())
    }

    fn forget_deep(&mut self, height: u64) {
        while self.view.blocks.len() > BLOCKS_KEPT {
            self.blocks_mut().pop_front();
        }
        let depth = u64::try_from(BLOCKS_KEPT).unwrap_or(u64::MAX);
        let deep = self.view.spent.iter();
        let deep: Vec<Outpoint> = deep
            .filter(|(_, (_, at, _))| at.saturating_add(depth) <= height)
            .map(|(outpoint, _)| *outpoint)
            .collect();
        for outpoint in deep {
            self.remove_spent(outpoint);
        }
    }

    pub(super) fn rewind(&mut self, to: &BlockRef) -> Result<(), ApplyError> {
        if !self.view.blocks.contains(to) {
            return Err(ApplyError::Block {
                height: to.height,
                what: "it is not among the blocks that were read last",
            });
        }
        self.blocks_mut().retain(|block| block.height <= to.height);
        let unspent = self.view.spent.iter();
        let unspent: Vec<Outpoint> = unspent
            .filter(|(_, (_, at, _))| *at > to.height)
            .map(|(outpoint, _)| *outpoint)
            .collect();
        for outpoint in unspent {
            if let Some((coin, _, _)) = self.remove_spent(outpoint) {
                self.add_coin(coin);
            }
        }
        let unmade = self.view.coins.values();
        let unmade: Vec<Outpoint> = unmade
            .filter(|coin| coin.height > to.height)
            .map(|coin| coin.outpoint)
            .collect();
        for outpoint in unmade {
            self.remove_coin(outpoint);
        }
        Ok(())
    }
}
