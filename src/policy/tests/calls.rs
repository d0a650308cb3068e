//! Calls of declared functions: which statements speak of them, what is counted, and what is narrower.

use std::sync::Arc;

use strongroom_policy::{
    Allow, ArgumentCondition, ArgumentConditions, BundleHash, Deny, FunctionId, Integer, Limit,
    Measure, Policy, ReasonCode, Selector, Statement, To, widenings,
};
use tx::{
    AccountClass, Address, Amount, Argument, Call, EffectKind, Own,
    evm::{Function, Signature},
};

use crate::fixture::{
    Ask, DAY, ETH, Signer, amount, book, effects, eth, limit, name, policy, statement, stranger,
};

const STAKE: &str = "stake(address,uint256)";

fn contract() -> Address {
    stranger(ETH, 100)
}

/// A call of `stake(address owner, uint256 amount)` that sends one unit.
fn stakes(nonce: u64, owner: &Address, staked: u64) -> Ask {
    let id = format!("c{nonce}");
    let to = Some((contract(), None));
    let mut ask = Ask::evm(&id, nonce, 1).effect(EffectKind::Call, 1, to);
    let argument = |name: &str, value: String| Argument {
        name: name.into(),
        value,
        own: None,
    };
    let call = Call {
        function: name("stake"),
        signature: STAKE.into(),
        arguments: vec![
            argument("owner", owner.to_string()),
            argument("amount", staked.to_string()),
        ],
    };
    ask.transaction.effects[0].call = Some(Box::new(call));
    ask
}

fn call_mut(ask: &mut Ask) -> &mut Call {
    ask.transaction.effects[0].call.as_mut().unwrap()
}

fn to(owner: To) -> ArgumentCondition {
    ArgumentCondition::To([owner].into())
}

fn at_most(max: &str) -> ArgumentCondition {
    let max: Option<Integer> = max.parse().ok();
    ArgumentCondition::Within { over: None, max }
}

/// What speaks of `stake` where its arguments are so.
fn staking(conditions: impl IntoIterator<Item = (usize, ArgumentCondition)>) -> Selector {
    let id = FunctionId {
        contract: contract(),
        signature: STAKE.into(),
    };
    let conditions: ArgumentConditions = conditions.into_iter().collect();
    Selector {
        functions: Some([(id, conditions)].into()),
        ..effects(&[EffectKind::Call])
    }
}

fn known() -> To {
    To::Book(name("known"))
}

/// Up to 10 for owners in the book.
fn running() -> Policy {
    let mut policy = policy();
    let staked = staking([(0, to(known())), (1, at_most("10"))]);
    policy.books.insert(name("known"), book([stranger(ETH, 1)]));
    policy.allows = vec![
        statement("stake", staked, Allow),
        statement("fees", effects(&[EffectKind::Fee]), Allow),
    ];
    policy
}

fn counting(conditions: impl IntoIterator<Item = (usize, ArgumentCondition)>) -> Statement<Limit> {
    let mut counting = limit("stakes", eth(), 100, DAY);
    counting.selector = Selector {
        assets: Some([eth()].into()),
        ..staking(conditions)
    };
    counting.says.measure = Measure::Count;
    counting
}

fn used(signer: &Signer) -> Amount {
    let rooms = signer.state.room(signer.now).unwrap();
    let mut of_limit = rooms.iter().filter(|room| room.limit == name("stakes"));
    of_limit.next().map_or(Amount::ZERO, |room| room.used)
}

