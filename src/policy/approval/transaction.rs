//! What people sign when they approve or reject a transaction that pays no intent.

use tx::{Argument, Decoded, Effect, EffectKind, FeeTerms, Time, ValidUntil};

use super::{BYTES_MAX, Known, Lines, Says, field, in_fours};
use crate::{
    Digest, Policy, ProposedTransaction,
    statement::{Answers, Header, Kind, StatementError, opened},
};

/// A statement by which a person approves or rejects one transaction, to the byte, for a need.
///
/// ```text
/// strongroom-transaction-approval-v1
/// fleet main
/// answers entry 1207
/// decision approve
/// client walletd
/// request stake-7
/// transaction <SHA-256 of the transaction as it was registered>
/// chain eip155:1
/// account hot
/// consumes nonce eip155:1:0x…:7
/// signs hot-key <digest>
/// valid-until unbounded
/// gas-limit 200000
/// max-fee-per-gas 30000000000
/// max-priority-fee-per-gas 1000000000
/// effects 2
/// effect call
/// asset eip155:1/native
/// amount 1000000000000000000
/// units 1 eth
/// to 0x90 F79b f6EB 2c4f 8703 65E7 8598 2E1f 101E 93b9 06
/// known-as nobody
/// no tag
/// function stake stake(bytes,address,uint256)
/// argument owner 0x70 9979 70C5 1812 dc3A 010C 7d01 b50e 0d17 dc79 C8
/// argument amount 1000000000000000000
/// effect fee
/// asset eip155:1/native
/// amount 6000000000000000
/// units 0.006 eth
/// to nobody
/// known-as nobody
/// no tag
/// transaction-expires 2026-11-22T20:00:00Z
/// need <fingerprint>
/// people 2 of alice bob carol
/// delay-secs 0
/// valid-secs 86400
/// rejection blocks
/// rejected-before 0
/// expires 2026-11-21T20:00:00Z
/// ```
///
/// The entry is the one that registered the transaction. `consumes` and `signs` stand once for each, `vsize`
/// instead of the lines about gas on Bitcoin-like chains, and `spender` instead of `to` of an approval, whose amount is
/// all that the spender may take from then on. An amount of a fee is the most that it can be. An
/// argument's text is the one that its value has ([`tx::evm::Value`]), an address in groups of four; behind it
/// stands `own-account` where it is ours. What else there is to a line is as in [`super::Approval`]. The form is
/// injective: the digest is of the whole transaction, and all that is not of it has its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionApproval {
    /// What the person says.
    pub says: Says,
    /// The entry that registered the transaction.
    pub entry: u64,
    /// SHA-256 of the transaction ([`crate::ProposedTransaction::digest`]).
    pub transaction: Digest,
    /// The need that it is for, by its fingerprint.
    pub need: Digest,
    /// The last entry by which somebody rejected the transaction, or 0.
    pub rejected_before: u64,
    /// When it holds no longer.
    pub expires: Time,
}

impl TransactionApproval {
    /// The namespace of the signatures.
    pub const NAMESPACE: &str = "strongroom-transaction-approval-v1";

    /// What a text says, as far as it has to be known to render it. It counts for nothing unless
    /// [`TransactionApproval::text`] is the very same.
    ///
    /// # Errors
    /// [`StatementError`] for a text that is none of such an approval.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (header, _) = opened(text, BYTES_MAX)?;
        let Header {
            kind: Kind::TransactionApproval,
            version: 1,
            answers: Answers::Entry(entry),
            ..
        } = header
        else {
            return Err(StatementError::Kind);
        };
        Ok(Self {
            says: field(text, "decision ", "`decision approve` or `decision reject`")?,
            entry,
            transaction: field(text, "transaction ", "`transaction <hash>`")?,
            need: field(text, "need ", "`need <fingerprint>`")?,
            rejected_before: field(text, "rejected-before ", "`rejected-before <entry>`")?,
            expires: field(text, "expires ", "`expires <time>`")?,
        })
    }

    /// The text, of the transaction that an entry registered, as it is understood under this policy; `None` where it is of another one, or
    /// no statement has the need.
    pub fn text(
        &self,
        policy: &Policy,
        (entry, proposed): (u64, &ProposedTransaction),
        understood: &Decoded,
    ) -> Option<String> {
        let mut needs = policy.needs();
        let need = needs.find(|need| need.fingerprint() == self.need)?;
        let is_it = (entry, proposed.digest()) == (self.entry, self.transaction);
        let mut lines = Lines::of(&Header {
            kind: Kind::TransactionApproval,
            version: 1,
            fleet: policy.fleet.clone(),
            answers: Answers::Entry(self.entry),
        });
        lines.add("decision", self.says);
        lines.add("client", &proposed.client);
        lines.add("request", &proposed.request);
        lines.add("transaction", self.transaction);
        lines.understood(policy, understood);
        lines.add("transaction-expires", proposed.expires);
        lines.add("need", self.need);
        lines.need(need);
        lines.add("rejected-before", self.rejected_before);
        lines.add("expires", self.expires);
        (is_it && lines.0.len() <= BYTES_MAX).then_some(lines.0)
    }
}

