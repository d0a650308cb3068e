//! Keys: devices, sessions, and signatures made only from committed decisions.
