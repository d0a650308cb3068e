//! The payload: an unsigned transaction's bytes, read and written by one codec.

use super::{
    Action, Fees, Functions, Refusal, Terms, Unsigned,
    calldata::{TokenCall, TokenFunction, encode_token},
    rlp::{List, Reader, RlpFault},
    unsigned::chain_id,
};
use crate::{Address, Amount, Chain, EcdsaSignature};

/// What the Ethereum nodes relay at most (`txMaxSize` in go-ethereum). It bounds the calldata too.
const PAYLOAD_BYTES_MAX: usize = 128 * 1024;

/// How the fields are wrapped, by the first byte (EIP-2718).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Envelope {
    /// `rlp([nonce, gasPrice, gasLimit, to, value, data, chainId, 0, 0])`.
    Eip155,
    /// `0x01 ‖ rlp([chainId, nonce, gasPrice, gasLimit, to, value, data, accessList])`.
    Eip2930,
    /// `0x02 ‖ rlp([chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to, value, data,
    /// accessList])`.
    Eip1559,
}

impl Unsigned {
    /// Reads the payload of a transaction of `chain`: `0x` and the bytes that are signed, in
    /// hexadecimal of either case.
    ///
    /// # Errors
    /// Everything that is not exactly one canonical EIP-1559, EIP-2930 or EIP-155 transfer that
    /// does not already carry a signature.
    pub fn parse(chain: Chain, payload: &str) -> Result<Self, Refusal> {
        Self::parse_with(chain, payload, Functions::NONE)
    }

    /// As [`Unsigned::parse`], also of calls of these functions and of approvals of their tokens.
    ///
    /// # Errors
    /// As there.
    pub fn parse_with(chain: Chain, payload: &str, functions: &Functions) -> Result<Self, Refusal> {
        let bytes = from_hex(payload)?;
        let unsigned = read(chain, &bytes, functions)?;
        check_identical(&unsigned.encode(), &bytes)?;
        Ok(unsigned)
    }

    /// The payload: `0x` and lower-case hexadecimal.
    pub fn payload(&self) -> String {
        hex::encode_prefixed(self.encode())
    }

    /// The bytes whose Keccak-256 is signed.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self.terms.fees {
            Fees::Eip155 { .. } => {
                self.encode_with(&[self.chain_id.into(), Amount::ZERO, Amount::ZERO])
            }
            Fees::Eip2930 { .. } | Fees::Eip1559 { .. } => self.encode_with(&[]),
        }
    }

    /// The bytes to broadcast. The signature's recovery id is 0 or 1.
    pub(super) fn encode_signed(&self, signature: &EcdsaSignature) -> Vec<u8> {
        let parity = u128::from(signature.recovery_id);
        let v = match self.terms.fees {
            // EIP-155: 35 + 2 · chain id + parity; of a 64-bit id that is far below 2^128.
            Fees::Eip155 { .. } => u128::from(self.chain_id)
                .saturating_mul(2)
                .saturating_add(35)
                .saturating_add(parity),
            Fees::Eip2930 { .. } | Fees::Eip1559 { .. } => parity,
        };
        self.encode_with(&[v.into(), signature.r_amount(), signature.s_amount()])
    }

    /// Unsigned and signed transactions differ in their last numbers only.
    fn encode_with(&self, tail: &[Amount]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut list = List::default();
        match self.terms.fees {
            Fees::Eip155 { gas_price } => list.number(self.terms.nonce).number(gas_price),
            Fees::Eip2930 { gas_price } => {
                out.push(0x01);
                list.number(self.chain_id)
                    .number(self.terms.nonce)
                    .number(gas_price)
            }
            Fees::Eip1559 {
                max_fee_per_gas,
                max_priority_fee_per_gas,
            } => {
                out.push(0x02);
                list.number(self.chain_id)
                    .number(self.terms.nonce)
                    .number(max_priority_fee_per_gas)
                    .number(max_fee_per_gas)
            }
        };
        list.number(self.terms.gas_limit)
            .string(self.action.called().as_bytes())
            .number(self.action.value())
            .string(&self.action.calldata());
        if !matches!(self.terms.fees, Fees::Eip155 { .. }) {
            list.empty_list();
        }
        for number in tail {
            list.number(*number);
        }
        list.write(&mut out);
        out
    }
}

