//! The call of a case, put together from the texts of its arguments.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::Policy;
use policy::bundle::QuantityError;
use tx::evm::{Action, ArgumentsError, CallData, Function, Type};
use tx::{Address, Amount, Name};

use super::file::Called;

/// Why there is no call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UncalledError {
    /// The bundle declares no such function.
    #[error("the bundle has no function {:?}{}", .0.as_str(), .1)]
    Function(Name, String),
    /// Several contracts have it.
    #[error("several contracts have the function {:?}: give `contract`", .0.as_str())]
    Several(Name),
    /// An account without an address there.
    #[error("the argument {0:?}: no own account has an address there that is called so")]
    Account(String),
    /// An amount.
    #[error("{of}: {source}")]
    Quantity { of: String, source: QuantityError },
    /// The arguments.
    #[error(transparent)]
    Arguments(ArgumentsError),
}

/// The contract and function that are called.
///
/// # Errors
/// [`UncalledError`].
pub fn function<'p>(
    policy: &'p Policy,
    called: &'p Called,
) -> Result<(&'p Address, &'p Arc<Function>), UncalledError> {
    let is_it = |contract: &Address| {
        let wanted = called.contract.as_ref();
        wanted.is_none_or(|wanted| contract.qualified().eq_ignore_ascii_case(wanted))
    };
    let named = policy.functions.named(&called.function);
    let mut named = named.filter(|(contract, _)| is_it(contract));
    let place = called.contract.as_ref().map(|at| format!(" of {at}"));
    let unknown = || UncalledError::Function(called.function.clone(), place.unwrap_or_default());
    let found = named.next().ok_or_else(unknown)?;
    match named.next() {
        None => Ok(found),
        Some(_) => Err(UncalledError::Several(called.function.clone())),
    }
}

