//! The policy: bundle, state and evaluation.
