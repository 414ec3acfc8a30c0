//! The binary: arguments, then one verb.

fn main() {}
