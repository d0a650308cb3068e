//! Passkeys: WebAuthn assertions by which a person says the same as by an SSH signature.
//!
//! What is taken is what one page asks for, and nothing else that the standard knows: ES256 and Ed25519, no
//! extensions, somebody there who showed who they are. The challenge is the hash of the text, so that an
//! assertion is about this text alone.

mod assertion;
mod key;
mod page;

pub use assertion::{Answered, Assertion, AssertionError};
pub use key::{Passkey, PasskeyError};
pub use page::{ApprovalPage, ApprovalPageError};
