//! An unsigned transaction: its fields, and the rules that need no registry.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::{CallData, Refusal};
use crate::{Address, Amount, Chain, FeeTerms};

/// From what a plain transfer costs to half of the largest blocks; a larger limit only raises the
/// worst-case fee that a mistake can cost.
pub(super) const GAS_LIMIT: RangeInclusive<u64> = 21_000..=30_000_000;

/// An unsigned transfer on an EVM chain: what the signer understands, and what it re-encodes.
///
/// Made by [`Unsigned::new`] or [`Unsigned::parse`], which hold it to the same rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsigned {
    pub(super) chain_id: u64,
    #[serde(flatten)]
    pub(super) terms: Terms,
    pub(super) action: Action,
    fee_max: Amount,
}

/// The place in the account's sequence, and what is offered for inclusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// The account's nonce.
    pub nonce: u64,
    /// Most units of gas.
    pub gas_limit: u64,
    /// The price of a unit.
    pub fees: Fees,
}

/// What is paid for a unit of gas, which also decides the type of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Fees {
    /// A legacy transaction with a chain id.
    Eip155 {
        /// Wei a gas.
        gas_price: Amount,
    },
    /// Type 0x01, with an empty access list.
    Eip2930 {
        /// Wei a gas.
        gas_price: Amount,
    },
    /// Type 0x02, with an empty access list.
    Eip1559 {
        /// Most paid for a unit of gas, in wei.
        max_fee_per_gas: Amount,
        /// Most paid to the proposer for a unit of gas, in wei.
        max_priority_fee_per_gas: Amount,
    },
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Action {
    /// The chain's own coin moves; there is no calldata.
    Native {
        /// The recipient; the sender itself, with value 0, cancels the nonce.
        to: Address,
        /// In wei.
        value: Amount,
    },
    /// `transfer(address,uint256)` of an ERC-20 token; the value is 0.
    Erc20 {
        /// The token's contract.
        token: Address,
        /// The recipient.
        to: Address,
        /// In the token's base units.
        amount: Amount,
    },
    /// `approve(address,uint256)` of an ERC-20 token that the bundle declares; the value is 0.
    Approve {
        /// The token's contract.
        token: Address,
        /// Who may take of it from now on, in place of whatever they might before.
        spender: Address,
        /// How much at most, in the token's base units; 0 takes the right back.
        amount: Amount,
    },
    /// A declared function of a contract.
    Call {
        /// The contract.
        contract: Address,
        /// The native value that goes with it, in wei.
        value: Amount,
        /// The function and its arguments.
        call: CallData,
    },
}

impl Unsigned {
    /// Puts a transaction together.
    ///
    /// # Errors
    /// What [`Unsigned::parse`] would refuse in the payload of such a transaction.
    pub fn new(chain: Chain, terms: Terms, action: Action) -> Result<Self, Refusal> {
        let chain_id = chain_id(chain)?;
        terms.check()?;
        action.check(chain)?;
        let fee_max = Amount::from(terms.gas_limit)
            .checked_mul(terms.fees.max_fee_per_gas())
            .ok_or(Refusal::CostOverflow)?;
        // Nodes add the two in 256 bits.
        fee_max
            .checked_add(action.value())
            .ok_or(Refusal::CostOverflow)?;
        Ok(Self {
            chain_id,
            terms,
            action,
            fee_max,
        })
    }

    /// The chain.
    pub fn chain(&self) -> Chain {
        Chain::Evm(self.chain_id)
    }

    /// Nonce, gas limit and prices.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// What it does.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The most that inclusion can cost by gas, in wei. Chains that charge for the data they post
    /// elsewhere (OP Stack) take that beside it.
    pub fn fee_max(&self) -> Amount {
        self.fee_max
    }

    pub(super) fn fee_terms(&self) -> FeeTerms {
        FeeTerms::Evm {
            max_fee_per_gas: self.terms.fees.max_fee_per_gas(),
            max_priority_fee_per_gas: self.terms.fees.max_priority_fee_per_gas(),
            gas_limit: self.terms.gas_limit,
        }
    }
}

impl Terms {
    fn check(&self) -> Result<(), Refusal> {
        let Self {
            nonce, gas_limit, ..
        } = *self;
        if nonce == u64::MAX {
            return Err(Refusal::NonceExhausted);
        }
        if !GAS_LIMIT.contains(&gas_limit) {
            return Err(Refusal::GasLimit { gas_limit });
        }
        let cap = self.fees.max_fee_per_gas();
        if cap > Amount::from(u128::MAX) {
            return Err(Refusal::FeeCap { cap });
        }
        let priority = self.fees.max_priority_fee_per_gas();
        if priority > cap {
            return Err(Refusal::PriorityFee { priority, cap });
        }
        Ok(())
    }
}

