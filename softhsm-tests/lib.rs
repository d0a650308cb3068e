//! The real daemons against SoftHSM and real nodes.
