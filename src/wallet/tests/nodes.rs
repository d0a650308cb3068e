//! Nodes that lie, lag, hang or answer garbage: an error of its kind each time, and never a value.

mod coin;
mod evm;
mod server;

use serde_json::Value;
use wallet::{lane::SendOutcome, nodes::NodeError};

use self::server::Reply;

/// JSON that is no answer to any question, but for null.
pub const WRONG: [&str; 20] = [
    "7",
    "-1",
    "1.5",
    "1e400",
    "123456789012345678901234567890",
    "true",
    "\"\"",
    "\"x\"",
    "\"0x\"",
    "\"0x01\"",
    "\"0x0g\"",
    "\"-0x1\"",
    "\"0x1.8\"",
    "\"0x10000000000000000000000000000000000000000000000000000000000000000\"",
    "[]",
    "[null]",
    "[[]]",
    "{}",
    "{\"hash\":null}",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x1\"}",
];

/// The name of an error's kind.
pub fn kind(error: &NodeError) -> &'static str {
    match error {
        NodeError::Unreachable { .. } => "unreachable",
        NodeError::NoAnswer { .. } => "no answer",
        NodeError::Refused { .. } => "refused",
        NodeError::Garbage { .. } => "garbage",
        _ => "another",
    }
}

/// The name of what a send came to.
pub fn outcome(outcome: &SendOutcome) -> &'static str {
    match outcome {
        SendOutcome::Taken => "taken",
        SendOutcome::Rejected { .. } => "rejected",
        SendOutcome::Unknown { .. } => "unknown",
    }
}

/// What a node does instead of answering, and the kind of the error that each question must come to.
pub fn faults() -> Vec<(Reply, &'static str)> {
    vec![
        (Reply::Hang, "no answer"),
        (Reply::Close, "no answer"),
        (Reply::Body(""), "garbage"),
        (Reply::Body("<html>502 Bad Gateway</html>"), "garbage"),
        (Reply::Body("{\"id\":1,\"result\":"), "garbage"),
        (Reply::Body("{\"id\":999999,\"result\":null}"), "garbage"),
        (
            Reply::Body("[{\"id\":999999,\"result\":\"0x1\"}]"),
            "garbage",
        ),
        (Reply::Body("null"), "garbage"),
    ]
}

pub fn is_garbage(error: &NodeError) -> bool {
    kind(error) == "garbage"
}

/// Every JSON text that comes of an object when one member, at any depth, is missing, null or of
/// another form, or stands twice.
pub fn spoiled(object: &Value) -> Vec<String> {
    let mut texts = Vec::new();
    for pointer in pointers(object, "") {
        for wrong in ["null", "-1", "1.5", "\"x\"", "[]", "{}", "[[1]]"] {
            let mut other = object.clone();
            *other.pointer_mut(&pointer).unwrap() = serde_json::from_str(wrong).unwrap();
            texts.push(other.to_string());
        }
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        let mut other = object.clone();
        if let Some(parent) = other.pointer_mut(parent).unwrap().as_object_mut() {
            let value = parent.remove(member).unwrap();
            texts.push(other.to_string());
            let twice = format!("\"{member}\":{value},\"{member}\":{value}");
            let marked = spliced(object, &pointer, &twice);
            texts.push(marked);
        }
    }
    texts
}

/// The object with this text in the place of a member.
fn spliced(object: &Value, pointer: &str, text: &str) -> String {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let mut other = object.clone();
    let parent = other.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.remove(member);
    parent.insert("SPLICE".into(), Value::Null);
    other.to_string().replace("\"SPLICE\":null", text)
}

fn pointers(value: &Value, at: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            let members = members.iter();
            members.map(|(name, child)| (name.clone(), child)).collect()
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(at, child)| (at.to_string(), child)).collect()
        }
        _ => Vec::new(),
    };
    let mut pointers = Vec::new();
    for (name, child) in children {
        let at = format!("{at}/{name}");
        pointers.extend(self::pointers(child, &at));
        pointers.push(at);
    }
    pointers
}
