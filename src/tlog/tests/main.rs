//! The public API of `tlog` against foreign vectors and a direct reading of RFC 6962.

mod properties;
mod reference;
mod rfc6962_vectors;
