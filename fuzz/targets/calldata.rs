//! Calldata of declared functions: what is read has no other encoding, and what a signature says is what it is. Of
//! the two functions of tokens that are understood without a declaration, the same.
#![no_main]

use std::{collections::BTreeMap, sync::Arc};

use libfuzzer_sys::fuzz_target;
use tx::{
    Address, Chain, Registry,
    evm::{CallData, Function, Functions, Signature, TokenCall, TokenFunction, Value},
};

// The first line is a signature, the rest is calldata without its selector.
fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (line, arguments) = bytes.split_at(end.unwrap_or(bytes.len()));
    let arguments = arguments.get(1..).unwrap_or_default();
    let line = std::str::from_utf8(line).ok();
    let Some(signature) = line.and_then(|line| Signature::parse(line).ok()) else {
        return;
    };
    let chain = Chain::Evm(1);
    let contract = Address::evm(chain, [0xc0; 20]).expect("a contract");
    let name = "it".parse().expect("a name");
    let selector = signature.selector();
    let mut calldata = selector.to_vec();
    calldata.extend(arguments);
    if let Ok(read) = TokenCall::parse(&calldata, TokenFunction::OF_DECLARED) {
        assert_eq!(read.encode(), calldata);
    }
    let function = Arc::new(Function { name, signature });
    let mut functions = Functions::default();
    if functions
        .declare(contract.clone(), Arc::clone(&function))
        .is_err()
    {
        return;
    }
    let Some(Ok(read)) = functions.read(&contract, &calldata) else {
        return;
    };
    assert_eq!(read.encode(), calldata);
    let described = read.described(chain, &Registry::default());
    let leaves = function.signature.leaves();
    assert_eq!(leaves.len(), described.arguments.len());
    let mut texts = BTreeMap::new();
    for ((name, of), argument) in leaves.iter().zip(&described.arguments) {
        assert!(argument.value.is_ascii());
        let value = Value::parse(of, &argument.value).expect("its own text");
        assert_eq!(value.to_string(), argument.value);
        let plain = match value {
            Value::String(text) => text,
            _ => argument.value.clone(),
        };
        texts.insert(name.clone(), plain);
    }
    let again = CallData::of_texts(&function, &texts).expect("the same call");
    assert_eq!(again.encode(), calldata);
});