#[test]
fn an_allow_covers_the_arguments_that_it_names_and_no_others() {
    let mut signer = Signer::new(running());
    let uncovered = [ReasonCode::Uncovered].into();
    assert_eq!(signer.codes(&stakes(0, &stranger(ETH, 2), 5)), uncovered);
    assert_eq!(signer.codes(&stakes(0, &stranger(ETH, 1), 11)), uncovered);
    let mut other = stakes(0, &stranger(ETH, 1), 5);
    call_mut(&mut other).signature = "stake(address,uint128)".into();
    assert_eq!(signer.codes(&other), uncovered);
    // A text that is no number is below no number.
    let mut other = stakes(0, &stranger(ETH, 1), 5);
    call_mut(&mut other).arguments[1].value = "[5]".into();
    assert_eq!(signer.codes(&other), uncovered);
    // An argument too few.
    let mut other = stakes(0, &stranger(ETH, 1), 5);
    call_mut(&mut other).arguments.pop();
    assert_eq!(signer.codes(&other), uncovered);
    let mut elsewhere = stakes(0, &stranger(ETH, 1), 5);
    let to = elsewhere.transaction.effects[0].to.as_mut().unwrap();
    to.address = stranger(ETH, 101);
    assert_eq!(signer.codes(&elsewhere), uncovered);
    signer.charged(&stakes(0, &stranger(ETH, 1), 10));
}

/// A payment to the contract is no call of it, whatever is said of functions.
#[test]
fn conditions_on_functions_speak_of_calls_alone() {
    let mut policy = policy();
    let mut selector = staking([]);
    selector.effects = None;
    policy.denies = vec![statement("stake", selector, Deny)];
    let signer = Signer::new(policy.clone());
    let to = Some((contract(), None));
    let pays = Ask::evm("p", 0, 1).effect(EffectKind::OwnTransfer, 1, to);
    assert!(signer.permit(&pays).is_ok());
    let codes = signer.codes(&stakes(0, &stranger(ETH, 1), 5));
    assert!(codes.contains(&ReasonCode::Denied), "{codes:?}");
}

#[test]
fn own_accounts_are_told_by_the_registry_and_not_by_their_address_alone() {
    let mut policy = running();
    let cold = to(To::OwnClass(AccountClass::Cold));
    policy.allows[0].selector = staking([(0, cold)]);
    let signer = Signer::new(policy);
    let vault = stranger(ETH, 200);
    let mut ask = stakes(0, &vault, 5);
    // The codec says whose it is.
    assert_eq!(signer.codes(&ask), [ReasonCode::Uncovered].into());
    call_mut(&mut ask).arguments[0].own = Some(Own {
        account: name("cold"),
        class: AccountClass::Cold,
    });
    assert!(signer.permit(&ask).is_ok());
}

/// What was charged counts by the books of its time or by the present ones, after it was put away in blocks,
/// and under whatever names.
#[test]
fn no_edit_forgets_a_call() {
    let mut running = running();
    running.limits = vec![counting([(0, to(known()))])];
    let mut signer = Signer::new(running.clone());
    // More than stand in one block of charges.
    for nonce in 0..80 {
        signer.charged(&stakes(nonce, &stranger(ETH, 1), nonce % 10));
    }
    assert_eq!(used(&signer), amount(80));
    let mut sequence = 1;
    let mut under = |signer: &mut Signer, change: &dyn Fn(&mut Policy)| {
        let mut edited = running.clone();
        sequence += 1;
        edited.sequence = sequence;
        edited.hash = BundleHash([u8::try_from(sequence).unwrap(); 32]);
        change(&mut edited);
        signer.activate(edited);
        used(signer)
    };
    let emptied = |policy: &mut Policy| {
        policy.books.insert(name("known"), book([]));
    };
    assert_eq!(under(&mut signer, &emptied), amount(80));
    let by_number = |policy: &mut Policy| policy.limits = vec![counting([(1, at_most("4"))])];
    assert_eq!(under(&mut signer, &by_number), amount(40));
    let another = |policy: &mut Policy| {
        policy
            .books
            .insert(name("others"), book([stranger(ETH, 1)]));
        policy.limits = vec![counting([(0, to(To::Book(name("others"))))])];
    };
    // By the present book, which there was none of then.
    assert_eq!(under(&mut signer, &another), amount(80));
    let of_nobody = |policy: &mut Policy| {
        policy.limits = vec![counting([(0, to(To::Address(stranger(ETH, 2))))])];
    };
    assert_eq!(under(&mut signer, &of_nobody), Amount::ZERO);
}

