//! The client against nodes that misbehave.
