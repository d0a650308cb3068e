//! The API: REST over mTLS.