#[test]
fn a_limit_on_what_is_called_ends_it() {
    let mut policy = running();
    let mut two = counting([(1, at_most("5"))]);
    two.says.cap = amount(2);
    policy.limits = vec![two];
    let mut signer = Signer::new(policy);
    let owner = stranger(ETH, 1);
    signer.charged(&stakes(0, &owner, 5));
    signer.charged(&stakes(1, &owner, 1));
    assert_eq!(
        signer.codes(&stakes(2, &owner, 4)),
        [ReasonCode::Limit].into()
    );
    signer.charged(&stakes(2, &owner, 6));
}

fn declared(policy: &mut Policy, signature: &str) {
    let function = Function {
        name: name("stake"),
        signature: Signature::parse(signature).unwrap(),
    };
    let functions = &mut policy.functions;
    functions.declare(contract(), Arc::new(function)).unwrap();
}

#[test]
fn what_may_be_called_is_narrower_where_less_may() {
    let mut running = running();
    declared(&mut running, "stake(address owner, uint256 amount)");
    running.denies = vec![statement("deny", staking([(1, at_most("1"))]), Deny)];
    running.limits = vec![counting([(0, to(known()))])];
    let wider = |change: &dyn Fn(&mut Policy)| {
        let mut offered = running.clone();
        change(&mut offered);
        !widenings(&running, &offered).is_empty()
    };
    let allow = |conditions: &[(usize, ArgumentCondition)]| {
        let conditions = conditions.to_vec();
        wider(&move |policy| policy.allows[0].selector = staking(conditions.clone()))
    };
    assert!(!wider(&|_| ()));
    assert!(!allow(&[(0, to(known())), (1, at_most("9"))]));
    let one = ArgumentCondition::Among(["1".to_owned(), "2".to_owned()].into());
    assert!(!allow(&[(0, to(known())), (1, one.clone())]));
    assert!(allow(&[(0, to(known())), (1, at_most("11"))]));
    assert!(allow(&[(0, to(known()))]));
    assert!(allow(&[(0, to(To::OwnAccount(name("hot")))), (1, one)]));
    let anything = |policy: &mut Policy| policy.allows[0].selector.functions = None;
    assert!(wider(&anything));
    // A book that is named by a condition: what allows may shrink, what restricts may grow.
    let grown = |policy: &mut Policy| {
        let known = [stranger(ETH, 1), stranger(ETH, 2)];
        policy.books.insert(name("known"), book(known));
    };
    let shrunk = |policy: &mut Policy| {
        policy.books.insert(name("known"), book([]));
    };
    assert!(wider(&grown));
    assert!(wider(&shrunk), "a limit on the book counts less");
    let without_limit = |shrink: &dyn Fn(&mut Policy)| {
        let mut before = running.clone();
        before.limits.clear();
        let mut after = before.clone();
        shrink(&mut after);
        !widenings(&before, &after).is_empty()
    };
    assert!(without_limit(&grown) && !without_limit(&shrunk));
    let denies = |max: &'static str| {
        wider(&move |policy| policy.denies[0].selector = staking([(1, at_most(max))]))
    };
    assert!(!denies("2") && denies("0"));
    // Functions: what is no longer declared is refused, what is new is not.
    let fewer = |policy: &mut Policy| policy.functions = Default::default();
    assert!(!wider(&fewer));
    let more = |policy: &mut Policy| declared(policy, "unstake(address owner, uint256 amount)");
    assert!(wider(&more));
    let other = |policy: &mut Policy| {
        policy.functions = Default::default();
        declared(policy, "stake(address amount, uint256 owner)");
    };
    assert!(wider(&other), "arguments that changed their names");
}