impl Action {
    fn parse(
        chain: Chain,
        to: &[u8],
        value: Amount,
        (calldata, functions): (&[u8], &Functions),
    ) -> Result<Self, Refusal> {
        let length = to.len();
        let called = match <[u8; 20]>::try_from(to) {
            Ok(to) => address(chain, to)?,
            Err(_) if to.is_empty() => return Err(Refusal::ContractCreation),
            Err(_) => return Err(Refusal::ToLength { length }),
        };
        if calldata.is_empty() {
            return Ok(Self::Native { to: called, value });
        }
        if let Some(call) = functions.read(&called, calldata) {
            return Ok(Self::Call {
                contract: called,
                value,
                call: call?,
            });
        }
        let known = match functions.is_token(&called) {
            true => TokenFunction::OF_DECLARED,
            false => TokenFunction::OF_ANY,
        };
        let read = TokenCall::parse(calldata, known)?;
        if !value.is_zero() {
            return Err(Refusal::ValueWithCall { value });
        }
        let (token, amount) = (called, read.amount);
        let to = address(chain, read.to)?;
        Ok(match read.function {
            TokenFunction::Transfer => Self::Erc20 { token, to, amount },
            TokenFunction::Approve => Self::Approve {
                token,
                spender: to,
                amount,
            },
        })
    }

    /// The bytes that go with it; none of a native transfer.
    pub fn calldata(&self) -> Vec<u8> {
        match self {
            Self::Native { .. } => Vec::new(),
            Self::Erc20 { to, amount, .. } => {
                encode_token(TokenFunction::Transfer, to.as_bytes(), *amount)
            }
            Self::Approve {
                spender, amount, ..
            } => encode_token(TokenFunction::Approve, spender.as_bytes(), *amount),
            Self::Call { call, .. } => call.encode(),
        }
    }
}

impl Envelope {
    /// The envelope, and the list in it.
    fn split(bytes: &[u8]) -> Result<(Self, &[u8]), Refusal> {
        let (&first_byte, rest) = bytes.split_first().ok_or(Refusal::PayloadEmpty)?;
        match first_byte {
            0x01 => Ok((Self::Eip2930, rest)),
            0x02 => Ok((Self::Eip1559, rest)),
            0x03 => Err(Refusal::Blob),
            0x04 => Err(Refusal::SetCode),
            0x19 => Err(Refusal::Message),
            0xc0.. => Ok((Self::Eip155, bytes)),
            _ => Err(Refusal::TypeUnknown { first_byte }),
        }
    }

    fn check_field_count(self, found: usize) -> Result<(), Refusal> {
        let (expected, signed) = match self {
            // A signed legacy transaction has as many fields: it is told by its last two.
            Self::Eip155 => (9, None),
            Self::Eip2930 => (8, Some(11)),
            Self::Eip1559 => (9, Some(12)),
        };
        if found == expected {
            Ok(())
        } else if Some(found) == signed {
            Err(Refusal::Signed)
        } else if self == Self::Eip155 && found == 6 {
            Err(Refusal::NoChainId)
        } else {
            Err(Refusal::FieldCount { expected, found })
        }
    }
}

/// The fields of a transaction, in their order.
struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    fn string(&mut self, field: &'static str) -> Result<&'a [u8], Refusal> {
        self.0.string().map_err(in_field(field))
    }

    /// A number of at most 256 bits, without leading zeros.
    fn number(&mut self, field: &'static str) -> Result<Amount, Refusal> {
        self.number_of::<32>(field).map(Amount::from_be_bytes)
    }

    /// A number of at most 64 bits, without leading zeros.
    fn u64(&mut self, field: &'static str) -> Result<u64, Refusal> {
        self.number_of::<8>(field).map(u64::from_be_bytes)
    }

    fn number_of<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Refusal> {
        let digits = self.string(field)?;
        if digits.first() == Some(&0) {
            return Err(Refusal::NumberLeadingZero { field });
        }
        let too_large = Refusal::NumberTooLarge {
            field,
            max_bytes: N,
        };
        let zeros = N.checked_sub(digits.len()).ok_or(too_large.clone())?;
        let mut bytes = [0; N];
        bytes
            .get_mut(zeros..)
            .ok_or(too_large)?
            .copy_from_slice(digits);
        Ok(bytes)
    }

    fn chain_id(&mut self, expected: u64) -> Result<(), Refusal> {
        let found = self.u64("chain id")?;
        check_chain_id(expected, found)
    }

    fn empty_access_list(&mut self) -> Result<(), Refusal> {
        let list = self.0.list().map_err(in_field("access list"))?;
        if list.is_empty() {
            Ok(())
        } else {
            Err(Refusal::AccessList)
        }
    }

    /// `chainId, 0, 0`, where a signed transaction has `v, r, s`.
    fn eip155_tail(&mut self, expected: u64) -> Result<(), Refusal> {
        let found = self.u64("chain id")?;
        let r = self.string("first zero")?;
        let s = self.string("second zero")?;
        if !r.is_empty() || !s.is_empty() {
            return Err(Refusal::Signed);
        }
        check_chain_id(expected, found)
    }
}

