//! signerd: the signing daemon.