impl Lines {
    fn understood(&mut self, policy: &Policy, understood: &Decoded) {
        self.add("chain", understood.chain());
        self.add("account", understood.account());
        for key in understood.conflict_keys() {
            self.add("consumes", key);
        }
        for signing in understood.signings() {
            self.add(
                "signs",
                format_args!("{} {}", signing.key, Digest(signing.digest)),
            );
        }
        match understood.valid_until() {
            ValidUntil::Time(time) => self.add("valid-until", time),
            _ => self.add("valid-until", "unbounded"),
        }
        self.fee_terms(understood.fee_terms());
        self.add("effects", understood.effects().len());
        for effect in understood.effects() {
            self.effect(policy, effect);
        }
    }

    fn fee_terms(&mut self, terms: FeeTerms) {
        match terms {
            FeeTerms::Evm {
                max_fee_per_gas,
                max_priority_fee_per_gas,
                gas_limit,
            } => {
                self.add("gas-limit", gas_limit);
                self.add("max-fee-per-gas", max_fee_per_gas);
                self.add("max-priority-fee-per-gas", max_priority_fee_per_gas);
            }
            // The fee is an effect.
            FeeTerms::Utxo { vsize, .. } => self.add("vsize", vsize),
            other => self.add("fee-terms", format_args!("{other:?}")),
        }
    }

    fn effect(&mut self, policy: &Policy, effect: &Effect) {
        let known = Known::of_effect(policy, effect);
        self.add("effect", effect.kind.as_str());
        self.add("asset", &effect.asset);
        self.add("amount", effect.amount);
        self.units(&known, effect.amount);
        let toward = match effect.kind {
            EffectKind::Approval => "spender",
            _ => "to",
        };
        match &effect.to {
            Some(to) => self.add(toward, in_fours(&to.address.to_string())),
            None => self.add(toward, "nobody"),
        }
        self.known_as(&known);
        match &effect.tag {
            Some(tag) => self.add("tag", tag.escape_default()),
            None => self.add("no", "tag"),
        }
        if let Some(call) = &effect.call {
            self.add(
                "function",
                format_args!("{} {}", call.function, call.signature),
            );
            for argument in &call.arguments {
                self.argument(argument);
            }
        }
    }

    fn argument(&mut self, argument: &Argument) {
        let Argument { name, value, own } = argument;
        // No value of another type looks so, but for 20 bytes, which have one text of their own either way.
        let is_address = value.len() == 42 && value.starts_with("0x");
        match is_address {
            true => self.add("argument", format_args!("{name} {}", in_fours(value))),
            false => self.add("argument", format_args!("{name} {value}")),
        }
        if let Some(own) = own {
            self.add("own-account", &own.account);
        }
    }
}

impl<'p> Known<'p> {
    /// What the policy says of an effect's asset and destination, and the registry of whose it is.
    fn of_effect(policy: &'p Policy, effect: &'p Effect) -> Self {
        let to = effect.to.as_ref();
        let own = to.and_then(|to| to.own.as_ref());
        let known = Self::of_parties(policy, &effect.asset, to.map(|to| &to.address));
        Self {
            accounts: own.map(|own| &own.account).into_iter().collect(),
            ..known
        }
    }
}