fn read(chain: Chain, bytes: &[u8], functions: &Functions) -> Result<Unsigned, Refusal> {
    let id = chain_id(chain)?;
    let (envelope, list) = Envelope::split(bytes)?;
    let reader = Reader::of_list(list).map_err(in_field("transaction"))?;
    envelope.check_field_count(reader.count().map_err(in_field("transaction"))?)?;
    let mut fields = Fields(reader);
    if envelope != Envelope::Eip155 {
        fields.chain_id(id)?;
    }
    let nonce = fields.u64("nonce")?;
    let fees = read_fees(envelope, &mut fields)?;
    let gas_limit = fields.u64("gas limit")?;
    let to = fields.string("recipient")?;
    let value = fields.number("value")?;
    let calldata = fields.string("calldata")?;
    match envelope {
        Envelope::Eip155 => fields.eip155_tail(id)?,
        Envelope::Eip2930 | Envelope::Eip1559 => fields.empty_access_list()?,
    }
    let terms = Terms {
        nonce,
        gas_limit,
        fees,
    };
    let action = Action::parse(chain, to, value, (calldata, functions))?;
    Unsigned::new(chain, terms, action)
}

fn read_fees(envelope: Envelope, fields: &mut Fields<'_>) -> Result<Fees, Refusal> {
    Ok(match envelope {
        Envelope::Eip155 => Fees::Eip155 {
            gas_price: fields.number("gas price")?,
        },
        Envelope::Eip2930 => Fees::Eip2930 {
            gas_price: fields.number("gas price")?,
        },
        // The priority fee comes first in the encoding.
        Envelope::Eip1559 => Fees::Eip1559 {
            max_priority_fee_per_gas: fields.number("priority fee")?,
            max_fee_per_gas: fields.number("fee cap")?,
        },
    })
}

fn from_hex(payload: &str) -> Result<Vec<u8>, Refusal> {
    let digits = payload.strip_prefix("0x").ok_or(Refusal::PayloadForm)?;
    let length = digits.len().div_ceil(2);
    if length > PAYLOAD_BYTES_MAX {
        let max = PAYLOAD_BYTES_MAX;
        return Err(Refusal::PayloadSize { length, max });
    }
    // The decoder would also take a second `0x`.
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Refusal::PayloadForm);
    }
    hex::decode(digits).map_err(|_| Refusal::PayloadForm)
}

/// The last line of defence: whatever the reader forgave or lost, the bytes differ.
fn check_identical(encoded: &[u8], sent: &[u8]) -> Result<(), Refusal> {
    if encoded == sent {
        Ok(())
    } else {
        Err(Refusal::NotIdentical)
    }
}

fn check_chain_id(expected: u64, found: u64) -> Result<(), Refusal> {
    if found == expected {
        Ok(())
    } else {
        Err(Refusal::ChainId { expected, found })
    }
}

fn address(chain: Chain, bytes: [u8; 20]) -> Result<Address, Refusal> {
    Address::evm(chain, bytes).ok_or(Refusal::ChainFamily { chain })
}

fn in_field(field: &'static str) -> impl Fn(RlpFault) -> Refusal {
    move |fault| Refusal::Rlp { field, fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_are_not_identical() {
        let refusal = check_identical(&[1, 2], &[1, 3]).unwrap_err();
        assert_eq!(refusal.code(), "evm-not-identical");
        assert_eq!(check_identical(&[1, 2], &[1, 2]), Ok(()));
    }
}