/// What a transaction does that calls it; `own` says where an own account is.
///
/// # Errors
/// [`UncalledError`].
pub fn action(
    policy: &Policy,
    called: &Called,
    own: impl Fn(&str) -> Option<Address>,
) -> Result<Action, UncalledError> {
    let (contract, function) = function(policy, called)?;
    let quantity = |of: &str, text: &str| -> Result<Amount, UncalledError> {
        let amount = policy.amount(text).map(|(_, amount)| amount);
        amount.map_err(|source| UncalledError::Quantity {
            of: of.to_owned(),
            source,
        })
    };
    let mut texts = BTreeMap::new();
    let leaves: BTreeMap<String, &Type> = function.signature.leaves().into_iter().collect();
    for (name, text) in &called.args {
        let text = match (leaves.get(name), text.strip_prefix("own-account:")) {
            (Some(Type::Address), Some(account)) => {
                let address = own(account).ok_or_else(|| UncalledError::Account(name.clone()))?;
                address.to_string()
            }
            (Some(Type::Uint(_)), None) if text.contains(' ') => quantity(name, text)?.to_string(),
            _ => text.clone(),
        };
        texts.insert(name.clone(), text);
    }
    let call = CallData::of_texts(function, &texts).map_err(UncalledError::Arguments)?;
    let value = called.value.as_deref();
    let value = value.map(|value| quantity("value", value)).transpose()?;
    Ok(Action::Call {
        contract: contract.clone(),
        value: value.unwrap_or_default(),
        call,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::fixture::{BUNDLE, bundle_of};
    use super::super::decide::{decide, differences};
    use super::super::file::Case;

    const MORE: &str = r#"
[[function]]
name = "stake"
contract = ["eip155:1:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", "eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8"]
signature = "stake(bytes key, (address owner, uint256 amount) of, string note)"
[[allow]]
name = "stake"
effect = "call"
asset = "eth"
function = "stake"
args."of.owner" = "own-account:hot"
args."of.amount" = { max = "2 eth" }
[[deny]]
name = "spoken"
effect = "call"
function = "stake"
args.note = "no"
[[limit]]
name = "calls"
effect = "call"
asset = "eth"
measure = "amount"
window = "24h"
cap = "3 eth"
[[limit]]
name = "calls-count"
effect = "call"
asset = "eth"
measure = "count"
window = "24h"
cap = "2"
"#;

    /// What is otherwise than a case expects, of a call that is good but for one change.
    fn told(change: (&str, &str), more: &str) -> Vec<String> {
        let case = r#"
name = "case"
client = "walletd"
account = "hot"
call = { function = "stake", contract = "eip155:1:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", value = "1 eth", args = { key = "0x00", "of.owner" = "own-account:hot", "of.amount" = "2 eth", note = "yes" } }
"#;
        assert!(case.contains(change.0), "{}", change.0);
        let text = format!("{}{more}", case.replace(change.0, change.1));
        let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let policy = bundle_of(&[BUNDLE, MORE].concat());
        match decide(&policy, &BTreeMap::new(), &case) {
            Ok(decided) => differences(&decided, &case),
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn a_case_calls_and_is_decided_by_its_arguments() {
        let same = ("name = \"case\"", "name = \"case\"");
        let permitted = "expect = \"permit\"\nallowed_by = [\"stake\", \"fees\"]\n";
        assert_eq!(told(same, permitted), [""; 0]);
        let uncovered = "expect = \"refuse\"\nrefused_by = [\"uncovered\"]\n";
        let stranger = "\"0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\", \"of.amount\"";
        assert_eq!(
            told(("\"own-account:hot\", \"of.amount\"", stranger), uncovered),
            [""; 0]
        );
        assert_eq!(told(("2 eth", "2000000000000000001"), uncovered), [""; 0]);
        let denied = "expect = \"refuse\"\nrefused_by = [\"spoken\"]\n";
        assert_eq!(told(("yes", "no"), denied), [""; 0]);
        let earlier = r#"
expect = "refuse"
refused_by = ["calls"]
[[earlier]]
ago = "1h"
call = { function = "stake", contract = "eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8", value = "2.5 eth", args = { key = "0x", "of.owner" = "own-account:hot", "of.amount" = "0", note = "" } }
"#;
        assert_eq!(told(same, earlier), [""; 0]);
        let twice = earlier
            .replace("2.5 eth", "0 eth")
            .replace("\"1h\"", "\"1h\"\ntimes = 2");
        let twice = twice.replace("[\"calls\"]", "[\"calls-count\"]");
        assert_eq!(told(same, &twice), [""; 0]);
    }

    const APPROVALS: &str = r#"
[[asset]]
name = "usdx"
asset = "eip155:1/erc20:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
decimals = 6
[[allow]]
name = "pool"
effect = "approval"
asset = "usdx"
to = "address:eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
[[limit]]
name = "approved"
effect = "approval"
asset = "usdx"
measure = "amount"
window = "24h"
cap = "8 usdx"
"#;

    /// A case approves a spender, and counts what was approved before.
    #[test]
    fn a_case_approves_a_spender_of_a_token() {
        let policy = bundle_of(&[BUNDLE, APPROVALS].concat());
        let told = |spender: &str, amount: &str, more: &str| {
            let text = format!(
                "name = \"case\"\nclient = \"walletd\"\naccount = \"hot\"\n\
                 approve = {{ spender = {spender:?}, amount = {amount:?} }}\n{more}"
            );
            let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
            match decide(&policy, &BTreeMap::new(), &case) {
                Ok(decided) => differences(&decided, &case),
                Err(error) => vec![error.to_string()],
            }
        };
        let pool = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
        let permitted = "expect = \"permit\"\nallowed_by = [\"pool\", \"fees\"]\n";
        assert_eq!(told(pool, "8 usdx", permitted), [""; 0]);
        assert_eq!(told(pool, "0 usdx", permitted), [""; 0]);
        let refused = |by: &str| format!("expect = \"refuse\"\nrefused_by = [{by:?}]\n");
        assert_eq!(told(pool, "8.000001 usdx", &refused("approved")), [""; 0]);
        let stranger = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        assert_eq!(told(stranger, "1 usdx", &refused("uncovered")), [""; 0]);
        let earlier = format!(
            "{}[[earlier]]\nago = \"1h\"\ntimes = 2\n\
             approve = {{ spender = {pool:?}, amount = \"3 usdx\" }}\n",
            refused("approved")
        );
        assert_eq!(told(pool, "3 usdx", &earlier), [""; 0]);
        let says = |spender: &str, amount: &str, more: &str| told(spender, amount, more).concat();
        assert!(says(pool, "1 eth", permitted).contains("is not paid by a transaction"));
        assert!(says("own-account:hot", "1 usdx", permitted).contains("is no address on eip155:1"));
        let paying = format!("{permitted}pay = [{{ to = {pool:?}, amount = \"1 usdx\" }}]\n");
        assert!(says(pool, "1 usdx", &paying).contains("or approves one spender"));
        let token = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
        assert!(says(token, "1 usdx", permitted).contains("evm-spender-token"));
    }

    const AT_RISK: &str = r#"
[[attester]]
name = "watch"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmRdIJNTONc/FmMYTZ4GK2H/UIxwHTRC8ouCSyMyVjI"]
says = ["final", "dead"]
[[limit]]
name = "at-risk"
effect = "call"
asset = "eth"
measure = "amount"
window = "48h"
cap = "2 eth"
outstanding = true
"#;

    /// What was signed earlier is outstanding unless the case says that it is final.
    #[test]
    fn what_was_signed_earlier_is_outstanding_until_it_is_final() {
        let policy = bundle_of(&[BUNDLE, MORE, AT_RISK].concat());
        let case = |earlier: &str, more: &str| {
            let call = |value: &str| {
                format!(
                    r#"call = {{ function = "stake", contract = "eip155:1:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", value = "{value}", args = {{ key = "0x00", "of.owner" = "own-account:hot", "of.amount" = "2 eth", note = "yes" }} }}"#
                )
            };
            let text = format!(
                "name = \"case\"\nclient = \"walletd\"\naccount = \"hot\"\n{}\n{more}\n[[earlier]]\nago = \"2h\"\n{}\n{earlier}\n",
                call("1.5 eth"),
                call("1.5 eth"),
            );
            let case: Case =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let decided = decide(&policy, &BTreeMap::new(), &case).unwrap();
            differences(&decided, &case)
        };
        let refused = "expect = \"refuse\"\nrefused_by = [\"at-risk\"]";
        assert_eq!(case("", refused), [""; 0]);
        assert_eq!(case("final = false", refused), [""; 0]);
        assert_eq!(case("final = true", "expect = \"permit\""), [""; 0]);
    }

    #[test]
    fn a_call_that_cannot_be_made_says_why() {
        let expect = "expect = \"permit\"\n";
        let cases = [
            (
                ("\"stake\"", "\"steak\""),
                "the bundle has no function \"steak\"",
            ),
            (
                (
                    "contract = \"eip155:1:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\", ",
                    "",
                ),
                "several contracts have",
            ),
            (
                ("0x3C44", "0x3D44"),
                "no function \"stake\" of eip155:1:0x3D44",
            ),
            (("key = \"0x00\", ", ""), "the argument \"key\" is missing"),
            (
                ("note =", "notes = \"\", note ="),
                "has no argument \"notes\"",
            ),
            (("0x00", "0x0"), "\"0x0\" is no bytes"),
            (
                ("own-account:hot", "own-account:cold"),
                "no own account has an address there",
            ),
            (("2 eth", "2 ether"), "the request: of.amount:"),
            (("1 eth", "1"), "the request: value:"),
        ];
        for (change, says) in cases {
            let told = told(change, expect).concat();
            assert!(told.contains(says), "{change:?}: {told}");
        }
        let paying =
            "expect = \"permit\"\npay = [{ to = \"own-account:hot\", amount = \"1 eth\" }]\n";
        let told = told(("yes", "yes"), paying).concat();
        assert!(told.contains("pays or calls once"), "{told}");
    }
}
