//! The bundle: its files, manifest, signatures and diagnostics.