impl Fees {
    /// Most paid for a unit of gas, in wei.
    pub fn max_fee_per_gas(&self) -> Amount {
        match *self {
            Self::Eip155 { gas_price } | Self::Eip2930 { gas_price } => gas_price,
            Self::Eip1559 {
                max_fee_per_gas, ..
            } => max_fee_per_gas,
        }
    }

    /// Most paid to the proposer for a unit of gas, in wei: before EIP-1559 all of it.
    pub fn max_priority_fee_per_gas(&self) -> Amount {
        match *self {
            Self::Eip155 { gas_price } | Self::Eip2930 { gas_price } => gas_price,
            Self::Eip1559 {
                max_priority_fee_per_gas,
                ..
            } => max_priority_fee_per_gas,
        }
    }
}

impl Action {
    /// Consumes the nonce of `from` and does nothing else.
    pub fn cancellation(from: Address) -> Self {
        Self::Native {
            to: from,
            value: Amount::ZERO,
        }
    }

    /// The native value that it sends, in wei.
    pub(super) fn value(&self) -> Amount {
        match self {
            Self::Native { value, .. } | Self::Call { value, .. } => *value,
            Self::Erc20 { .. } | Self::Approve { .. } => Amount::ZERO,
        }
    }

    /// Whom the transaction is sent to: the recipient, the token or the contract.
    pub(super) fn called(&self) -> &Address {
        match self {
            Self::Native { to, .. } => to,
            Self::Erc20 { token, .. } | Self::Approve { token, .. } => token,
            Self::Call { contract, .. } => contract,
        }
    }

    fn check(&self, chain: Chain) -> Result<(), Refusal> {
        match self {
            Self::Native { to, .. } => check_destination(chain, to),
            Self::Erc20 { token, to, amount } => {
                // A token may live in the reserved range (Polygon's 0x…1010), not at zero.
                check_chain(chain, token)?;
                check_not_zero(token)?;
                check_destination(chain, to)?;
                if to == token {
                    let address = token.clone();
                    return Err(Refusal::DestinationToken { address });
                }
                if amount.is_zero() {
                    return Err(Refusal::AmountZero);
                }
                Ok(())
            }
            Self::Approve { token, spender, .. } => {
                check_chain(chain, token)?;
                check_not_zero(token)?;
                check_spender(chain, token, spender)
            }
            Self::Call { contract, .. } => {
                // System contracts live in the reserved range.
                check_chain(chain, contract)?;
                check_not_zero(contract)
            }
        }
    }
}

pub(super) fn chain_id(chain: Chain) -> Result<u64, Refusal> {
    match chain {
        Chain::Evm(id) => Ok(id),
        _ => Err(Refusal::ChainFamily { chain }),
    }
}

fn check_destination(chain: Chain, to: &Address) -> Result<(), Refusal> {
    check_chain(chain, to)?;
    check_not_zero(to)?;
    // Precompiled contracts (EIP-1352 reserves up to 0xffff), the system contracts that many chains
    // put there, and 0x…dead: nobody holds a key to any of them.
    if to.as_bytes().starts_with(&[0; 18]) {
        let address = to.clone();
        return Err(Refusal::DestinationReserved { address });
    }
    Ok(())
}

/// Nobody is at the zero address, and no token spends itself: whoever asks for either means something else.
fn check_spender(chain: Chain, token: &Address, spender: &Address) -> Result<(), Refusal> {
    check_chain(chain, spender)?;
    check_not_zero(spender).map_err(|_| Refusal::SpenderZero)?;
    if spender == token {
        let address = token.clone();
        return Err(Refusal::SpenderToken { address });
    }
    check_destination(chain, spender)
}

fn check_chain(chain: Chain, address: &Address) -> Result<(), Refusal> {
    if address.chain() == chain {
        return Ok(());
    }
    let address = address.clone();
    Err(Refusal::AddressChain { address, chain })
}

fn check_not_zero(address: &Address) -> Result<(), Refusal> {
    if address.as_bytes().iter().all(|byte| *byte == 0) {
        return Err(Refusal::DestinationZero);
    }
    Ok(())
}
