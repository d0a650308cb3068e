//! Wire types of the signing API.
